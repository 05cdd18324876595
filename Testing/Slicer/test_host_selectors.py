"""The selectors of nodes and segments in the host, as panels use them."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def addVolume(scene):
    import slicer

    return lambda name: slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16), name=name)


def test_a_node_selector_follows_the_scene(host, scene, addVolume):
    import slicer

    first = addVolume("first")
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selected = []
    box.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: selected.append(node.GetName() if node else None))
    box.setMRMLScene(scene)
    second = addVolume("second")
    box.setCurrentNode(second)
    scene.RemoveNode(second)
    box.noneEnabled = True
    scene.RemoveNode(first)
    assert selected == ["first", "second", "first", None]
    assert (box.nodeCount(), box.currentNode(), box.currentNodeID) == (0, None, "")


def test_a_node_selector_shows_neither_other_classes_nor_nodes_without_its_attribute(scene, addVolume):
    import slicer

    addVolume("CT")
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(scene)
    assert box.nodeCount() == 2
    box.showChildNodeTypes = False
    assert box.nodeCount() == 1
    box.addAttribute("vtkMRMLScalarVolumeNode", "Kind", "uncertainty")
    assert box.nodeCount() == 0
    box.activate("Create new ScalarVolume")
    assert box.currentNode().GetAttribute("Kind") == "uncertainty"


def test_nodes_are_checked_and_unchecked_and_gone_with_the_scene(host, scene, addVolume):
    import qt
    import slicer

    first, second = addVolume("first"), addVolume("second")
    box = slicer.qMRMLCheckableNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(scene)
    changes = []
    box.connect("checkedNodesChanged()", lambda: changes.append(len(box.checkedNodes())))
    box.setCheckState(second, qt.Qt.Checked)
    box.setCheckState(first, qt.Qt.Checked)
    assert box.checkedNodes() == [first, second]
    box.setCheckState(second, qt.Qt.Unchecked)
    host.closeScene()
    assert changes == [1, 2, 1, 0]


def test_a_deleted_selector_no_longer_observes_the_scene(scene, addVolume):
    import gc

    import slicer

    before = scene.HasObserver("NodeAddedEvent")
    changes = []
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(scene)
    box.connect("currentNodeChanged(vtkMRMLNode*)", changes.append)
    observations = box._sceneObservations
    del box
    gc.collect()
    addVolume("CT")
    assert (before, bool(observations), changes) == (scene.HasObserver("NodeAddedEvent"), False, [])


def test_a_segment_selector_lists_the_segments_of_its_node(scene):
    import slicer

    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.GetSegmentation().AddEmptySegment("a", "liver")
    selector = slicer.qMRMLSegmentSelectorWidget()
    selector.setMRMLScene(scene)
    selector.setCurrentNode(node)
    changes = []
    selector.connect("segmentSelectionChanged(QStringList)", changes.append)
    assert selector.currentSegmentID() == "a"
    selector.multiSelection = True
    node.GetSegmentation().AddEmptySegment("b", "spleen")
    selector.setSelectedSegmentIDs(["a", "b"])
    node.GetSegmentation().RemoveSegment("a")
    assert selector.selectedSegmentIDs() == ["b"]
    assert changes[-2:] == [["a", "b"], ["b"]]

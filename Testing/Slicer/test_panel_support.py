"""Choosing the annotated scan, painting, and the line that says what was found."""

from __future__ import annotations

import types

import numpy as np
import pytest
from panel import addSegmentation, addVolume, loadUi, newParameters


class CountingLogic:
    """The real summaries, counted."""

    def __init__(self):
        from DPLSegmentModule.DPLSegmentLogic import DPLSegmentLogic

        self._logic = DPLSegmentLogic()
        self.asked = 0

    def supportText(self, volumeNode, segmentationNode):
        self.asked += 1
        return self._logic.supportText(volumeNode, segmentationNode)


def drawing(k, shape=(6, 8, 10)):
    mask = np.zeros(shape, bool)
    mask[k, 2:5, 3:7] = True
    return mask


@pytest.fixture
def support(host, scene):
    """Namespace: panel, ui, logic, parameters, volume."""
    volume = addVolume("CT", (6, 8, 10))
    ui, holder = loadUi()
    holder.show()
    from DPLSegmentModule.SupportPanel import SupportPanel

    changes = []
    logic, parameters = CountingLogic(), newParameters()
    panel = SupportPanel(ui, logic, lambda: changes.append(1))
    from DPLSegmentModule.ParameterBinding import ParameterBinding

    binding = ParameterBinding(ui)
    binding.setParameters(parameters)
    panel.setParameters(parameters)
    yield types.SimpleNamespace(**locals())
    binding.cleanup()
    panel.cleanup()
    holder.deleteLater()


def choose(support, **nodes):
    for name, node in nodes.items():
        setattr(support.parameters, name, node)
    support.panel.update()


def paint(host, segmentation, volume, segmentID, mask):
    import slicer

    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation, segmentID, volume)


def test_the_line_says_what_is_missing_step_by_step(support):
    line = support.ui.supportSummaryLabel
    assert "volume" in line.text or "scan" in line.text
    choose(support, supportVolume=support.volume)
    assert "segmentation" in line.text or "annotation" in line.text
    empty = addSegmentation(support.volume, {"liver": np.zeros((6, 8, 10))})
    choose(support, supportSegmentation=empty)
    assert line.text and "liver: slice" not in line.text


def test_the_line_names_segments_and_their_slices(support):
    annotation = addSegmentation(support.volume, {"liver": drawing(4), "right kidney": drawing(2)})
    choose(support, supportVolume=support.volume, supportSegmentation=annotation)
    assert "liver: slice 4" in support.ui.supportSummaryLabel.text
    assert "right kidney: slice 2" in support.ui.supportSummaryLabel.text
    assert support.changes


def test_the_line_follows_the_brush_but_not_every_move(host, support):
    annotation = addSegmentation(support.volume, {"liver": drawing(4)})
    choose(support, supportVolume=support.volume, supportSegmentation=annotation)
    before = support.logic.asked
    for step in range(20):
        mask = drawing(4)
        mask[1, : 1 + step % 5, 3] = True
        paint(host, annotation, support.volume, "liver", mask)
    assert support.logic.asked == before
    host.processEvents(0.6)
    assert before < support.logic.asked <= before + 2
    assert "1" in support.ui.supportSummaryLabel.text and "4" in support.ui.supportSummaryLabel.text


def test_hiding_or_removing_a_segment_changes_the_line(host, support):
    annotation = addSegmentation(support.volume, {"liver": drawing(4), "spleen": drawing(3)})
    choose(support, supportVolume=support.volume, supportSegmentation=annotation)
    annotation.GetDisplayNode().SetSegmentVisibility("spleen", False)
    host.waitUntil(lambda: "spleen: slice" not in support.ui.supportSummaryLabel.text, 5)
    annotation.GetSegmentation().RemoveSegment("liver")
    host.waitUntil(lambda: "liver" not in support.ui.supportSummaryLabel.text, 5)


def test_new_makes_an_annotation_that_can_be_painted_at_once(host, support):
    import slicer

    assert not support.ui.newAnnotationButton.enabled
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    support.volume.SetAndObserveTransformNodeID(transform.GetID())
    choose(support, supportVolume=support.volume)
    support.ui.newAnnotationButton.click()
    annotation = support.parameters.supportSegmentation
    assert annotation.GetName() == "CT annotation"
    assert annotation.GetParentTransformNode() is transform
    role = annotation.GetReferenceImageGeometryReferenceRole()
    assert annotation.GetNodeReference(role) is support.volume
    editor = support.ui.segmentEditor
    assert editor.segmentationNode() is annotation and editor.sourceVolumeNode() is support.volume
    assert editor.activeEffect().name == "Paint"
    assert editor.currentSegmentID() == annotation.GetSegmentation().GetNthSegmentID(0)


def test_create_new_in_the_selector_does_the_same_without_the_brush(support):
    choose(support, supportVolume=support.volume)
    support.ui.supportSegmentationSelector.activate("Create new Segmentation")
    annotation = support.parameters.supportSegmentation
    assert annotation.GetName() == "CT annotation"
    assert annotation.GetSegmentation().GetNumberOfSegments() == 1


def test_two_annotations_of_one_scan_have_two_names(support):
    choose(support, supportVolume=support.volume)
    support.ui.newAnnotationButton.click()
    first = support.parameters.supportSegmentation
    support.ui.newAnnotationButton.click()
    assert support.parameters.supportSegmentation is not first
    assert support.parameters.supportSegmentation.GetName() != first.GetName()


def test_only_tools_for_one_slice_are_offered_and_no_second_node_selectors(support):
    editor = support.ui.segmentEditor
    assert {"Paint", "Erase"} <= set(editor.effectNameOrder())
    assert not {"Threshold", "Grow from seeds", "Fill between slices", "Islands"} & set(editor.effectNameOrder())
    assert not editor.unorderedEffectsVisible
    assert not editor.segmentationNodeSelectorVisible and not editor.sourceVolumeNodeSelectorVisible


def test_the_editor_has_a_parameter_node_of_its_own(support):
    import slicer

    node = support.ui.segmentEditor.mrmlSegmentEditorNode()
    assert node is slicer.mrmlScene.GetSingletonNode("DPLSegment", "vtkMRMLSegmentEditorNode")
    assert slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode") is not node


def test_views_and_shortcuts_are_taken_only_while_the_module_is_shown(support):
    editor = support.ui.segmentEditor
    choose(support, supportVolume=support.volume)
    support.panel.editor.enter()
    assert editor.shortcutsAreInstalled()
    support.ui.newAnnotationButton.click()
    assert editor.viewsAreObserved()
    support.panel.editor.exit()
    assert not editor.shortcutsAreInstalled() and not editor.viewsAreObserved()
    assert editor.activeEffect() is None


def test_nothing_is_watched_after_the_panel_has_gone(host, support):
    annotation = addSegmentation(support.volume, {"liver": drawing(4)})
    choose(support, supportVolume=support.volume, supportSegmentation=annotation)
    support.panel.setParameters(None)
    before = support.logic.asked
    paint(host, annotation, support.volume, "liver", drawing(3))
    host.processEvents(0.4)
    assert support.logic.asked == before

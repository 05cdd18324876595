"""The map of one segment alone: where it lies, how long it can be had, and that it goes with its result."""

from __future__ import annotations

import types

import numpy as np
import pytest
from panel import newParameters
from result_scene import KIDNEY, LIVER, MOVED, OBLIQUE, SHAPE, resultFor, stylesOf
from scene_objects import addTransform, addVolume, importable, nodeIDs, noise

OWN = {1: noise(SHAPE).astype(np.float32), 2: noise(SHAPE, 1).astype(np.float32)}


@pytest.fixture(autouse=True)
def imports(scene, monkeypatch):
    global applyResults, existingMaps, undoChanges, SegmentUncertainty
    importable(monkeypatch)
    from DPLSegmentModule.ResultWriter import applyResults, undoChanges
    from DPLSegmentModule.SegmentUncertainty import SegmentUncertainty, existingMaps


def applied(volume, uncertaintyNode=None):
    """A result with the uncertainty of two segments, in the scene."""
    result = resultFor(volume, [LIVER, KIDNEY], np.full(SHAPE, 0.5, np.float32))
    result.doubts = types.SimpleNamespace(of=OWN.__getitem__)
    return applyResults([result], stylesOf("liver", "kidney"), None, uncertaintyNode)


@pytest.fixture
def shown(scene):
    """Namespace: the scan under a transform, its applied results, and maps that remember them."""
    volume = addVolume(noise(SHAPE), OBLIQUE)
    addTransform(MOVED, volume)
    results, maps = applied(volume), SegmentUncertainty()
    maps.add(results)
    return types.SimpleNamespace(volume=volume, results=results, maps=maps, whole=results[0].uncertaintyNode)


def voxels(node):
    import slicer

    return slicer.util.arrayFromVolume(node)


def test_each_segment_has_its_own_map_at_the_place_of_the_result(shown):
    import vtk

    before = voxels(shown.whole).copy()
    for segmentID, label in (("liver", 1), ("kidney", 2)):
        node = shown.maps.node(shown.whole, segmentID)
        assert np.array_equal(voxels(node), OWN[label])
        matrices = [vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()]
        node.GetIJKToRASMatrix(matrices[0]), shown.volume.GetIJKToRASMatrix(matrices[1])
        assert all(matrices[0].GetElement(r, c) == matrices[1].GetElement(r, c) for r in range(4) for c in range(4))
        assert node.GetTransformNodeID() == shown.volume.GetTransformNodeID()
        assert segmentID in node.GetName() and node.GetDisplayNode().GetApplyThreshold()
    assert np.array_equal(voxels(shown.whole), before)


def test_a_map_is_made_when_it_is_first_asked_for_and_never_again(shown):
    before = nodeIDs()
    assert shown.maps.segmentIDs(shown.whole) == {"liver", "kidney"} and nodeIDs() == before
    node = shown.maps.node(shown.whole, "liver")
    made = nodeIDs()
    assert made > before and shown.maps.node(shown.whole, "liver") is node and nodeIDs() == made
    assert existingMaps(shown.whole) == {"liver": node}


def test_a_deleted_map_is_made_again(shown):
    import slicer

    slicer.mrmlScene.RemoveNode(shown.maps.node(shown.whole, "liver"))
    assert existingMaps(shown.whole) == {}
    assert np.array_equal(voxels(shown.maps.node(shown.whole, "liver")), OWN[1])


def test_maps_go_with_their_result(shown):
    import slicer

    node = shown.maps.node(shown.whole, "kidney")
    undoChanges(shown.results)
    assert not slicer.mrmlScene.IsNodePresent(node) and not slicer.mrmlScene.IsNodePresent(shown.whole)


def test_what_was_not_segmented_or_lost_its_grid_has_no_map(shown):
    import slicer

    before = nodeIDs()
    assert shown.maps.node(shown.whole, "heart") is None and shown.maps.node(shown.volume, "liver") is None
    assert shown.maps.node(None, "liver") is None and shown.maps.segmentIDs(None) == set()
    slicer.util.updateVolumeFromArray(shown.whole, np.zeros((2, 3, 4), np.float32))
    assert shown.maps.node(shown.whole, "liver") is None
    assert nodeIDs() == before


def test_a_result_in_the_same_volume_does_not_show_the_maps_of_the_one_before(shown):
    old = shown.maps.node(shown.whole, "liver")
    shown.maps.add(applied(shown.volume, shown.whole))
    assert existingMaps(shown.whole) == {}
    assert shown.maps.node(shown.whole, "liver") is not old


def test_undoing_a_result_in_the_same_volume_brings_the_maps_of_the_one_before_back(shown):
    second = applied(shown.volume, shown.whole)
    second[0].doubts = types.SimpleNamespace(of=lambda label: np.zeros(SHAPE, np.float32))
    shown.maps.add(second)
    own = shown.maps.node(shown.whole, "liver")
    assert not voxels(own).any()
    undoChanges(second)
    assert np.array_equal(voxels(shown.maps.node(shown.whole, "liver")), OWN[1])


def test_after_saving_and_loading_the_maps_that_were_made_can_be_seen(host, shown, tmp_path):
    import slicer

    shown.maps.node(shown.whole, "liver")
    name, path = shown.whole.GetName(), str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    host.closeScene()
    addVolume(noise(SHAPE), OBLIQUE, "another"), newParameters()
    slicer.util.loadScene(path)
    whole, fresh = slicer.util.getNode(name), SegmentUncertainty()
    assert fresh.segmentIDs(whole) == {"liver"}
    np.testing.assert_allclose(voxels(fresh.node(whole, "liver")), OWN[1], atol=1e-6)
    assert fresh.node(whole, "kidney") is None

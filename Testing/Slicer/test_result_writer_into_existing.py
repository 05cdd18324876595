"""Results in a segmentation that is already there: the run's segments are replaced, the user's stay."""

from __future__ import annotations

import numpy as np
import pytest
from result_scene import (
    KIDNEY,
    LIVER,
    MOVED,
    NOTHING,
    OBLIQUE,
    PLAIN,
    SHAPE,
    TUMOUR,
    resultFor,
    stylesOf,
    userSegmentation,
)
from scene_objects import (
    addSegmentation,
    addTransform,
    addVolume,
    box,
    exported,
    importable,
    maskPoints,
    noise,
    rotation,
    shift,
    worldPoints,
)


@pytest.fixture(autouse=True)
def imports(scene, monkeypatch):
    global applyResults
    importable(monkeypatch)
    from DPLSegmentModule.ResultWriter import applyResults


@pytest.mark.parametrize("collapse", [True, False], ids=["shared", "separate"])
def test_other_segments_stay_bit_for_bit(collapse):
    volume = addVolume(noise(SHAPE), PLAIN)
    node, masks = userSegmentation(volume, collapse)
    (applied,) = applyResults([resultFor(volume, [LIVER, KIDNEY])], stylesOf("a", "b"), node)
    assert applied.segmentationNode is node
    assert list(node.GetSegmentation().GetSegmentIDs()) == ["mine", "a", "other", "b"]
    assert np.array_equal(exported(node, "mine", volume), masks["mine"])
    assert np.array_equal(exported(node, "other", volume), masks["other"])
    assert np.array_equal(exported(node, "a", volume), LIVER)
    assert np.array_equal(exported(node, "b", volume), KIDNEY)
    for segmentID in ("mine", "other"):
        assert node.GetSegmentation().GetSegment(segmentID).GetName() == f"name of {segmentID}"
    assert node.GetSegmentation().GetSegment("a").GetName() == "орган a"


def test_a_result_that_covers_a_users_segment_takes_nothing_from_it():
    volume = addVolume(noise(SHAPE), PLAIN)
    node, masks = userSegmentation(volume)
    everything = np.ones(SHAPE, bool)
    applyResults([resultFor(volume, [everything])], stylesOf("a"), node)
    assert np.array_equal(exported(node, "mine", volume), masks["mine"])
    assert np.array_equal(exported(node, "other", volume), masks["other"])
    assert exported(node, "a", volume).all()
    applyResults([resultFor(volume, [NOTHING])], stylesOf("a"), node)
    assert np.array_equal(exported(node, "mine", volume), masks["mine"])
    assert not exported(node, "a", volume).any()


def test_a_segment_is_found_by_its_id_even_if_another_has_its_name():
    volume = addVolume(noise(SHAPE), PLAIN)
    node, masks = userSegmentation(volume)
    node.GetSegmentation().GetSegment("mine").SetName("орган a")
    applyResults([resultFor(volume, [LIVER])], stylesOf("a"), node)
    assert np.array_equal(exported(node, "mine", volume), masks["mine"])
    assert np.array_equal(exported(node, "a", volume), LIVER)


def test_an_output_under_another_transform_shows_the_result_at_the_scans_place():
    volume = addVolume(noise(SHAPE), OBLIQUE)
    node, masks = userSegmentation(volume)
    addTransform(shift(3, 1, 2), volume, parent=addTransform(MOVED))
    transform = addTransform(rotation((0, 0, 1), 15), node)
    applyResults([resultFor(volume, [LIVER, KIDNEY])], stylesOf("a", "b"), node)
    # Slicer's own export resamples between two transforms, so the voxels are looked at where they are.
    for segmentID, mask in (("a", LIVER), ("b", KIDNEY)):
        expected = maskPoints(mask, MOVED @ shift(3, 1, 2) @ OBLIQUE)
        assert np.allclose(worldPoints(node, segmentID), expected, atol=1e-3)
    assert node.GetTransformNodeID() == transform.GetID()
    mine = maskPoints(masks["mine"], rotation((0, 0, 1), 15) @ OBLIQUE)
    assert np.allclose(worldPoints(node, "mine"), mine, atol=1e-3)
    for moved in (volume, node):
        moved.SetAndObserveTransformNodeID(None)
    assert np.array_equal(exported(node, "mine", volume), masks["mine"])


def test_an_output_without_other_segments_moves_to_the_scan():
    import slicer

    first = addVolume(noise(SHAPE), PLAIN, "first")
    second = addVolume(noise((5, 9, 11)), OBLIQUE, "second")
    addTransform(MOVED, second)
    node = addSegmentation(first, {"a": LIVER})
    mask = box((5, 9, 11), (1, 4), (2, 7), (3, 8))
    applyResults([resultFor(second, [mask])], stylesOf("a"), node)
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReference(role) is second and node.GetTransformNodeID() == second.GetTransformNodeID()
    assert np.array_equal(exported(node, "a", second), mask)


def test_an_empty_node_as_the_selector_makes_it_becomes_the_result():
    import slicer

    volume = addVolume(noise(SHAPE), PLAIN)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "chosen")
    applyResults([resultFor(volume, [LIVER])], stylesOf("a"), node)
    assert node.GetName() == "chosen" and node.GetDisplayNode() is not None
    assert np.array_equal(exported(node, "a", volume), LIVER)
    assert node.GetClosedSurfaceInternalRepresentation("a").GetNumberOfPoints() > 0


def test_surfaces_that_the_user_had_are_kept_and_those_switched_off_stay_off():
    volume = addVolume(noise(SHAPE), PLAIN)
    node, _masks = userSegmentation(volume)
    applyResults([resultFor(volume, [LIVER, KIDNEY])], stylesOf("a", "b"), node)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    node.CreateClosedSurfaceRepresentation()
    points = node.GetClosedSurfaceInternalRepresentation("mine").GetNumberOfPoints()
    old = node.GetClosedSurfaceInternalRepresentation("a").GetBounds()
    applyResults([resultFor(volume, [TUMOUR, KIDNEY, LIVER])], stylesOf("a", "b", "new"), node)
    assert node.GetClosedSurfaceInternalRepresentation("mine").GetNumberOfPoints() == points > 0
    assert node.GetClosedSurfaceInternalRepresentation("a").GetBounds() != old
    assert node.GetClosedSurfaceInternalRepresentation("new").GetBounds() == pytest.approx(old, abs=0.5)

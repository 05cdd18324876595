"""The annotation, read onto the scan's own grid: which segments count, and what is refused."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scene_objects import (
    addSegmentation,
    addVolume,
    box,
    dice,
    importable,
    matrix,
    nodeIDs,
    noise,
)
from support_reading import KIDNEY, LIVER, PLAIN, SHAPE, masksOf, refusal


@pytest.fixture(autouse=True)
def imports(scene, monkeypatch):
    global readSupport, summarizeSupport, usableSegmentIDs
    importable(monkeypatch)
    from DPLSegmentModule.SupportReader import readSupport, summarizeSupport, usableSegmentIDs


@pytest.mark.parametrize(
    "ijkToRAS",
    [
        PLAIN,
        matrix((0.7, 0.8, 3.0), (12.0, -34.0, 56.0), rotate=((1, 2, 3), 25)),
        PLAIN @ np.diag([1.0, -1.0, -1.0, 1.0]),
        PLAIN @ np.diag([1.0, 1.0, -1.0, 1.0]),
        matrix((0.700000123, 0.7, 1.25), (-171.31234, 163.7, -1012.4)),
    ],
    ids=["axial", "oblique", "flipped", "left-handed", "far away"],
)
def test_masks_on_the_scans_own_grid_are_read_voxel_for_voxel(ijkToRAS):
    volume = addVolume(noise(SHAPE), ijkToRAS)
    found = masksOf(volume, addSegmentation(volume, {"a": LIVER, "b": KIDNEY}))
    assert np.array_equal(found["a"], LIVER) and np.array_equal(found["b"], KIDNEY)
    assert found["a"].dtype == bool


def test_labels_follow_the_order_of_segments_and_the_summary_says_where():
    volume = addVolume(noise(SHAPE), PLAIN)
    segmentation = addSegmentation(volume, {"z": KIDNEY, "a": LIVER | box(SHAPE, (4, 6), (4, 6), (5, 7))})
    assert readSupport(volume, segmentation).segmentIDs == {1: "z", 2: "a"}
    summary = summarizeSupport(volume, segmentation)
    assert summary.sliceAxis == 2
    assert [(s.segmentID, s.name, s.slices) for s in summary.segments] == [
        ("z", "name of z", (6,)),
        ("a", "name of a", (3, 4, 5)),
    ]
    assert summary.text == "name of z: slice 6, name of a: slices 3-5"


@pytest.mark.parametrize("axis", [0, 1], ids=["sagittal", "coronal"])
def test_sagittal_and_coronal_annotations_are_recognised(axis):
    volume = addVolume(noise(SHAPE), PLAIN)
    ranges = [[(2, 7), (3, 15), (9, 10)], [(2, 7), (11, 12), (3, 15)]][axis]
    mask = box(SHAPE, *ranges)
    segmentation = addSegmentation(volume, {"a": mask})
    summary = summarizeSupport(volume, segmentation)
    assert summary.sliceAxis == axis and summary.segments[0].slices == ((9,), (11,))[axis]
    assert np.array_equal(masksOf(volume, segmentation)["a"], mask)


def test_overlapping_segments_both_keep_all_their_voxels():
    volume = addVolume(noise(SHAPE), PLAIN)
    other = box(SHAPE, (3, 4), (8, 16), (10, 20))
    assert (other & LIVER).any()
    found = masksOf(volume, addSegmentation(volume, {"a": LIVER, "b": other}))
    assert np.array_equal(found["a"], LIVER) and np.array_equal(found["b"], other)


def test_segments_in_one_shared_label_map_are_told_apart():
    volume = addVolume(noise(SHAPE), PLAIN)
    segmentation = addSegmentation(volume, {"a": LIVER, "b": KIDNEY, "c": box(SHAPE, (1, 2), (1, 4), (1, 4))})
    segmentation.GetSegmentation().CollapseBinaryLabelmaps(False)
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 1
    found = masksOf(volume, segmentation)
    assert np.array_equal(found["a"], LIVER) and np.array_equal(found["b"], KIDNEY)


def test_hidden_and_empty_segments_are_left_out_and_named():
    volume = addVolume(noise(SHAPE), PLAIN)
    segmentation = addSegmentation(volume, {"a": LIVER, "h": KIDNEY, "e": np.zeros(SHAPE, bool)})
    segmentation.GetDisplayNode().SetSegmentVisibility("h", False)
    summary = summarizeSupport(volume, segmentation)
    assert [segment.segmentID for segment in summary.segments] == ["a"]
    assert summary.hidden == ("name of h",) and summary.empty == ("name of e",)
    assert summary.text == "name of a: slice 3, empty: name of e, hidden: name of h"
    assert list(masksOf(volume, segmentation)) == ["a"]


def test_given_ids_are_used_even_if_hidden_and_in_the_given_order():
    volume = addVolume(noise(SHAPE), PLAIN)
    segmentation = addSegmentation(volume, {"a": LIVER, "h": KIDNEY})
    segmentation.GetDisplayNode().SetSegmentVisibility("h", False)
    assert usableSegmentIDs(segmentation, ["h", "a"]) == ["h", "a"]
    assert list(masksOf(volume, segmentation, segmentIDs=["h"])) == ["h"]


def test_a_segmentation_that_was_never_displayed_hides_nothing():
    volume = addVolume(noise(SHAPE), PLAIN)
    segmentation = addSegmentation(volume, {"a": LIVER})
    segmentation.RemoveAllDisplayNodeIDs()
    assert list(masksOf(volume, segmentation)) == ["a"]


def test_what_cannot_be_used_gives_one_sentence():
    import slicer

    volume = addVolume(noise(SHAPE), PLAIN, "CT")
    assert "no annotation" in refusal(volume, None)
    nothing = addSegmentation(volume, {}, "empty one")
    assert "'empty one' has no segments" in refusal(volume, nothing)
    empty = addSegmentation(volume, {"a": np.zeros(SHAPE, bool)})
    assert "Nothing is painted yet" in refusal(volume, empty) and "name of a" in refusal(volume, empty)
    hidden = addSegmentation(volume, {"a": LIVER}, "all hidden")
    hidden.GetDisplayNode().SetSegmentVisibility("a", False)
    assert "All segments of 'all hidden' are hidden" in refusal(volume, hidden)
    assert "no segment with the ID 'x'" in refusal(volume, hidden, segmentIDs=["x"])
    assert "given twice" in refusal(volume, hidden, segmentIDs=["a", "a"])
    labels = addVolume(LIVER.astype(np.uint8), PLAIN, "drawn", "vtkMRMLLabelMapVolumeNode")
    assert "'drawn' is a label map" in refusal(volume, labels)
    assert "'drawn' is a label map" in refusal(labels, hidden)
    good = addSegmentation(volume, {"a": LIVER})
    vector = addVolume(np.zeros((*SHAPE, 3), np.uint8), PLAIN, "photo", "vtkMRMLVectorVolumeNode")
    assert "'photo' has several values" in refusal(vector, good)
    bare = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "bare")
    assert "'bare' holds no image" in refusal(bare, good)


def test_an_imported_label_map_is_read_voxel_for_voxel():
    import slicer

    volume = addVolume(noise(SHAPE), PLAIN)
    labels = addVolume((LIVER + 2 * KIDNEY).astype(np.uint8), PLAIN, "drawn", "vtkMRMLLabelMapVolumeNode")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "imported")
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, segmentation)
    found = list(masksOf(volume, segmentation).values())
    assert np.array_equal(found[0], LIVER) and np.array_equal(found[1], KIDNEY)


def test_a_segment_stored_as_a_surface_is_drawn_on_the_volume():
    import slicer
    import vtk

    volume = addVolume(noise((20, 30, 30)), matrix((2.0, 2.0, 2.0), (30, 30, -20)))
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(12)
    sphere.SetCenter(0, 4, 0)
    sphere.SetThetaResolution(40)
    sphere.SetPhiResolution(40)
    sphere.Update()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "model")
    node.SetSourceRepresentationToClosedSurface()
    segmentID = node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "ball", (1, 0, 0))
    found = masksOf(volume, node)[segmentID]
    k, j, i = np.meshgrid(np.arange(20), np.arange(30), np.arange(30), indexing="ij")
    wanted = (30 - 2 * i) ** 2 + (26 - 2 * j) ** 2 + (2 * k - 20) ** 2 < 144
    assert dice(found, wanted) > 0.95
    assert node.GetBinaryLabelmapInternalRepresentation(segmentID) is None  # the user's node is as it was


def test_reading_changes_nothing_and_leaves_no_node_behind():
    volume = addVolume(noise(SHAPE), PLAIN)
    segmentation = addSegmentation(volume, {"a": LIVER, "b": KIDNEY})
    before, changed = nodeIDs(), segmentation.GetSegmentation().GetMTime()
    readSupport(volume, segmentation)
    summarizeSupport(volume, segmentation)
    assert nodeIDs() == before and segmentation.GetSegmentation().GetMTime() == changed


def test_names_of_any_script_are_kept():
    volume = addVolume(noise(SHAPE), PLAIN, "Öçñ 肝臓")
    segmentation = addSegmentation(volume, {"селезёнка": LIVER})
    segmentation.GetSegmentation().GetSegment("селезёнка").SetName("脾臓 – Milz")
    summary = summarizeSupport(volume, segmentation)
    assert summary.segments[0].segmentID == "селезёнка" and summary.text == "脾臓 – Milz: slice 3"


def test_a_large_ct_is_summarised_between_two_brush_strokes():
    import slicer

    shape = (300, 512, 512)
    volume = addVolume(np.zeros(shape, np.int16), matrix((0.8, 0.8, 1.0)), "CT")
    drawn = np.zeros(shape, np.uint8)
    for n in range(3):
        drawn[40 * n + 20, 100:200, 100 + n : 250] = n + 1
    labels = addVolume(drawn, matrix((0.8, 0.8, 1.0)), "drawn", "vtkMRMLLabelMapVolumeNode")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "annotation")
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, segmentation)
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 1
    start = time.perf_counter()
    summary = summarizeSupport(volume, segmentation)
    assert time.perf_counter() - start < 3.0
    assert [segment.slices for segment in summary.segments] == [(20,), (60,), (100,)]

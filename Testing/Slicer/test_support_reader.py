"""The annotation, read from any geometry and under any transform onto the scan's own grid."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scene_objects import (
    addNonLinearTransform,
    addSegmentation,
    addTransform,
    addVolume,
    box,
    dice,
    exported,
    importable,
    matrix,
    nodeIDs,
    noise,
    rotation,
    shift,
)

SHAPE = (8, 20, 24)
PLAIN = matrix((2.0, 2.0, 5.0), (30.0, 20.0, -10.0))
# Without a corner, so that a mirrored one is another shape.
LIVER = box(SHAPE, (3, 4), (4, 12), (5, 15)) & ~box(SHAPE, (3, 4), (4, 7), (5, 9))
KIDNEY = box(SHAPE, (6, 7), (10, 15), (14, 20))


@pytest.fixture(autouse=True)
def imports(scene, monkeypatch):
    global InputError, readSupport, summarizeSupport, usableSegmentIDs
    importable(monkeypatch)
    from DPLSegmentLib.errors import InputError
    from DPLSegmentModule.SupportReader import readSupport, summarizeSupport, usableSegmentIDs


def masksOf(volume, segmentation, **inputs):
    data = readSupport(volume, segmentation, **inputs)
    return {data.segmentIDs[label]: mask for label, mask in data.masks.items()}


def refusal(*inputs, **named):
    with pytest.raises(InputError) as caught:
        readSupport(*inputs, **named)
    sentence = str(caught.value)
    assert sentence.endswith(".") and ". " not in sentence
    with pytest.raises(InputError) as summary:
        summarizeSupport(*inputs, **named)
    assert str(summary.value) == sentence
    return sentence


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


# Transforms


MOVED = rotation((2, -1, 1), 40) @ shift(11, -7, 5)


def test_volume_and_segmentation_under_the_same_nested_transforms():
    volume = addVolume(noise(SHAPE), PLAIN)
    segmentation = addSegmentation(volume, {"a": LIVER, "b": KIDNEY})
    addTransform(shift(3, 1, 2), volume, segmentation, parent=addTransform(MOVED))
    found = masksOf(volume, segmentation)
    assert np.array_equal(found["a"], LIVER) and np.array_equal(found["b"], KIDNEY)


def test_different_transforms_that_bring_the_segmentation_onto_the_volume():
    # Stored turned and shifted, and brought back by its own transforms.
    volume = addVolume(noise(SHAPE), PLAIN)
    stored = addVolume(noise(SHAPE), np.linalg.inv(MOVED) @ PLAIN, "elsewhere")
    segmentation = addSegmentation(volume, {"a": LIVER}, geometry=stored)
    addTransform(MOVED @ shift(-1, 0, 0), segmentation, parent=None)
    inner = addTransform(shift(1, 0, 0), segmentation)
    inner.SetAndObserveTransformNodeID(addTransform(MOVED @ shift(-1, 0, 0)).GetID())
    assert np.array_equal(masksOf(volume, segmentation)["a"], LIVER)


def test_a_segmentation_moved_by_whole_voxels_lands_there():
    volume = addVolume(noise(SHAPE), PLAIN)
    segmentation = addSegmentation(volume, {"a": LIVER})
    addTransform(shift(-4.0, 0.0, 10.0), segmentation)  # i runs to the left at 2 mm, k up at 5 mm
    assert np.array_equal(masksOf(volume, segmentation)["a"], np.roll(LIVER, (2, 0, 2), (0, 1, 2)))


@pytest.mark.parametrize("which", ["segmentation", "volume", "both"])
def test_non_linear_transforms_give_one_sentence(which):
    volume = addVolume(noise(SHAPE), PLAIN, "CT")
    segmentation = addSegmentation(volume, {"a": LIVER}, "painted")
    nodes = {"segmentation": [segmentation], "volume": [volume], "both": [volume, segmentation]}[which]
    addNonLinearTransform(*nodes, name="bend")
    name = "painted" if which == "segmentation" else "CT"
    assert f"'{name}' is under the non-linear transform 'bend'" in refusal(volume, segmentation)


# A segmentation on another grid than the volume's


def test_a_cropped_segmentation_geometry_loses_nothing():
    volume = addVolume(noise(SHAPE), PLAIN)
    cropped = addVolume(noise((3, 10, 12)), PLAIN @ shift(4, 3, 2), "cropped")
    mask = LIVER[2:5, 3:13, 4:16]
    segmentation = addSegmentation(volume, {"a": mask}, geometry=cropped)
    assert np.array_equal(masksOf(volume, segmentation)["a"], LIVER)


def test_a_geometry_larger_than_the_volume_keeps_what_lies_inside():
    volume = addVolume(noise((3, 10, 12)), PLAIN @ shift(4, 3, 2))
    large = addVolume(noise(SHAPE), PLAIN, "large")
    segmentation = addSegmentation(volume, {"a": LIVER}, geometry=large)
    assert np.array_equal(masksOf(volume, segmentation)["a"], LIVER[2:5, 3:13, 4:16])


def test_a_geometry_in_another_order_of_axes_is_turned_exactly():
    volume = addVolume(noise(SHAPE), PLAIN)
    turned = PLAIN @ np.array([[0, 0, -1, 23], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    stored = addVolume(noise((24, 8, 20)), turned, "turned")
    mask = np.flip(np.transpose(LIVER, (2, 0, 1)), 0)
    segmentation = addSegmentation(volume, {"a": np.ascontiguousarray(mask)}, geometry=stored)
    assert np.array_equal(masksOf(volume, segmentation)["a"], LIVER)
    assert np.array_equal(exported(segmentation, "a", volume), LIVER)


@pytest.mark.parametrize("offset", [0.0, 0.3, 0.49, 0.5, 0.51, -0.4])
def test_a_slice_painted_on_thinner_slices_is_never_lost(offset):
    """1 mm slices over 5 mm ones: nearest neighbour would see only every fifth of them."""
    volume = addVolume(noise(SHAPE), PLAIN)
    fine = addVolume(noise((40, 20, 24)), PLAIN @ shift(0, 0, offset / 5) @ np.diag([1, 1, 0.2, 1]), "fine")
    for painted in (14, 16, 17, 18):
        mask = np.zeros((40, 20, 24), bool)
        mask[painted] = LIVER[3]
        found = masksOf(volume, addSegmentation(volume, {"a": mask}, geometry=fine))["a"]
        (only,) = np.flatnonzero(found.any(axis=(1, 2)))
        assert abs(only - (painted + offset) / 5) <= 0.5 + 1e-9
        assert np.array_equal(found[only], LIVER[3])


def test_a_slice_painted_on_thicker_slices_is_not_doubled():
    volume = addVolume(noise((40, 20, 24)), PLAIN @ np.diag([1, 1, 0.2, 1]))
    coarse = addVolume(noise(SHAPE), PLAIN, "coarse")
    segmentation = addSegmentation(
        volume, {"a": LIVER, "b": LIVER | box(SHAPE, (5, 6), (2, 4), (2, 4))}, geometry=coarse
    )
    found = masksOf(volume, segmentation)
    assert np.flatnonzero(found["a"].any(axis=(1, 2))).tolist() == [15]
    assert np.array_equal(found["a"][15], LIVER[3])
    assert np.flatnonzero(found["b"].any(axis=(1, 2))).tolist() == [15, 25]


def test_half_a_voxel_between_the_grids_keeps_the_number_of_slices():
    volume = addVolume(noise(SHAPE), PLAIN)
    half = addVolume(noise(SHAPE), PLAIN @ shift(0.5, 0.5, 0.5), "half")
    three = box(SHAPE, (2, 5), (4, 12), (5, 15))
    found = masksOf(volume, addSegmentation(volume, {"a": three}, geometry=half))["a"]
    assert len(np.flatnonzero(found.any(axis=(1, 2)))) == 3
    assert found.sum() == three.sum()


def test_other_spacing_in_the_plane_gives_the_same_shape_in_the_world():
    volume = addVolume(noise((8, 80, 96)), PLAIN @ shift(-0.375, -0.375, 0) @ np.diag([0.25, 0.25, 1, 1]))
    coarse = addVolume(noise(SHAPE), PLAIN, "coarse")
    found = masksOf(volume, addSegmentation(volume, {"a": LIVER}, geometry=coarse))["a"]
    assert np.array_equal(found, LIVER.repeat(4, 1).repeat(4, 2))


def test_something_smaller_than_a_voxel_keeps_the_voxel_it_lies_in():
    volume = addVolume(noise(SHAPE), PLAIN)
    fine = addVolume(noise((8, 200, 240)), PLAIN @ np.diag([0.1, 0.1, 1, 1]), "fine")
    dot = np.zeros((8, 200, 240), bool)
    dot[3, 74, 96] = True  # at row 7.4, column 9.6
    found = masksOf(volume, addSegmentation(volume, {"a": dot}, geometry=fine))["a"]
    assert np.argwhere(found).tolist() == [[3, 7, 10]]


def test_a_slice_painted_at_a_slight_angle_stays_one_slice():
    volume = addVolume(noise(SHAPE), PLAIN)
    tilted = addVolume(noise(SHAPE), rotation((1, 0, 0), 3) @ PLAIN, "tilted")
    found = masksOf(volume, addSegmentation(volume, {"a": LIVER}, geometry=tilted))["a"]
    assert len(np.flatnonzero(found.any(axis=(1, 2)))) == 1
    assert 0.85 < found.sum() / LIVER.sum() < 1.15


def test_a_slice_painted_at_a_steep_angle_is_refused_rather_than_read_as_strips():
    volume = addVolume(noise(SHAPE), PLAIN, "CT")
    tilted = addVolume(noise(SHAPE), rotation((1, 0, 0), 30) @ PLAIN, "tilted")
    segmentation = addSegmentation(volume, {"a": LIVER}, geometry=tilted)
    assert "'name of a' was drawn at an angle to the slices of the scan 'CT'" in refusal(volume, segmentation)


def test_a_solid_segment_on_an_oblique_grid_keeps_its_place_and_shape():
    shape = (30, 30, 30)
    volume = addVolume(noise(shape), matrix((1.0, 1.0, 1.0), (15, 15, -15)))
    turn = rotation((1, 1, 0), 30)
    oblique = addVolume(noise((50, 50, 50)), turn @ matrix((0.7, 0.7, 0.7), (17, 17, -17)), "oblique")
    where = np.stack(np.meshgrid(*(np.arange(50),) * 3, indexing="ij"))[::-1].reshape(3, -1)
    world = (turn @ matrix((0.7, 0.7, 0.7), (17, 17, -17)) @ np.vstack([where, np.ones(where.shape[1])]))[:3]
    ball = (((world.T - (2, -1, 0)) ** 2).sum(axis=1) < 81).reshape(50, 50, 50)
    found = masksOf(volume, addSegmentation(volume, {"a": ball}, geometry=oblique))["a"]
    where = np.stack(np.meshgrid(*(np.arange(30),) * 3, indexing="ij"))[::-1].reshape(3, -1)
    world = (matrix((1.0, 1.0, 1.0), (15, 15, -15)) @ np.vstack([where, np.ones(where.shape[1])]))[:3]
    wanted = (((world.T - (2, -1, 0)) ** 2).sum(axis=1) < 81).reshape(shape)
    assert dice(found, wanted) > 0.97
    assert dice(np.roll(found, 1, 0), wanted) < 0.95


def test_a_segment_outside_the_volume_is_refused_by_name():
    volume = addVolume(noise(SHAPE), PLAIN, "CT")
    segmentation = addSegmentation(volume, {"a": LIVER, "b": KIDNEY})
    addTransform(shift(500, 0, 0), segmentation)
    assert "'name of a' lies outside the scan 'CT'" in refusal(volume, segmentation)


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

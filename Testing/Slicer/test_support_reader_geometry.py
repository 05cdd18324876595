"""The annotation, read from any geometry and under any transform onto the scan's own grid."""

from __future__ import annotations

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
    noise,
    rotation,
    shift,
)
from support_reading import KIDNEY, LIVER, PLAIN, SHAPE, masksOf, refusal


@pytest.fixture(autouse=True)
def imports(scene, monkeypatch):
    importable(monkeypatch)


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

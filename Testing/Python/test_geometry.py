from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from DPLSegmentLib.errors import InputError
from DPLSegmentLib.geometry import Volume, matching_slice_axis, slice_frame, world_axes

REORIENTATIONS = [(order, flips) for order in permutations(range(3)) for flips in product((False, True), repeat=3)]


def reoriented(volume: Volume, order: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """The same physical volume with IJK axes ``order`` (new axis n = old axis order[n]), some reversed."""
    matrix = volume.ijk_to_world.copy()
    array = np.transpose(volume.array, [2 - order[2 - n] for n in range(3)])
    columns = matrix[:3, list(order)]
    origin = matrix[:3, 3].copy()
    for axis in range(3):
        if flips[axis]:
            count = volume.shape_ijk[order[axis]]
            origin += columns[:, axis] * (count - 1)
            columns[:, axis] *= -1
            array = np.flip(array, 2 - axis)
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = columns, origin
    return Volume(array, result)


def rotation(x: float, y: float, z: float) -> np.ndarray:
    transform = sitk.Euler3DTransform()
    transform.SetRotation(x, y, z)
    return np.reshape(transform.GetMatrix(), (3, 3))


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    angles = [draw(st.floats(-3.1, 3.1)) for _ in range(3)]
    spacing = [draw(st.floats(0.3, 9)) for _ in range(3)]
    sizes = [draw(st.integers(1, 6)) for _ in range(3)]
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(*angles) * spacing
    matrix[:, 2] *= draw(st.sampled_from([-1, 1]))
    matrix[:3, 3] = [draw(st.floats(-500, 500)) for _ in range(3)]
    return Volume(np.random.default_rng(sum(sizes)).normal(size=sizes), matrix)


@settings(deadline=None, max_examples=60)
@given(volumes(), st.sampled_from(REORIENTATIONS), st.integers(0, 2))
def test_a_reoriented_copy_gives_the_identical_slices(volume, reorientation, axis):
    order, flips = reorientation
    copy = reoriented(volume, order, flips)
    copy_axis = order.index(axis)
    frame, copy_frame = slice_frame(volume, axis), slice_frame(copy, copy_axis)
    np.testing.assert_array_equal(frame.apply(volume.array), copy_frame.apply(copy.array))
    np.testing.assert_allclose(frame.spacing, copy_frame.spacing)
    assert matching_slice_axis(copy, volume, axis) == copy_axis


@pytest.mark.parametrize("angles", [(np.pi / 4, 0, 0), (0, 0, np.pi / 4), (np.pi / 4, 0.61547970867, 0)])
@pytest.mark.parametrize("reorientation", REORIENTATIONS[::5])
def test_exactly_diagonal_scans_are_oriented_the_same_way_however_they_are_stored(angles, reorientation):
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(*angles)
    volume = Volume(np.arange(60.0).reshape(3, 4, 5), matrix)
    copy = reoriented(volume, *reorientation)
    for axis in range(3):
        np.testing.assert_array_equal(
            slice_frame(volume, axis).apply(volume.array),
            slice_frame(copy, reorientation[0].index(axis)).apply(copy.array),
        )


@settings(deadline=None, max_examples=40)
@given(volumes(), st.integers(0, 2))
def test_a_frame_is_exactly_invertible_and_keeps_track_of_slices(volume, axis):
    frame = slice_frame(volume, axis)
    stack = frame.apply(volume.array)
    np.testing.assert_array_equal(frame.invert(stack), volume.array)
    for index in range(volume.shape_ijk[axis]):
        own = np.take(volume.array, index, axis=2 - axis)
        assert frame.ijk_index(frame.slice_index(index)) == index
        np.testing.assert_array_equal(np.sort(stack[frame.slice_index(index)], axis=None), np.sort(own, axis=None))


def test_axial_slices_have_anterior_on_top_and_the_patients_left_on_the_right():
    array = np.zeros((4, 5, 6))
    array[3, 4, 0] = 1  # most superior, most anterior, most left of an RAS-ordered volume
    frame = slice_frame(Volume(array, np.eye(4)), 2)
    assert np.argwhere(frame.apply(array)).tolist() == [[3, 0, 5]]


def test_sagittal_and_coronal_slices_have_superior_on_top():
    array = np.zeros((4, 5, 6))
    array[3, 4, 5] = 1  # superior, anterior, right
    volume = Volume(array, np.eye(4))
    assert np.argwhere(slice_frame(volume, 0).apply(array)).tolist() == [[5, 0, 0]]
    assert np.argwhere(slice_frame(volume, 1).apply(array)).tolist() == [[4, 0, 0]]


def test_world_axes_assign_each_axis_once_even_when_two_point_the_same_way():
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(0.75, 0.1, 0.0)
    assert sorted(world_axes(Volume(np.zeros((2, 2, 2)), matrix))) == [0, 1, 2]


@settings(deadline=None, max_examples=30)
@given(volumes())
def test_conversion_to_simpleitk_keeps_every_voxel_in_its_place(volume):
    image = volume.to_sitk()
    i, j, k = (count - 1 for count in volume.shape_ijk)
    expected = volume.ijk_to_world @ (i, j, k, 1)
    x, y, z = image.TransformIndexToPhysicalPoint((i, j, k))
    np.testing.assert_allclose((-x, -y, z), expected[:3], atol=1e-6)
    assert image.GetPixel(i, j, k) == volume.array[k, j, i]
    back = Volume.from_sitk(image)
    np.testing.assert_allclose(back.ijk_to_world, volume.ijk_to_world, atol=1e-9)
    np.testing.assert_array_equal(back.array, volume.array)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (sitk.Image(4, 4, sitk.sitkFloat32), "2-D"),
        (sitk.Image([3, 3, 3, 2], sitk.sitkFloat32), "4-D"),
        (sitk.Image([3, 3, 3], sitk.sitkVectorFloat32, 3), "3 values per voxel"),
        (sitk.Image([3, 3, 3], sitk.sitkComplexFloat32), "complex"),
    ],
)
def test_images_that_are_not_one_real_scan_are_refused(image, words):
    with pytest.raises(InputError, match=words):
        Volume.from_sitk(image)


SINGULAR = np.diag([1.0, 1.0, 0.0, 1.0])
FLAT = np.array([[1.0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
RAMP = np.arange(8.0).reshape(2, 2, 2)


@pytest.mark.parametrize(
    ("array", "matrix", "words"),
    [
        (np.zeros((2, 2)), np.eye(4), "array axes"),
        (np.zeros((0, 2, 2)), np.eye(4), "no voxels"),
        (RAMP.astype(complex), np.eye(4), "complex"),
        (np.where(RAMP == 3, np.nan, RAMP), np.eye(4), "NaN"),
        (np.where(RAMP == 3, -np.inf, RAMP), np.eye(4), "NaN or infinite"),
        (np.ones((2, 2, 2)), np.eye(4), "same value"),
        (RAMP, SINGULAR, "inverted"),
        (RAMP, FLAT, "inverted"),
        (RAMP, np.full((4, 4), np.nan), "matrix"),
        (RAMP, np.eye(3), "matrix"),
    ],
)
def test_volumes_that_cannot_be_used_are_refused_with_a_reason(array, matrix, words):
    with pytest.raises(InputError, match=words):
        Volume(array, matrix, "scan").validate()


def test_anisotropic_single_slice_and_left_handed_volumes_are_valid():
    Volume(RAMP, np.diag([-0.001, 5.0, 80.0, 1.0])).validate()
    Volume(RAMP[:1].astype(np.int16), np.eye(4)).validate()

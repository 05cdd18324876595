"""Metrics on shapes whose overlap and distances are known on paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from DPLSegmentLib.errors import InputError
from DPLSegmentLib.evaluation import dice, hausdorff95, surface_dice

SPACING = (4.0, 1.5, 1.0)


def block(
    first: tuple[int, int, int], size: tuple[int, int, int], shape: tuple[int, int, int] = (20, 24, 28)
) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(start, start + length) for start, length in zip(first, size, strict=True))] = True
    return mask


def ball(radius: float, spacing: tuple[float, float, float], half: float = 18.0) -> np.ndarray:
    axes = [np.arange(-half, half + step / 2, step) for step in spacing]
    grid = np.meshgrid(*axes, indexing="ij")
    return sum(axis**2 for axis in grid) <= radius**2


def test_dice_of_a_half_shifted_block_is_one_half():
    assert dice(block((4, 4, 4), (4, 4, 4)), block((6, 4, 4), (4, 4, 4))) == 0.5


def test_dice_leaves_out_the_excluded_slices():
    truth, prediction = block((4, 4, 4), (4, 4, 4)), block((5, 4, 4), (1, 4, 4))
    assert dice(prediction, truth) == pytest.approx(2 / 5)
    assert dice(prediction, truth, excluded_slices=[5]) == 0.0
    assert dice(prediction, truth, excluded_slices=[4, 6, 7]) == 1.0


def test_dice_excludes_along_the_named_axis():
    truth, prediction = block((4, 4, 4), (4, 4, 4)), block((4, 4, 4), (4, 4, 2))
    assert dice(prediction, truth, excluded_slices=[6, 7], slice_axis=2) == 1.0
    assert dice(prediction, truth, excluded_slices=[6, 7], slice_axis=1) == pytest.approx(2 / 3)


def test_dice_refuses_a_slice_that_is_not_there():
    with pytest.raises(IndexError):
        dice(block((4, 4, 4), (4, 4, 4)), block((4, 4, 4), (4, 4, 4)), excluded_slices=[20])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slab_thickened_on_one_side_is_that_many_millimetres_away(axis):
    # Both slabs fill the array across, so apart from the rim all surface is the two flat sides.
    size, longer, first = [40, 40, 40], [40, 40, 40], [0, 0, 0]
    first[axis], size[axis], longer[axis] = 10, 4, 7
    a, b = block(tuple(first), tuple(size), (40, 40, 40)), block(tuple(first), tuple(longer), (40, 40, 40))
    assert hausdorff95(a, b, SPACING) == pytest.approx(3 * SPACING[axis], rel=1e-5)


def test_surface_dice_counts_the_area_within_the_tolerance():
    # A cube of 10 voxels of 1 mm and the same cube without its last layer: 500 of 600 and 460 of 560 mm^2
    # coincide.
    cube, cut = block((4, 4, 4), (10, 10, 10)), block((4, 4, 4), (10, 10, 9))
    assert surface_dice(cube, cut, (1, 1, 1), tolerance=1.0) == 1.0
    # At tolerance 0: the top face is missed (100 + 100), and the rim of the cube's sides (40).
    assert surface_dice(cube, cut, (1, 1, 1), tolerance=0.0) == pytest.approx((460 + 460) / (600 + 560))


def test_area_weighting_follows_the_spacing():
    # Only the two end faces of the longer bar move; their share of the surface grows with the cross-section.
    short, long = block((4, 4, 4), (4, 4, 4)), block((4, 4, 4), (8, 4, 4))
    thick, thin = (0.1, 2.0, 2.0), (2.0, 0.1, 0.1)
    assert surface_dice(short, long, thick, tolerance=0.0) == pytest.approx(_expected_bar(thick), rel=1e-5)
    assert surface_dice(short, long, thin, tolerance=0.0) == pytest.approx(_expected_bar(thin), rel=1e-5)


def _expected_bar(spacing: tuple[float, float, float]) -> float:
    end = 16 * spacing[1] * spacing[2]
    sides = 8 * (spacing[0] * spacing[1] + spacing[0] * spacing[2]) * 4
    return 2 * (end + sides) / ((2 * end + sides) + (2 * end + 2 * sides))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (1.0, 2.0, 0.5)])
def test_concentric_balls_differ_by_their_radii(spacing):
    small, large = ball(10, spacing), ball(14, spacing)
    assert hausdorff95(small, large, spacing) == pytest.approx(4.0, abs=max(spacing))
    assert surface_dice(small, large, spacing, tolerance=4.0 + max(spacing)) > 0.99
    assert surface_dice(small, large, spacing, tolerance=4.0 - max(spacing)) < 0.2


def test_ball_overlap_is_the_ratio_of_volumes():
    spacing = (0.5, 0.5, 0.5)
    small, large = ball(10, spacing), ball(14, spacing)
    assert dice(small, large) == pytest.approx(2 * 10**3 / (10**3 + 14**3), abs=0.01)


def test_empty_masks_are_defined():
    empty, full = np.zeros((5, 6, 7), bool), block((1, 1, 1), (2, 2, 2), (5, 6, 7))
    assert (dice(empty, empty), hausdorff95(empty, empty, SPACING), surface_dice(empty, empty, SPACING)) == (
        1,
        0,
        1,
    )
    for a, b in ((empty, full), (full, empty)):
        assert (dice(a, b), hausdorff95(a, b, SPACING), surface_dice(a, b, SPACING)) == (0, float("inf"), 0)


def test_masks_that_touch_the_border_of_the_array_have_a_surface_there():
    full = np.ones((4, 4, 4), bool)
    assert hausdorff95(full, full, SPACING) == 0.0
    assert surface_dice(full, full, SPACING, tolerance=0.0) == 1.0


def test_label_values_other_than_one_count_as_inside():
    assert dice(block((4, 4, 4), (4, 4, 4)) * 7, block((4, 4, 4), (4, 4, 4))) == 1.0


@pytest.mark.parametrize("metric", [hausdorff95, surface_dice])
@pytest.mark.parametrize("spacing", [(1, 1), (1, 0, 1), (1, -1, 1), (1, float("nan"), 1)])
def test_unusable_spacing_is_refused(metric, spacing):
    mask = block((4, 4, 4), (4, 4, 4))
    with pytest.raises(InputError, match="spacing"):
        metric(mask, mask, spacing)


def test_masks_on_different_grids_are_refused():
    with pytest.raises(InputError, match="shape"):
        dice(np.ones((3, 3, 3)), np.ones((3, 3, 4)))
    with pytest.raises(InputError, match="tolerance"):
        surface_dice(np.ones((3, 3, 3)), np.ones((3, 3, 3)), SPACING, tolerance=-1)


@given(
    st.integers(0, 2**32 - 1),
    st.permutations([0, 1, 2]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_metrics_are_symmetric_and_do_not_depend_on_the_axis_order(seed, order, flips):
    random = np.random.default_rng(seed)
    a, b = (random.random((4, 5, 6)) < 0.4 for _ in range(2))
    turned = [
        np.transpose(mask, order)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)] for mask in (a, b)
    ]
    spacing = [SPACING[axis] for axis in order]
    assert dice(a, b) == dice(b, a) == dice(*turned)
    assert hausdorff95(a, b, SPACING) == pytest.approx(hausdorff95(*turned[::-1], spacing), rel=1e-5)
    assert surface_dice(a, b, SPACING) == pytest.approx(surface_dice(*turned[::-1], spacing), rel=1e-5)


@given(st.integers(0, 2**32 - 1))
def test_distances_equal_brute_force(seed):
    random = np.random.default_rng(seed)
    a, b = (random.random((3, 4, 3)) < 0.5 for _ in range(2))
    if not a.any() or not b.any():
        return
    faces_a, faces_b = _faces(a), _faces(b)
    between = np.linalg.norm(faces_a[:, None, :3] - faces_b[None, :, :3], axis=-1)
    near_a, near_b = between.min(1), between.min(0)
    within = faces_a[near_a <= 2.0 + 1e-6, 3].sum() + faces_b[near_b <= 2.0 + 1e-6, 3].sum()
    assert surface_dice(a, b, SPACING, tolerance=2.0) == pytest.approx(
        within / (faces_a[:, 3].sum() + faces_b[:, 3].sum()), rel=1e-5
    )
    assert hausdorff95(a, b, SPACING) <= max(near_a.max(), near_b.max()) + 1e-4


def _faces(mask: np.ndarray) -> np.ndarray:
    """(n, 4): centre in mm and area of every boundary face, one at a time."""
    spacing, rows = np.array(SPACING), []
    padded = np.pad(mask, 1)
    for index in np.argwhere(padded):
        for axis in range(3):
            for side in (-1, 1):
                step = np.eye(3, dtype=int)[axis] * side
                if not padded[tuple(index + step)]:
                    rows.append([*((index + step / 2) * spacing), spacing.prod() / spacing[axis]])
    return np.array(rows)

"""Whether uncertainty points at errors, on cases that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from DPLSegmentLib.evaluation.metrics import hausdorff95, surface_dice, surface_scores
from DPLSegmentLib.evaluation.uncertainty import auroc, near_surface, rank_errors

SPACING = (4.0, 2.0, 2.0)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_auroc_is_the_chance_that_an_error_scores_higher(pairs):
    scores, positive = (np.array(part) for part in zip(*pairs, strict=True))
    wins = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    if not wins:
        assert np.isnan(auroc(scores, positive))
    else:
        assert auroc(scores, positive) == pytest.approx(np.mean(wins))
        assert auroc(-scores, positive) == pytest.approx(1 - np.mean(wins))


def box(first: int, last: int, side: int = 6, count: int = 12, size: int = 24) -> np.ndarray:
    mask = np.zeros((count, size, size), bool)
    middle = size // 2
    mask[first : last + 1, middle - side // 2 : middle + side // 2, middle - side // 2 : middle + side // 2] = True
    return mask


def test_near_the_surface_means_millimetres_from_its_faces():
    mask = box(5, 6)
    near = near_surface(mask, SPACING, 5.0)
    column = near[:, 12, 12]
    # Faces lie between slices 4 and 5, and 6 and 7: 2 mm from the centres of those, 6 mm from the next.
    assert np.flatnonzero(column).tolist() == [4, 5, 6, 7]
    assert np.flatnonzero(near_surface(mask, SPACING, 6.0)[:, 12, 12]).tolist() == [3, 4, 5, 6, 7, 8]
    row = near[5, 12]
    # 12 mm wide, faces 1 mm beyond the outer pixels' centres: three pixels of 2 mm fit into 5 mm outside.
    assert np.flatnonzero(row).tolist() == list(range(6, 18))
    assert not near_surface(np.zeros_like(mask), SPACING).any()


@given(st.integers(0, 3), st.integers(0, 3), st.sampled_from([1.0, 4.0, 10.0]))
def test_near_the_surface_agrees_with_every_single_face(first, side, reach):
    mask = np.zeros((6, 7, 7), bool)
    mask[first : first + 2, 1 : 2 + side, 2 : 3 + side] = True
    padded = np.pad(mask, 1)
    faces = []
    for axis in range(3):
        for place in np.argwhere(np.diff(padded.astype(int), axis=axis) != 0):
            centre = place - 1.0
            centre[axis] += 0.5
            faces.append(centre * SPACING)
    voxels = np.argwhere(np.ones_like(mask)) * np.array(SPACING)
    distance = np.sqrt(((voxels[:, None] - np.array(faces)[None]) ** 2).sum(-1)).min(1).reshape(mask.shape)
    assert np.array_equal(near_surface(mask, SPACING, reach), distance <= reach * (1 + 1e-6))


def test_surface_scores_are_both_scores_at_once():
    for found, truth in ((box(3, 6), box(4, 8, 8)), (box(3, 6), np.zeros((12, 24, 24), bool))):
        both = surface_scores(found, truth, SPACING, 2.0)
        assert both == (hausdorff95(found, truth, SPACING), surface_dice(found, truth, SPACING, 2.0))


def test_uncertainty_on_the_errors_ranks_them_perfectly_and_elsewhere_not():
    found, truth = box(3, 8), box(3, 7)
    wrong = (found != truth).astype(float)
    scored = np.ones(12, bool)
    right = rank_errors(found, truth, wrong, SPACING, scored)
    assert right.auroc == 1.0 and right.worst_found == 1.0
    elsewhere = (truth & (np.arange(12) < 6)[:, None, None]).astype(float)
    astray = rank_errors(found, truth, elsewhere, SPACING, scored)
    assert astray.auroc < 0.5 and astray.worst_found == 0.0


def test_an_error_at_an_end_is_found_without_looking_at_the_uncertainty():
    found, truth = box(3, 7), box(3, 8)
    ranking = rank_errors(found, truth, np.zeros(found.shape), SPACING, np.ones(12, bool))
    assert ranking.auroc == 0.5 and ranking.worst_at_ends == 1.0


def test_an_error_in_the_middle_is_found_by_the_uncertainty_alone():
    found = box(2, 9)
    found[2] = box(2, 2, side=4)[2]
    truth = found.copy()
    truth[6, :, :12] = False
    doubt = np.zeros(found.shape)
    doubt[6] = 0.8
    ranking = rank_errors(found, truth, doubt, SPACING, np.ones(12, bool))
    assert ranking.worst_found == 1.0 and ranking.worst_at_ends == 0.0


def test_slices_that_do_not_count_play_no_part():
    found, truth = box(3, 8), box(3, 8)
    found[3] = False
    doubt = np.zeros(found.shape)
    doubt[4, 11, 11] = 0.5
    truth[5, 12, 12] = False
    scored = np.arange(12) != 3
    ranking = rank_errors(found, truth, doubt, SPACING, scored)
    # Without slice 3 the only wrong voxel is in slice 5, where nothing is uncertain.
    assert ranking.auroc < 0.5


def test_a_label_of_few_slices_has_no_worst_one_and_nothing_found_has_no_curve():
    doubt = np.zeros((12, 24, 24))
    assert np.isnan(rank_errors(box(3, 5), box(3, 5), doubt, SPACING, np.ones(12, bool)).worst_found)
    assert np.isnan(rank_errors(np.zeros((12, 24, 24), bool), box(3, 8), doubt, SPACING, np.ones(12, bool)).auroc)

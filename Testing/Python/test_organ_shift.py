"""Where along the slice axis an organ lies in another patient, next to where the alignment expects it."""

from __future__ import annotations

import pytest
import torch
from helpers import disc, seeded

import DPLSegmentLib.organ_shift as module
from DPLSegmentLib.checkpoint import load_weights
from DPLSegmentLib.coarse import CoarseOrgans, CoarseScan
from DPLSegmentLib.errors import Cancelled
from DPLSegmentLib.looking import Looking
from DPLSegmentLib.organ_shift import COUNTED, SHIFTS_MM, organ_shifts
from DPLSegmentLib.progress_parts import ProgressPart

SIDE, COUNT, SLICE_MM, WIDTH = 16, 22, 8.0, 64
ORGAN = range(8, 14)  # slices
TURN = 0.15  # rad a slice, by which the look of an organ's column changes
COLUMNS = {1: disc(SIDE, (7.5, 3.5), 3), 2: disc(SIDE, (7.5, 11.5), 3)}
AXES = torch.linspace(-1, 1, SIDE)
PLACES = torch.stack(torch.meshgrid(AXES, AXES, indexing="ij")).expand(COUNT, -1, -1, -1)


def patient(slices_up: dict[int, int], seed: int) -> CoarseScan:
    """A body with two columns whose look changes steadily along the slice axis; an organ is a piece of a column.

    Nothing but its height tells an organ from what lies above and below it, as along bowel or spine.
    """
    features = 0.05 * torch.randn(COUNT, WIDTH, SIDE, SIDE, generator=seeded(seed))
    features[:, 0] += 1.0 - sum(COLUMNS.values())
    for label, column in COLUMNS.items():
        angle = TURN * (torch.arange(COUNT) - slices_up[label])
        for axis, values in enumerate((angle.cos(), angle.sin())):
            features[:, 2 * label + axis] += values[:, None, None] * column
    return CoarseScan(features, PLACES, SLICE_MM)


def organ_masks(slices_up: dict[int, int]) -> torch.Tensor:
    """(L, N, h, w)."""
    inside = {n: torch.tensor([float(index - up in ORGAN) for index in range(COUNT)]) for n, up in slices_up.items()}
    return torch.stack([inside[n][:, None, None] * COLUMNS[n] for n in COLUMNS])


def looking(slices_up: dict[int, int]) -> Looking:
    still = dict.fromkeys(COLUMNS, 0)
    organs = CoarseOrgans(list(COLUMNS), organ_masks(still))
    where = [float(n) for n in range(COUNT)]
    return Looking(load_weights()[0], patient(slices_up, 2), patient(still, 1), organs, where, None)


@pytest.mark.parametrize("slices", [-3, -2, -1, 0, 1, 2, 3])
def test_an_organ_that_lies_higher_or_lower_is_found_there_and_the_other_is_left(slices):
    shifts = organ_shifts(looking({1: slices, 2: 0}), ProgressPart(None))
    assert shifts == [-slices * SLICE_MM, 0.0]


def test_the_look_is_better_for_it():
    ups = {1: 2, 2: -2}
    look, wanted = looking(ups), organ_masks(ups)
    with torch.inference_mode():
        before = look.plainly(ProgressPart(None)).probability
        look.shifts = organ_shifts(look, ProgressPart(None))
        after = look.plainly(ProgressPart(None)).probability
    wrong = [((found - wanted).abs().sum((1, 2, 3)) / wanted.sum((1, 2, 3))).tolist() for found in (before, after)]
    assert all(now < 0.8 * then for then, now in zip(*wrong, strict=True)), wrong


def test_an_organ_of_which_nothing_is_found_stays_where_it_is():
    look = looking({1: 0, 2: 2})
    look.organs.masks[0] = 0.0
    assert organ_shifts(look, ProgressPart(None)) == [SHIFTS_MM[0], -2 * SLICE_MM] == [0.0, -16.0]


def test_the_prior_holds_organs_back(monkeypatch):
    monkeypatch.setattr(module, "SPREAD_MM", 4.0)
    assert organ_shifts(looking({1: 2, 2: -2}), ProgressPart(None)) == [0.0, 0.0]


def with_column(look: Looking, values: torch.Tensor) -> Looking:
    """The same with other features (N, C) in the first column of the query."""
    features = torch.where(COLUMNS[1] > 0.5, values[:, :, None, None], look.query.features)
    look.query = CoarseScan(features, PLACES, SLICE_MM)
    return look


def test_an_organ_that_is_not_in_the_query_is_not_moved():
    look = looking({1: 0, 2: 2})
    body = torch.zeros(COUNT, WIDTH)
    body[:, 0] = 1.0
    assert organ_shifts(with_column(look, body), ProgressPart(None)) == [0.0, -2 * SLICE_MM]


def test_an_organ_whose_look_says_nothing_about_its_place_does_not_drift_away():
    look = looking({1: 0, 2: 2})
    everywhere = look.query.features[ORGAN[len(ORGAN) // 2], :, 7, 3]
    drifting = with_column(look, everywhere.expand(COUNT, -1))
    assert abs(organ_shifts(drifting, ProgressPart(None))[0]) <= SLICE_MM


def test_where_the_support_does_not_reach_nothing_is_shifted():
    look = looking({1: 2, 2: 2})
    look.where = [float("nan")] * COUNT
    assert organ_shifts(look, ProgressPart(None)) == [0.0, 0.0]


def test_of_many_slices_some_are_looked_at_and_cancelling_is_asked_for_at_each():
    asked = []
    look = looking({1: 0, 2: 0})
    times = -(-3 * COUNTED // COUNT) + 1
    look.where, look.should_cancel = look.where * times, lambda: asked.append(1) is not None
    look.query = CoarseScan(*(v.repeat(times, 1, 1, 1) for v in (look.query.features, look.query.places)), SLICE_MM)
    assert organ_shifts(look, ProgressPart(None)) == [0.0, 0.0]
    assert COUNTED // 2 < len(asked) <= COUNTED
    look.should_cancel = lambda: True
    with pytest.raises(Cancelled):
        organ_shifts(look, ProgressPart(None))

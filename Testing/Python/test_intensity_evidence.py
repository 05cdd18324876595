"""Intensities weighed in at the end of a walk: they help where inside and outside differ, and are silent elsewhere."""

from __future__ import annotations

import pytest
import torch
from helpers import disc, seeded

import DPLSegmentLib.intensity_evidence as module
from DPLSegmentLib.errors import Cancelled
from DPLSegmentLib.intensity_evidence import _LIMIT, GAIN, OPEN, IntensityEvidence, attached, weigh_intensities
from DPLSegmentLib.propagation import LabelResult
from DPLSegmentLib.step import EncodedScan

SIDE, COUNT, CENTRE = 64, 5, (30, 33)
TRUTH = disc(SIDE, CENTRE, 14)


def scan(contrast: float, scale: float = 1.0, offset: float = 0.0, seed: int = 0) -> EncodedScan:
    """An organ that is brighter than its surroundings by ``contrast``, in noise of 0.05."""
    noise = 0.05 * torch.randn(COUNT, SIDE, SIDE, generator=seeded(seed))
    images = scale * (0.4 + contrast * TRUTH + noise) + offset
    return EncodedScan(images, torch.zeros(COUNT, 1, SIDE // 4, SIDE // 4), 1.0, 4.0)


def found(radius: float) -> LabelResult:
    """A disc with a soft border, about ``radius`` large at one half, in all slices."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    distance = ((rows - CENTRE[0]) ** 2 + (columns - CENTRE[1]) ** 2).sqrt()
    probability = ((radius - distance) / 2.5).sigmoid()
    return LabelResult({n: probability.half() for n in range(COUNT)})


def with_annotation(result: LabelResult) -> LabelResult:
    return LabelResult(result.probability | {2: TRUTH.half()})


def dice(probability: torch.Tensor) -> float:
    mask = probability > 0.5
    return float(2 * (mask & (TRUTH > 0.5)).sum() / (mask.sum() + TRUTH.sum()))


@pytest.mark.parametrize("radius", [12.0, 16.5], ids=["too small", "too large"])
@pytest.mark.parametrize("annotated", [(), (2,)], ids=["not annotated", "annotated"])
def test_where_intensities_differ_the_border_moves_towards_the_organs(radius, annotated):
    result = with_annotation(found(radius)) if annotated else found(radius)
    weighed = weigh_intensities(result, scan(0.5), annotated)
    for n in (0, 1, 3, 4):
        assert dice(weighed.probability[n]) > dice(result.probability[n]) + 0.02


def test_between_two_annotated_slices_intensities_count_more_than_beyond_them():
    result = found(16.5)
    result = LabelResult(result.probability | {n: TRUTH.half() for n in (1, 3)})
    weighed = weigh_intensities(result, scan(0.15), {1, 3})
    moved = {n: float((result.probability[n] - weighed.probability[n]).abs().sum()) for n in range(COUNT)}
    assert moved[1] == moved[3] == 0.0
    assert moved[2] > 1.5 * max(moved[0], moved[4]) > 0
    assert dice(weighed.probability[2]) > dice(weighed.probability[0])


def test_where_the_surroundings_look_the_same_next_to_nothing_changes():
    result = with_annotation(found(12.0))
    weighed = weigh_intensities(result, scan(0.0), {2})
    for n, before in result.probability.items():
        assert (weighed.probability[n] - before).abs().max() < 0.02


def test_what_was_annotated_stays_and_tells_what_counts():
    """The result has leaked so far that it knows no better itself; the annotation does."""
    result, looks = with_annotation(found(24.0)), scan(0.5)
    weighed = weigh_intensities(result, looks, {2})
    assert torch.equal(weighed.probability[2], TRUTH.half())
    alone = weigh_intensities(result, looks, ())
    assert dice(weighed.probability[0]) > dice(alone.probability[0]) + 0.02


def test_nothing_is_found_where_nothing_was_and_the_change_is_bounded():
    result = found(12.0)
    weighed = weigh_intensities(result, scan(0.5), ())
    for n, before in result.probability.items():
        after = weighed.probability[n].double()
        closed = before <= OPEN
        assert torch.equal(weighed.probability[n][closed], before[closed])
        seen = (before > 0.05) & (before < 0.95)
        change = torch.logit(after[seen]) - torch.logit(before[seen].double())
        assert 0.5 < change.abs().max() < GAIN * _LIMIT + 0.05


def test_no_islands_arise_where_the_organ_was_thought_possible_and_looks_alike():
    """A second disc looks like the organ and was thought possible; what touches the organ may join it."""
    result, looks = found(12.0), scan(0.5)
    far, near = disc(SIDE, (52, 54), 5) > 0.5, disc(SIDE, (30, 49), 3) > 0.5
    for n, part in result.probability.items():
        part[far | near] = part[far | near].clamp(min=0.35)
        looks.images[n][far | near] = 0.9
    weighed = weigh_intensities(result, looks, ())
    for n in result.probability:
        assert (weighed.probability[n][far] <= 0.5).all()
        assert (weighed.probability[n][near] > 0.5).any()


def test_attached_parts_are_found_around_corners_and_at_their_corners():
    mask = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 1, 0, 1], [1, 0, 0, 1, 0], [1, 0, 0, 0, 0]]).bool()[None]
    core = torch.zeros_like(mask)
    core[0, 0, 0] = core[0, 3, 4] = True
    expected = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 1, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]).bool()[None]
    assert torch.equal(attached(mask, core), expected)
    assert not attached(mask, torch.zeros_like(mask)).any()


def test_units_of_intensity_do_not_matter():
    result = found(12.0)
    one, other = (weigh_intensities(result, scan(0.5, *units), ()) for units in ((1.0, 0.0), (0.3, 0.2)))
    for n in result.probability:
        changed = (one.probability[n] - other.probability[n]).abs() > 0.02
        assert changed.float().mean() < 0.01


@pytest.mark.parametrize(
    "result",
    [LabelResult(), LabelResult({1: torch.zeros(SIDE, SIDE).half()}), LabelResult({1: disc(SIDE, CENTRE, 0.5).half()})],
    ids=["no slices", "empty", "one pixel"],
)
def test_too_little_to_count_changes_nothing(result):
    weighed = weigh_intensities(result, scan(0.5), ())
    assert weighed.probability.keys() == result.probability.keys()
    assert all(torch.equal(weighed.probability[n], part) for n, part in result.probability.items())


def test_an_organ_without_surroundings_gives_no_evidence():
    assert IntensityEvidence.of(torch.rand(1, SIDE, SIDE), torch.ones(1, SIDE, SIDE), 1.0) is None


def test_the_result_that_was_given_is_left_alone():
    result = found(12.0)
    before = {n: part.clone() for n, part in result.probability.items()}
    weigh_intensities(result, scan(0.5), ())
    assert all(torch.equal(result.probability[n], part) for n, part in before.items())


def test_cancelling_is_asked_for_every_few_slices(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 2)
    asked = []
    with pytest.raises(Cancelled):
        weigh_intensities(found(12.0), scan(0.5), (), lambda: asked.append(1) or len(asked) == 2)
    assert len(asked) == 2


def test_how_many_slices_are_weighed_at_once_changes_nothing(monkeypatch):
    together = weigh_intensities(found(12.0), scan(0.5), ())
    monkeypatch.setattr(module, "_CHUNK", 2)
    few = weigh_intensities(found(12.0), scan(0.5), ())
    assert all(torch.equal(part, few.probability[n]) for n, part in together.probability.items())

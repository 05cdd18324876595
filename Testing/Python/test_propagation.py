"""Propagation with an untrained network, whose decoder leaves the matching read-out as it is."""

from __future__ import annotations

import time

import pytest
import torch
from helpers import dice, disc, encoded_scan, no_similarity, seeded, untrained_model

from DPLSegmentLib.errors import Cancelled
from DPLSegmentLib.propagation import LabelTask, between, propagate

SIDE, SLICES = 96, 11
# a cylinder that leans: its centre moves by 1.5 pixels per slice
MASKS = torch.stack([disc(SIDE, (44, 40 + 1.5 * (n - SLICES // 2)), 13) for n in range(SLICES)])


@pytest.fixture(scope="module")
def model():
    return untrained_model()


@pytest.fixture(scope="module")
def scan(model):
    noise = torch.randn(MASKS.shape, generator=seeded())
    return encoded_scan(model, (0.2 + 0.5 * MASKS + 0.02 * noise).clamp(0, 1))


def task(scan, *annotated: int, masks=MASKS) -> LabelTask:
    return LabelTask({n: masks[n] for n in annotated}, no_similarity(scan))


def test_the_mask_follows_the_object_both_ways(model, scan):
    found = propagate(model, scan, {7: task(scan, 5)})[7].probability
    assert sorted(found) == list(range(SLICES))
    scores = [dice(found[n] > 0.5, MASKS[n] > 0.5) for n in range(SLICES)]
    assert min(scores) > 0.85, scores
    assert scores[5] == 1.0
    # following is more than copying
    assert dice(found[0] > 0.5, MASKS[0] > 0.5) > dice(MASKS[5] > 0.5, MASKS[0] > 0.5)


def test_the_result_is_the_same_bits_every_time(model, scan):
    first, second = (propagate(model, scan, {1: task(scan, 3, 8), 2: task(scan, 5)}) for _ in range(2))
    for label in (1, 2):
        assert list(first[label].probability) == list(second[label].probability)
        for n, value in first[label].probability.items():
            assert torch.equal(value, second[label].probability[n])


def test_several_annotated_slices_stand_and_meet_in_between(model, scan):
    found = propagate(model, scan, {1: task(scan, 2, 8)})[1].probability
    assert sorted(found) == list(range(SLICES))
    for n in (2, 8):
        assert torch.equal(found[n], MASKS[n].half())
    assert min(dice(found[n] > 0.5, MASKS[n] > 0.5) for n in range(SLICES)) > 0.85
    alone = propagate(model, scan, {1: task(scan, 2)})[1].probability
    assert dice(found[7] > 0.5, MASKS[7] > 0.5) >= dice(alone[7] > 0.5, MASKS[7] > 0.5)


def test_between_annotated_slices_the_nearer_one_weighs_more(model, scan):
    # different objects on the two annotated slices, in a scan that shows neither
    blank = encoded_scan(model, torch.full((9, SIDE, SIDE), 0.5))
    masks = torch.stack([disc(SIDE, (48, 48), 20 if n == 0 else 8) for n in range(9)])
    found = propagate(model, blank, {1: task(blank, 0, 8, masks=masks)})[1].probability
    areas = [float(found[n].float().sum()) for n in range(9)]
    assert areas[0] > areas[1] > areas[7] > areas[8] * 0.9


def test_the_walk_ends_when_the_decoder_says_gone(scan):
    found = propagate(untrained_model(stays=False), scan, {1: task(scan, 4)})[1].probability
    assert list(found) == [4]


def test_the_walk_ends_when_nothing_is_left_of_the_mask(scan):
    shrinking = untrained_model()
    torch.nn.init.constant_(shrinking.decoder.output.bias, -20.0)
    found = propagate(shrinking, scan, {1: task(scan, 4)})[1].probability
    assert list(found) == [4]


@pytest.mark.parametrize("count", [1, 2])
def test_very_short_scans_are_walked(model, scan, count):
    images = scan.images[:count]
    short = encoded_scan(model, images)
    found = propagate(model, short, {1: task(short, count - 1)})[1].probability
    assert sorted(found) == list(range(count))


def test_an_empty_annotation_gives_an_empty_result(model, scan):
    found = propagate(model, scan, {1: task(scan, 5, masks=torch.zeros_like(MASKS))})[1].probability
    assert not any(bool(value.any()) for value in found.values())


def test_progress_rises_to_one(model, scan):
    told: list[float] = []
    propagate(model, scan, {1: task(scan, 2, 8), 2: task(scan, 0)}, progress=lambda f, _: told.append(f))
    assert told == sorted(told) and told[-1] == 1.0 and 0.0 <= told[0] < 0.5


def test_cancelling_takes_effect_at_the_next_step(model, scan):
    asked: list[float] = []

    def cancel() -> bool:
        asked.append(time.monotonic())
        return len(asked) == 3

    with pytest.raises(Cancelled):
        propagate(model, scan, {1: task(scan, 5)}, should_cancel=cancel)
    assert len(asked) == 3 and time.monotonic() - asked[-1] < 0.1


@pytest.mark.parametrize(
    ("annotated", "expected"),
    [((), []), ((3,), []), ((3, 4), []), ((6, 2, 4), [3, 4, 5])],
    ids=["none", "one", "neighbours", "three in any order"],
)
def test_what_lies_between_annotated_slices(annotated, expected):
    assert list(between(annotated)) == expected

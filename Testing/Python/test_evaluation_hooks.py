"""What evaluation asks of the segmenter: known slices, and work on a support that is done once for all queries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import disc, encoded_scan, no_similarity, untrained_model
from scans import BALL, TUBE, annotate, dice, phantom

import DPLSegmentLib.segmenter as segmenter_module
from DPLSegmentLib import InputError, OneShotSegmenter
from DPLSegmentLib.propagation import propagate
from DPLSegmentLib.tracks import LabelTask

SHAPE, SPACING = (6, 32, 32), (8.0, 6.0, 6.0)


@pytest.fixture(scope="module")
def segmenter():
    return OneShotSegmenter.load(device="cpu")


@pytest.fixture(scope="module")
def scans():
    """Support, its annotation, two queries with truth."""
    support, truth = phantom(SHAPE, SPACING)
    return (
        support,
        annotate(truth),
        phantom(SHAPE, SPACING, shift=(0.1, 0.05, 0.0), seed=1),
        phantom((7, 32, 36), SPACING, shift=(0.0, -0.05, 0.05), seed=2),
    )


@pytest.fixture
def propagations(monkeypatch):
    """Counts how often a support is propagated in its own scan."""
    calls = []
    original = segmenter_module.inside_support
    monkeypatch.setattr(segmenter_module, "inside_support", lambda *given: (calls.append(1), original(*given))[1])
    return calls


def same(first, second) -> bool:
    return np.array_equal(first.labels, second.labels) and np.array_equal(first.uncertainty, second.uncertainty)


def test_a_second_query_reuses_the_support_and_gives_the_same_bits(segmenter, scans, propagations):
    support, drawn, (one, _), (other, _) = scans
    segmenter.set_support(support, drawn)
    segmenter.segment(one)
    second = segmenter.segment(other)
    assert len(propagations) == 1
    fresh = OneShotSegmenter.load(device="cpu")
    fresh.set_support(support, drawn)
    assert same(fresh.segment(other), second)


def test_whatever_changes_the_result_is_not_mistaken_for_the_same_support(segmenter, scans, propagations):
    support, drawn, (query, _), _ = scans
    only_ball = np.where(drawn == BALL, drawn, 0)
    moving = type(support)(support.array.copy(), support.ijk_to_world)
    segmenter.set_support(support, drawn)
    segmenter.segment(query)
    segmenter.set_support(moving, only_ball)
    assert set(np.unique(segmenter.segment(query).labels)) <= {0, BALL}
    segmenter.seed = 5
    segmenter.segment(query)
    segmenter.seed = 0
    moving.array[2:4] += 3.0
    segmenter.segment(query)
    segmenter.clear_cache()
    segmenter.segment(query)
    assert len(propagations) == 5


def test_a_label_whose_slices_are_known_lies_on_them_only(segmenter, scans):
    support, drawn, (query, truth), _ = scans
    shown = np.flatnonzero((truth == BALL).any(axis=(1, 2)))
    segmenter.set_support(support, drawn)
    known = segmenter.segment(query, correspondence={BALL: {int(index): float(index) for index in shown[:3]}})
    found = np.flatnonzero((known.labels == BALL).any(axis=(1, 2)))
    assert len(found) and set(found) <= set(shown[:3].tolist())
    # The other label is aligned as ever.
    plain = segmenter.segment(query)
    assert dice(known.labels, truth, TUBE) == pytest.approx(dice(plain.labels, truth, TUBE), abs=0.1)


def test_a_correspondence_means_slices_of_the_volumes_whatever_their_direction(segmenter, scans):
    support, drawn, (query, truth), _ = scans
    shown = [int(index) for index in np.flatnonzero((truth == BALL).any(axis=(1, 2)))]
    last = len(query.array) - 1
    flipped = query.ijk_to_world.copy()
    flipped[:3, 3] += flipped[:3, 2] * last
    flipped[:3, 2] *= -1
    segmenter.set_support(support, drawn)
    straight = segmenter.segment(query, correspondence={BALL: {index: index - 0.25 for index in shown}})
    turned = segmenter.segment(
        type(query)(query.array[::-1], flipped), correspondence={BALL: {last - index: index - 0.25 for index in shown}}
    )
    assert np.array_equal(straight.labels, turned.labels[::-1])


def test_slices_that_do_not_exist_are_refused(segmenter, scans):
    support, drawn, (query, _), _ = scans
    segmenter.set_support(support, drawn)
    with pytest.raises(InputError, match="slice 99 does not exist"):
        segmenter.segment(query, correspondence={BALL: {99: 1.0}})
    with pytest.raises(InputError, match="names no slice"):
        segmenter.segment(query, correspondence={BALL: {}})


def test_walks_between_known_ends_stop_there_and_not_before():
    model = untrained_model(stays=False)
    images = torch.rand(9, 64, 64, generator=torch.Generator().manual_seed(0))
    scan = encoded_scan(model, images)
    mask = disc(64, (32, 32), 14)
    free = propagate(model, scan, {1: LabelTask({4: mask}, no_similarity(scan))})
    assert set(free[1].probability) == {4}  # "gone" at once
    bound = propagate(model, scan, {1: LabelTask({4: mask}, no_similarity(scan), bounds=(3, 6))})
    assert {4} <= set(bound[1].probability) <= {3, 4, 5, 6}

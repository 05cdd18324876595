"""Where an object is expected on the next slice, and how large."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from helpers import dice, disc, encoded_scan, no_similarity, seeded, untrained_model

from DPLSegmentLib.motion import FOLLOWED_GROWTH, LIMIT, MOST_GROWTH, UNSURE_GROWTH, Motion, centre_of, diameter_of
from DPLSegmentLib.propagation import propagate
from DPLSegmentLib.step import KIND_ANNOTATED, KIND_LAST, KIND_OLDER, Appearance, Slot, StepRequest, _view
from DPLSegmentLib.tracks import LabelTask, make_tracks
from DPLSegmentLib.window import Window

SIDE = 96


def test_the_centre_of_a_mask_is_that_of_what_is_more_likely_than_not():
    mask = disc(SIDE, (40.0, 52.5), 9)
    assert centre_of(mask) == pytest.approx((40.0, 52.5), abs=0.05)
    assert centre_of(0.8 * mask) == pytest.approx((40.0, 52.5), abs=0.05)
    mask[0, 0] = 0.4
    assert centre_of(mask) == pytest.approx((40.0, 52.5), abs=0.05)
    assert centre_of(torch.zeros(8, 8)) is None


def test_a_steady_motion_is_learned_and_an_object_at_rest_is_expected_where_it_is():
    masks = [disc(SIDE, (30 + 3.0 * n, 60 - 2.0 * n), 8) for n in range(9)]
    motion = Motion()
    assert motion.expected(masks[0]) == (0, 0)
    for before, now in zip(masks, masks[1:], strict=False):
        motion = motion.seen(before, now)
    assert motion.velocity == pytest.approx((3.0, -2.0), abs=0.05)
    assert motion.expected(masks[-1]) == (3, -2)
    for _ in range(6):
        motion = motion.seen(masks[-1], masks[-1])
    assert motion.expected(masks[-1]) == (0, 0)


def test_one_look_over_several_slices_is_as_many_steps_of_the_same_motion():
    masks = [disc(SIDE, (30 + 2.0 * n, 40.0 + 1.0 * n), 8) for n in range(6)]
    steps = Motion((1.0, -1.0))
    for before, now in zip(masks, masks[1:], strict=False):
        steps = steps.seen(before, now)
    assert Motion((1.0, -1.0)).seen(masks[0], masks[5], 5).velocity == pytest.approx(steps.velocity, abs=1e-4)


def test_nothing_is_learned_from_an_empty_mask():
    motion, mask, nothing = Motion((2.0, 1.0)), disc(SIDE, (40, 40), 8), torch.zeros(SIDE, SIDE)
    assert motion.seen(mask, nothing) == motion.seen(nothing, mask) == motion
    assert motion.expected(nothing) == (0, 0)


def test_steady_growth_is_learned_and_what_a_walk_may_lose_by_itself_is_not_followed():
    for factor in (1.15, 0.85, 0.97):
        masks = [disc(2 * SIDE, (96, 96), 30 * factor**n) for n in range(8)]
        motion = Motion()
        for before, now in zip(masks, masks[1:], strict=False):
            motion = motion.seen(before, now)
        assert motion.growth == pytest.approx(math.log(factor), abs=0.02)
        assert motion.velocity == pytest.approx((0.0, 0.0), abs=0.1)
        beyond = max(0.0, abs(motion.growth) - UNSURE_GROWTH)
        assert abs(motion.followed_growth) == pytest.approx(FOLLOWED_GROWTH * beyond)
        assert motion.followed_growth * math.log(factor) >= 0.0
        assert (motion.followed_growth == 0.0) == (factor == 0.97)


def test_growth_is_bounded_however_much_a_mask_changes():
    small, large = disc(SIDE, (48, 48), 3), disc(SIDE, (48, 48), 40)
    for before, now in ((small, large), (large, small)):
        motion = Motion()
        for _ in range(20):
            motion = motion.seen(before, now)
        assert abs(motion.growth) <= MOST_GROWTH + 1e-9


@pytest.mark.parametrize("velocity", [(90.0, 0.0), (-30.0, 40.0), (0.3, -55.0)])
def test_no_object_is_expected_farther_away_than_half_its_diameter(velocity):
    for radius in (2, 5, 20):
        mask = disc(SIDE, (48, 48), radius)
        moved = Motion(velocity).expected(mask)
        assert math.hypot(*moved) <= LIMIT * diameter_of(mask) + math.sqrt(0.5)
        # in the direction of its motion
        cosine = (moved[0] * velocity[0] + moved[1] * velocity[1]) / (math.hypot(*moved) * math.hypot(*velocity))
        assert cosine > 0.9


def test_a_walk_looks_where_its_object_moves_and_remembers_it_in_the_same_place():
    model = untrained_model()
    masks = torch.stack([disc(SIDE, (40 + 4.0 * n, 30), 8) for n in range(9)])
    scan = encoded_scan(model, 0.2 + 0.6 * masks)
    up, _ = make_tracks(1, LabelTask({2: masks[2]}, no_similarity(scan)), scan, Motion())
    at_rest = up.request(scan)
    assert 0 < at_rest.moved[0] <= 4 and at_rest.moved[1] == 0  # nothing is expected, but the image tells
    assert at_rest.window.centre == pytest.approx((48 + at_rest.moved[0], 30), abs=1)
    for n in range(3, 7):
        up.accept(masks[n])
    request = up.request(scan)
    assert request.current == 7 and request.moved == (4, 0)
    assert request.window.centre == pytest.approx((68, 30), abs=1)
    for slot in request.slots:
        image, mask, _ = _view(request, slot)
        row, _ = centre_of(mask[0, 0])
        if slot.kind in (KIND_OLDER, KIND_LAST):
            assert row == pytest.approx(39.5, abs=2.5)  # the middle of the window: as if nothing had moved
            assert float((image[0, 0] * mask[0, 0]).sum() / mask.sum()) > float(image.mean())


def test_what_is_annotated_stays_where_it_was_annotated():
    scan = encoded_scan(untrained_model(), torch.rand(5, SIDE, SIDE, generator=seeded()))
    mask, window = disc(SIDE, (50, 50), 6), Window(30, 34, 40)
    look = Appearance.of(scan.images[1], mask, window)
    seen = {}
    for moved in ((0, 0), (3, -2)):
        request = StepRequest(scan, 3, window, [], no_similarity(scan), look, 1, moved)
        seen[moved] = [
            centre_of(_view(request, Slot(n, mask, kind))[1][0, 0])
            for n, kind in ((1, KIND_ANNOTATED), (1, KIND_OLDER), (2, KIND_LAST))
        ]
    still, moving = seen[(0, 0)], seen[(3, -2)]
    assert still[0] == moving[0]
    # 40 network pixels are 80 of the window: two slices before it was two steps back, so it is moved by as many.
    assert moving[1] == pytest.approx((still[1][0] + 12, still[1][1] - 8), abs=0.3)
    assert moving[2] == pytest.approx((still[2][0] + 6, still[2][1] - 4), abs=0.3)


def test_a_growing_object_is_remembered_as_large_as_it_should_be_now():
    scan = encoded_scan(untrained_model(), torch.rand(5, SIDE, SIDE, generator=seeded()))
    mask, window = disc(SIDE, (48, 48), 8), Window(28, 28, 40)
    look = Appearance.of(scan.images[1], mask, window)
    areas = {}
    for growth in (0.0, 0.1, -0.1):
        request = StepRequest(scan, 3, window, [], no_similarity(scan), look, 1, (0, 0), growth)
        for n, kind in ((1, KIND_OLDER), (2, KIND_LAST), (1, KIND_ANNOTATED)):
            found = _view(request, Slot(n, mask, kind))[1][0, 0]
            areas[growth, kind] = float(found.sum())
            assert centre_of(found) == pytest.approx((40.5, 40.5), abs=0.3)  # about the same centre
    for growth in (0.1, -0.1):
        assert areas[growth, KIND_ANNOTATED] == areas[0.0, KIND_ANNOTATED]
        for kind, slices in ((KIND_LAST, 1), (KIND_OLDER, 2)):
            # a window's side is a whole number of pixels: by up to one of 40 off
            assert areas[growth, kind] / areas[0.0, kind] == pytest.approx(math.exp(2 * growth * slices), rel=0.06)


@pytest.mark.parametrize("follows", [True, False])
def test_of_two_vessels_side_by_side_the_one_that_was_annotated_is_followed(follows):
    """On the next slice its neighbour is nearer to where it was than it is itself."""
    model = untrained_model()
    model.config = replace(model.config, follows=follows)
    vessel, neighbour = (
        torch.stack([disc(SIDE, (26 + 4.0 * n - behind, 48), 3) for n in range(14)]) for behind in (0, 7)
    )
    noise = 0.02 * torch.randn(vessel.shape, generator=seeded())
    scan = encoded_scan(model, (0.3 + 0.5 * torch.maximum(vessel, neighbour) + noise).clamp(0, 1))
    found = propagate(model, scan, {1: LabelTask({0: vessel[0], 1: vessel[1]}, no_similarity(scan))})[1].probability
    right = sorted(found) == list(range(14)) and min(dice(found[n] > 0.5, vessel[n] > 0.5) for n in found) > 0.6
    assert right == follows


def test_between_annotated_slices_the_motion_is_known_from_the_first_step_on():
    model = untrained_model()
    masks = torch.stack([disc(SIDE, (30 + 3.0 * n, 60 - 2.0 * n), 8) for n in range(11)])
    blank = encoded_scan(model, torch.full((11, SIDE, SIDE), 0.5))  # the image tells nothing
    tracks = make_tracks(1, LabelTask({1: masks[1], 9: masks[9]}, no_similarity(blank)), blank, Motion())
    for track in tracks:
        assert track.request(blank).moved == ((3, -2) if track.direction > 0 else (-3, 2))
    assert all(track.request(blank).moved == (0, 0) for track in make_tracks(1, tracks[0].task, blank))

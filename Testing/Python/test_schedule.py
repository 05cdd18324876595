from __future__ import annotations

import math

import pytest
import torch
from helpers import seeded, unit_vectors

from DPLSegmentLib.schedule import CosineSchedule


@pytest.mark.parametrize("steps", [1, 10, 100, 1000])
def test_the_signal_falls_monotonically_from_one_to_almost_nothing(steps):
    alpha_bar = CosineSchedule(steps).alpha_bar
    assert len(alpha_bar) == steps + 1
    assert alpha_bar[0] == 1.0 and 0.0 < alpha_bar[-1] < 1e-3
    # strictly, as far as it is above its floor
    assert bool((alpha_bar[alpha_bar > 1.1e-5].diff() < 0).all()) and bool((alpha_bar.diff() <= 0).all())


@pytest.mark.parametrize("step", [5, 15, 30, 50, 80])
def test_the_step_is_the_exploration_angle(step):
    schedule, channels = CosineSchedule(), 64
    z0 = unit_vectors(4000, channels).float()
    noise = torch.randn(4000, channels, generator=seeded(1))
    noisy = schedule.forward_noise(math.sqrt(channels) * z0, step, noise)
    cosine = torch.cosine_similarity(noisy, z0, dim=-1).mean()
    assert float(cosine) == pytest.approx(float(schedule.alpha_bar[step].sqrt()), abs=0.01)


def test_step_zero_adds_no_noise():
    x0 = torch.randn(3, 8, generator=seeded())
    assert torch.equal(CosineSchedule().forward_noise(x0, 0, torch.full((3, 8), 9.0)), x0)


@pytest.mark.parametrize(
    ("start", "count", "expected"), [(30, 4, [30, 23, 15, 8]), (30, 1, [30]), (2, 4, [2, 1]), (0, 4, [])]
)
def test_the_ladder_falls_strictly_and_stays_above_zero(start, count, expected):
    assert CosineSchedule().ladder(start, count) == expected


def test_a_schedule_without_steps_is_refused():
    with pytest.raises(ValueError, match="at least one step"):
        CosineSchedule(0)

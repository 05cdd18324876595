from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import dice, disc
from hypothesis import given
from hypothesis import strategies as st

from DPLSegmentLib.training.memory_errors import with_errors


@given(st.integers(0, 10_000), st.floats(2.0, 25.0))
def test_a_wrong_mask_is_plausible_in_the_right_place_and_repeatable(seed, radius):
    mask = disc(96, (50, 44), radius)
    wrong = with_errors(mask, np.random.default_rng(seed))
    assert torch.equal(wrong, with_errors(mask, np.random.default_rng(seed)))
    assert wrong.shape == mask.shape and float(wrong.min()) >= 0.0 and float(wrong.max()) <= 1.0
    area = float((wrong > 0.5).sum()) / float(mask.sum())
    assert 0.3 < area < 2.5
    assert dice(wrong > 0.5, mask > 0.5) > 0.35


def test_masks_really_become_wrong():
    mask = disc(96, (50, 44), 12)
    scores = [dice(with_errors(mask, np.random.default_rng(seed)) > 0.5, mask > 0.5) for seed in range(40)]
    assert 0.75 < np.mean(scores) < 0.97 and np.std(scores) > 0.01


def test_empty_and_one_pixel_masks_survive():
    empty, pixel = torch.zeros(32, 32), torch.zeros(32, 32)
    pixel[4, 5] = 1
    for seed in range(10):
        assert torch.equal(with_errors(empty, np.random.default_rng(seed)), empty)
        assert float((with_errors(pixel, np.random.default_rng(seed)) > 0.5).sum()) >= 1


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mask_at_the_border_does_not_reappear_at_the_other_side(axis):
    mask = torch.zeros(64, 64)
    mask[:20, 20:40] = 1
    if axis == 1:
        mask = mask.T.contiguous()
    for seed in range(20):
        wrong = with_errors(mask, np.random.default_rng(seed))
        assert float(wrong.narrow(axis, 44, 20).max()) < 0.5

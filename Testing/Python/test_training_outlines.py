"""Outlines: drawn further in or out than the edge by the same distance on every slice."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers import disc
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scipy")

from DPLSegmentLib.training.outlines import FURTHEST_IN, FURTHEST_OUT, draw_offset, outlined


@given(st.floats(6.0, 25.0), st.floats(-FURTHEST_IN, FURTHEST_OUT))
def test_a_disc_outlined_further_out_is_a_disc_of_a_larger_radius(radius, offset):
    masks = torch.stack([disc(96, (50, 44), radius)] * 2)
    moved = outlined(masks, offset, 0)
    assert float(moved.min()) >= 0.0 and float(moved.max()) <= 1.0
    found = math.sqrt(float(moved[1].sum()) / math.pi)
    # Of a disc of whole pixels the outline has steps, whose outer corners reach further than its inner ones.
    assert found == pytest.approx(radius + offset, abs=0.45)


def test_no_offset_leaves_every_pixel_where_it_was():
    masks = torch.stack([disc(64, (30, 34), 9), disc(64, (30, 34), 3)])
    assert torch.equal(outlined(masks, 0.0, 0), (masks > 0.5).float())


def test_a_vessel_too_slender_to_be_drawn_further_in_stays_as_it_is():
    masks = torch.stack([disc(64, (30, 34), 2), disc(64, (30, 34), 12)])
    assert torch.equal(outlined(masks, -1.0, 0), masks)
    assert float(outlined(masks, 1.0, 0)[0].sum()) > 1.5 * float(masks[0].sum())
    assert not torch.equal(outlined(masks, -1.0, 1), masks)


def test_slices_without_the_object_and_slices_full_of_it_stay_as_they_are():
    masks = torch.stack([disc(32, (16, 16), 8), torch.zeros(32, 32), torch.ones(32, 32)])
    moved = outlined(masks, 1.5, 0)
    assert torch.equal(moved[1:], masks[1:]) and float(moved[0].sum()) > float(masks[0].sum())


def test_annotators_differ():
    rng = np.random.default_rng(0)
    offsets = [draw_offset(rng) for _ in range(200)]
    assert -FURTHEST_IN <= min(offsets) < -0.5 and 1.0 < max(offsets) <= FURTHEST_OUT

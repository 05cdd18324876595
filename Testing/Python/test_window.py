from __future__ import annotations

import pytest
import torch
from helpers import dice, disc
from hypothesis import given
from hypothesis import strategies as st

from DPLSegmentLib.window import MIN_SIDE, Window, aligned_window, bounding_box, window_around

SHAPE = (120, 140)
ROWS = torch.arange(SHAPE[0], dtype=torch.float32)[:, None].expand(SHAPE)
COLUMNS = torch.arange(SHAPE[1], dtype=torch.float32)[None].expand(SHAPE)
RAMPS = torch.stack([ROWS, COLUMNS])[None]
EDGE = 6


def inner(values):
    return values[..., EDGE:-EDGE, EDGE:-EDGE]


@given(st.integers(0, 20), st.integers(0, 30), st.integers(40, 100), st.sampled_from([40, 80]))
def test_a_crop_reads_every_place_where_it_lies(top, left, side, size):
    window = Window(top, left, side)
    crop = window.crop(RAMPS, size)
    rows, columns = window.places(size, crop.device)
    error = inner(crop) - inner(torch.stack([rows[:, None].expand(size, size), columns.expand(size, size)]))
    # enlarging is exact on a ramp; antialiased reduction wobbles by under a tenth of a pixel, without bias
    assert float(error.abs().max()) < (1e-3 if side <= size else 0.1)
    assert abs(float(error.mean())) < 2e-3


@given(st.integers(-30, 100), st.integers(-30, 110), st.integers(40, 100))
def test_crop_and_paste_are_inverse_inside_the_window(top, left, side):
    window = Window(top, left, side)
    pasted = window.paste(window.crop(RAMPS, 80), SHAPE, outside=-99.0)
    assert pasted.shape == RAMPS.shape
    inside = torch.zeros(SHAPE, dtype=torch.bool)
    inside[max(top, 0) : top + side, max(left, 0) : left + side] = True
    assert bool((pasted[..., ~inside] == -99.0).all())
    deep = torch.zeros(SHAPE, dtype=torch.bool)
    bottom, right = min(top + side, SHAPE[0]), min(left + side, SHAPE[1])
    deep[max(top, 0) + EDGE : bottom - EDGE, max(left, 0) + EDGE : right - EDGE] = True
    if bool(deep.any()):
        assert float((pasted - RAMPS)[..., deep].abs().max()) < 0.1


def test_outside_of_the_slice_the_edge_repeats_or_is_empty():
    window = Window(-20, -20, 40)
    assert float(window.crop(torch.ones(1, 1, *SHAPE), 40).min()) == 1.0
    empty = window.crop(torch.ones(1, 1, *SHAPE), 40, fill="zero")[0, 0]
    assert float(empty[:19].max()) == 0.0 and float(empty[21:, 21:].min()) == 1.0


def test_features_are_read_at_their_centres():
    # sample (r, c) of a stride-4 map is centred on pixel (4r + 1.5, 4c + 1.5)
    features = RAMPS[..., : SHAPE[0] // 4, : SHAPE[1] // 4] * 4 + 1.5
    window = Window(11, 23, 57)
    rows, columns = window.places(40, features.device)
    read = window.read_features(features, 40)[0]
    assert torch.allclose(read[0], rows[:, None].expand(40, 40), atol=1e-3)
    assert torch.allclose(read[1], columns.expand(40, 40), atol=1e-3)


@given(st.integers(0, 119), st.integers(0, 139), st.floats(0.5, 70.0))
def test_a_window_holds_its_object_with_a_margin_and_a_round_trip_keeps_it(row, column, radius):
    mask = (ROWS - row).square() + (COLUMNS - column).square() <= radius**2
    window = window_around(mask)
    top, left, bottom, right = bounding_box(mask)
    assert window.side >= MIN_SIDE
    assert window.top <= top and window.left <= left
    assert window.top + window.side >= bottom and window.left + window.side >= right
    pasted = window.paste(window.crop(mask[None, None].float(), 80, fill="zero"), SHAPE, 0.0)[0, 0] > 0.5
    if radius >= 3:
        assert dice(pasted, mask) > 0.93


def test_an_empty_mask_has_no_window():
    assert bounding_box(torch.zeros(5, 5, dtype=torch.bool)) is None
    assert window_around(torch.zeros(5, 5, dtype=torch.bool)) is None


def test_a_window_follows_a_mask_only_when_it_has_left():
    window = Window(10, 10, 40)
    near, far = disc(120, (30, 45), 6) > 0.5, disc(120, (90, 95), 6) > 0.5
    assert aligned_window(window, near) == window
    moved = aligned_window(window, far)
    assert moved.side == 40 and moved.centre == pytest.approx((90, 95), abs=0.51)
    assert aligned_window(window, torch.zeros(120, 120, dtype=torch.bool)) == window


def test_a_window_is_moved_and_scaled_about_its_centre():
    window = Window(-4, 10, 41)
    assert window.moved_by(3, -12) == Window(-1, -2, 41)
    assert window.scaled(1.0) == window
    for factor in (0.6, 0.93, 1.04, 1.5):
        scaled = window.scaled(factor)
        assert scaled.centre == window.centre and abs(scaled.side - 41 * factor) <= 1.0

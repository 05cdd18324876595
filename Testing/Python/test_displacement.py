"""Block matching: where the image says that an object has gone."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import disc, seeded

from DPLSegmentLib.displacement import displacement
from DPLSegmentLib.motion import LIMIT, diameter_of
from DPLSegmentLib.resampling import read_grid
from DPLSegmentLib.window import window_around

SIDE = 128


def texture(seed: int = 0) -> torch.Tensor:
    """A smooth random image, in [0, 1]."""
    coarse = torch.rand(1, 1, 22, 22, generator=seeded(seed))
    return torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic").clamp(0, 1)[0, 0]


def moved_image(image: torch.Tensor, rows: float, columns: float) -> torch.Tensor:
    steps = torch.arange(SIDE, dtype=torch.float32)
    return read_grid(image[None, None], steps - rows, steps - columns)[0, 0]


@pytest.mark.parametrize("radius", [6, 16, 30])
@pytest.mark.parametrize("moved", [(0, 0), (3, 0), (-2, 5), (1, -4)])
def test_a_moved_object_is_found_and_a_wrong_expectation_corrected(moved, radius):
    image, mask = texture(radius), disc(SIDE, (60, 66), radius)
    window = window_around(mask > 0.5)
    for expected in ((0, 0), moved, (1, 1)):
        found = displacement(image, moved_image(image, *moved), mask, window, expected)
        wrong_by = math.dist(expected, moved)
        # Small objects tell less against what is expected of them than large ones.
        assert math.dist(found, moved) <= (max(1.0, 0.7 * wrong_by) if radius < 10 else 1.0)


def test_contrast_and_brightness_change_nothing():
    image, mask = texture(1), disc(SIDE, (60, 60), 10)
    now = moved_image(image, 4, -3) + 0.02 * torch.randn(SIDE, SIDE, generator=seeded())
    window = window_around(mask > 0.5)
    plain = displacement(image, now, mask, window, (0, 0))
    assert displacement(0.3 * image + 0.5, 0.3 * now + 0.5, mask, window, (0, 0)) == plain
    assert displacement(1 - image, 1 - now, mask, window, (0, 0)) == plain


def test_where_the_image_tells_nothing_the_object_is_where_it_was_expected():
    blank, mask = torch.full((SIDE, SIDE), 0.4), disc(SIDE, (60, 60), 12)
    for expected in ((0, 0), (5, -3)):
        assert displacement(blank, blank, mask, window_around(mask > 0.5), expected) == expected
    nothing = torch.zeros(SIDE, SIDE)
    assert displacement(texture(), texture(), nothing, window_around(mask > 0.5), (2, 1)) == (2, 1)


def test_no_object_goes_farther_than_half_its_diameter():
    image, mask = texture(2), disc(SIDE, (60, 60), 8)
    for moved in ((12, 0), (-9, 9)):
        found = displacement(image, moved_image(image, *moved), mask, window_around(mask > 0.5), (4, 0))
        assert math.hypot(*found) <= LIMIT * diameter_of(mask) + math.sqrt(0.5) + 0.5


def test_a_window_that_leaves_the_slice_is_no_obstacle():
    image, mask = texture(1), disc(SIDE, (4, 122), 9)
    found = displacement(image, moved_image(image, 2, -3), mask, window_around(mask > 0.5), (0, 0))
    assert math.dist(found, (2, -3)) <= 1.5

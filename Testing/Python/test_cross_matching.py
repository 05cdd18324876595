from __future__ import annotations

import pytest
import torch
from helpers import disc, seeded

from DPLSegmentLib.cross_matching import CrossMatcher, body_coordinates

SIDE = 20
PLACE = torch.stack(torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij"))
FEATURES = torch.randn(16, SIDE, SIDE, generator=seeded())
MASK = disc(SIDE, (8, 11), 5)


def look_up(features, place, references, masks, bias=None):
    with torch.no_grad():
        return CrossMatcher()(features, place, references, PLACE.expand(len(references), -1, -1, -1), masks, bias)


def test_a_slice_looked_up_in_itself_gives_back_its_masks():
    masks = torch.stack([MASK, 1 - MASK])[:, None]
    read = look_up(FEATURES, PLACE, FEATURES[None], masks)
    assert float((read - masks[:, 0]).abs().max()) < 0.05
    assert torch.allclose(read.sum(0), torch.ones(SIDE, SIDE), atol=1e-5)


def test_position_decides_between_places_that_look_alike():
    flat = torch.ones(16, SIDE, SIDE)
    read = look_up(flat, PLACE, flat[None], MASK[None, None])[0]
    assert float(read[8, 11]) > 0.6 and float(read[-1, 0]) < 0.05
    shifted = look_up(flat, PLACE + 0.8, flat[None], MASK[None, None])[0]
    assert float(shifted[8, 11]) < 0.3 < float(shifted[1, 4])


def test_the_score_is_the_documented_one():
    matcher = CrossMatcher()
    other = torch.randn(16, SIDE, SIDE, generator=seeded(1))
    cosine = torch.nn.functional.normalize(other.flatten(1), dim=0).T @ torch.nn.functional.normalize(
        FEATURES.flatten(1), dim=0
    )
    distance = torch.cdist(PLACE.flatten(1).T, PLACE.flatten(1).T).square()
    with torch.no_grad():
        score = cosine / matcher.log_temperature.exp() - matcher.log_position.exp() * distance
    expected = (torch.softmax(score, dim=-1) @ MASK.flatten()).view(SIDE, SIDE)
    assert torch.allclose(look_up(other, PLACE, FEATURES[None], MASK[None, None])[0], expected, atol=1e-4)


def test_the_order_of_references_does_not_matter_and_a_bias_prefers_one():
    references = torch.stack([FEATURES, FEATURES])
    masks, bias = torch.stack([MASK, torch.zeros_like(MASK)])[None], torch.tensor([0.0, -3.0])
    read = look_up(FEATURES, PLACE, references, masks, bias)
    swapped = look_up(FEATURES, PLACE, references.flip(0), masks.flip(1), bias.flip(0))
    assert torch.allclose(read, swapped, atol=1e-5)
    even = look_up(FEATURES, PLACE, references, masks)
    assert float(even[0, 8, 11]) == pytest.approx(0.5, abs=0.05)
    assert float(read[0, 8, 11]) > 0.9


@pytest.mark.parametrize("air", [0.0, 0.3])
@pytest.mark.parametrize(("top", "bottom", "left", "right"), [(20, 60, 30, 80), (10, 90, 5, 60)])
def test_body_coordinates_run_from_edge_to_edge_of_the_body(air, top, bottom, left, right):
    image = torch.full((96, 96), air)
    image[top:bottom, left:right] = 0.8
    place = body_coordinates(image)
    # a smoothed edge is three pixels wide
    assert float(place[0, top, 0]) == pytest.approx(-1.0, abs=0.12)
    assert float(place[0, bottom - 1, 0]) == pytest.approx(1.0, abs=0.12)
    assert float(place[1, 0, left]) == pytest.approx(-1.0, abs=0.12)
    assert float(place[1, 0, right - 1]) == pytest.approx(1.0, abs=0.12)


def test_body_coordinates_of_a_mirrored_slice_are_mirrored():
    image = torch.zeros(96, 96)
    image[20:60, 30:80] = 0.8
    image[30:40, 40:50] = 0.4
    place, mirrored = body_coordinates(image), body_coordinates(image.flip(1))
    assert torch.allclose(mirrored[1], -place[1].flip(1), atol=1e-3)
    assert torch.allclose(mirrored[0], place[0].flip(1), atol=1e-3)


def test_body_coordinates_of_an_empty_slice_are_finite():
    assert bool(torch.isfinite(body_coordinates(torch.zeros(32, 48))).all())

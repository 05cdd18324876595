from __future__ import annotations

import math

import pytest
import torch
from helpers import disc, seeded
from torch.nn import functional as F

from DPLSegmentLib.cross_matching import HOPELESS, CrossMatcher, body_coordinates

SIDE = 20
PLACE = torch.stack(torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij"))
FEATURES = torch.randn(16, SIDE, SIDE, generator=seeded())
MASK = disc(SIDE, (8, 11), 5)


def read_out(features, place, references, masks, bias=None, moves=None):
    places = PLACE.expand(len(references), -1, -1, -1)
    with torch.no_grad():
        return CrossMatcher()(features, place, references, places, masks, bias, moves)


def look_up(features, place, references, masks, bias=None):
    return read_out(features, place, references, masks, bias).probability


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


def test_a_softer_look_up_flattens_scores_and_leaves_the_matcher_as_it_is():
    matcher, other = CrossMatcher(), torch.randn(16, SIDE, SIDE, generator=seeded(1))
    asked = (other, PLACE, FEATURES[None], PLACE[None], MASK[None, None])
    with torch.no_grad():
        before = matcher(*asked).probability
        soft = matcher.at(10.0)(*asked).probability
        assert torch.equal(matcher(*asked).probability, before)
        assert torch.equal(matcher.at(float(matcher.log_temperature.exp()))(*asked).probability, before)
    distance = torch.cdist(PLACE.flatten(1).T, PLACE.flatten(1).T).square()
    by_place = (torch.softmax(-matcher.log_position.exp() * distance, dim=-1) @ MASK.flatten()).detach()
    assert torch.allclose(soft.flatten(), by_place, atol=0.1)
    assert float((before.flatten() - by_place).abs().max()) > 0.5


def test_the_order_of_references_does_not_matter_and_a_bias_prefers_one():
    references = torch.stack([FEATURES, FEATURES])
    masks, bias = torch.stack([MASK, torch.zeros_like(MASK)])[None], torch.tensor([0.0, -3.0])
    read = look_up(FEATURES, PLACE, references, masks, bias)
    swapped = look_up(FEATURES, PLACE, references.flip(0), masks.flip(1), bias.flip(0))
    assert torch.allclose(read, swapped, atol=1e-5)
    even = look_up(FEATURES, PLACE, references, masks)
    assert float(even[0, 8, 11]) == pytest.approx(0.5, abs=0.05)
    assert float(read[0, 8, 11]) > 0.9


OTHERS = torch.randn(3, 16, SIDE, SIDE, generator=seeded(5)) * 0.5 + FEATURES
BIASES = torch.tensor([[0.0, -1.0, -torch.inf], [-2.0, -torch.inf, 0.0]])
TWO_MASKS = torch.stack([MASK, disc(SIDE, (12, 4), 4)])[:, None].expand(-1, 3, -1, -1)


@pytest.mark.parametrize("moving", [False, True])
def test_each_label_may_prefer_slices_of_its_own(moving):
    moves = [0.3 * torch.randn(2, 16, generator=seeded(2)) for _ in TWO_MASKS] if moving else None
    both = read_out(FEATURES, PLACE, OTHERS, TWO_MASKS, BIASES, moves)
    for label, bias in enumerate(BIASES):
        part = slice(label, label + 1)
        alone = read_out(FEATURES, PLACE, OTHERS, TWO_MASKS[part], bias, moves[part] if moving else None)
        torch.testing.assert_close(both.probability[part], alone.probability, rtol=0, atol=1e-6)
        torch.testing.assert_close(both.spread[part], alone.spread, rtol=0, atol=1e-6)


@pytest.mark.parametrize("moving", [False, True])
def test_a_slice_that_is_not_asked_might_as_well_not_be_there(moving):
    moves = [0.3 * torch.randn(2, 16, generator=seeded(2)) for _ in TWO_MASKS] if moving else None
    asked = torch.tensor([0.0, -1.0, -torch.inf])
    without = read_out(FEATURES, PLACE, OTHERS[:2], TWO_MASKS[:, :2], asked[:2], moves)
    read = read_out(FEATURES, PLACE, OTHERS, TWO_MASKS, asked, moves)
    torch.testing.assert_close(read.probability, without.probability, rtol=0, atol=1e-5)
    torch.testing.assert_close(read.spread, without.spread, rtol=0, atol=1e-5)


def by_slice(features, place, references, masks):
    with torch.no_grad():
        return CrossMatcher().by_slice(features, place, references, PLACE.expand(len(references), -1, -1, -1), masks)


def test_what_slices_say_by_themselves_can_be_weighed_afterwards():
    probability, _ = by_slice(FEATURES, PLACE, OTHERS, TWO_MASKS).weighed(BIASES.exp())
    for bias, found in zip(BIASES, probability, strict=True):
        read = look_up(FEATURES, PLACE, OTHERS, TWO_MASKS, bias)
        torch.testing.assert_close(found.view_as(read), read, rtol=0, atol=1e-5)
    nothing, _ = by_slice(FEATURES, PLACE, OTHERS, TWO_MASKS).weighed(torch.zeros(1, 3))
    assert float(nothing.abs().max()) == 0.0


def test_what_explains_a_place_is_the_sum_of_its_scores():
    matcher, other = CrossMatcher(), torch.randn(16, SIDE, SIDE, generator=seeded(1))
    asked, keys = (F.normalize(values.flatten(1).T, dim=-1) for values in (other, FEATURES))
    place = PLACE + 0.4  # positions count by their distance alone, wherever they are
    distance = torch.cdist(place.flatten(1).T, PLACE.flatten(1).T).square()
    sharpness = 1 / matcher.log_temperature.exp()
    expected = ((asked @ keys.T - 1) * sharpness - matcher.log_position.exp() * distance).logsumexp(-1)
    _, explained = by_slice(other, place, FEATURES[None], MASK[None, None]).weighed(torch.ones(1, 1))
    torch.testing.assert_close(explained[0], expected, rtol=0, atol=1e-2)


def test_places_that_are_nothing_alike_make_no_numbers_that_processors_are_slow_at():
    alike, nowhere = torch.ones(16, 4, 4), torch.zeros(2, 4, 4)
    against = torch.stack([alike, -alike]), nowhere.expand(2, -1, -1, -1)
    with torch.no_grad():
        evidence = CrossMatcher().by_slice(alike, nowhere, *against, torch.ones(1, 2, 4, 4))
    for values in (evidence.explained[1], evidence.shares[0, 1]):
        assert torch.finfo(torch.float32).tiny < float(values.max()) < 1e-20


def turned_away(angle: float) -> torch.Tensor:
    """Features whose organ has turned by an angle towards a direction that nothing else has: (17, SIDE, SIDE)."""
    organ = torch.zeros(17)
    organ[16] = 1.0
    features = torch.cat([FEATURES, torch.zeros(1, SIDE, SIDE)])
    features = features / features.norm(dim=0)
    return torch.where(MASK > 0.5, math.cos(angle) * features + math.sin(angle) * organ[:, None, None], features)


def test_variants_that_stay_change_nothing_and_do_not_spread():
    still = read_out(FEATURES, PLACE, FEATURES[None], MASK[None, None], moves=[torch.zeros(9, 16)])
    plain = read_out(FEATURES, PLACE, FEATURES[None], MASK[None, None])
    assert torch.allclose(still.probability, plain.probability, atol=1e-5)
    assert float(still.spread.max()) < 1e-4 and float(plain.spread.max()) == 0.0


def test_one_variant_that_fits_the_query_is_enough():
    """The query's organ looks different; the support's places, carried along by the right variant, find it."""
    query, support = turned_away(0.5), turned_away(0.0)
    flat = PLACE * 0.0  # the look alone decides
    towards = torch.zeros(3, 17)
    towards[0, 16] = math.tan(0.5)
    noise = torch.randn(17, SIDE, SIDE, generator=seeded(3)) * 0.4
    noise[16] = 0.0
    plain = read_out(query + noise, flat, support[None], MASK[None, None])
    moved = read_out(query + noise, flat, support[None], MASK[None, None], moves=[towards])
    inside = MASK > 0.5
    assert float(moved.probability[0][inside].mean()) > float(plain.probability[0][inside].mean()) + 0.05
    assert float(moved.spread[0][inside].max()) > 0.1


def test_the_moved_score_is_the_documented_one():
    matcher, other = CrossMatcher(), torch.randn(16, SIDE, SIDE, generator=seeded(1))
    move = 0.2 * torch.randn(2, 16, generator=seeded(2))
    asked, keys = (F.normalize(values.flatten(1).T, dim=-1) for values in (other, FEATURES))
    distance = torch.cdist(PLACE.flatten(1).T, PLACE.flatten(1).T).square()
    inside = MASK.flatten() > 0.5
    weights = []
    for step in move:
        carried = torch.where(inside[:, None], F.normalize(keys + step, dim=-1), keys)
        weights.append(
            (asked @ carried.T / matcher.log_temperature.exp() - matcher.log_position.exp() * distance).exp()
        )
    weight = torch.stack(weights).mean(0)
    expected = (weight * inside).sum(-1) / weight.sum(-1)
    found = read_out(other, PLACE, FEATURES[None], MASK[None, None], moves=[move])
    tried = read_out(other, PLACE, FEATURES[None], MASK[None, None]).probability.flatten() > HOPELESS
    assert 100 < int(tried.sum()) < SIDE * SIDE
    assert torch.allclose(found.probability.flatten()[tried], expected[tried], atol=1e-3)
    assert float(found.probability.flatten()[~tried].max()) <= HOPELESS


def test_a_label_without_moves_is_looked_up_as_it_is_beside_one_with():
    masks = torch.stack([MASK, 1 - MASK])[:, None]
    moves = [0.3 * torch.randn(2, 16, generator=seeded(2)), None]
    both = read_out(FEATURES, PLACE, FEATURES[None], masks, moves=moves)
    plain = read_out(FEATURES, PLACE, FEATURES[None], masks)
    assert torch.equal(both.probability[1], plain.probability[1]) and float(both.spread[1].max()) == 0.0


@pytest.mark.filterwarnings("error")
def test_an_organ_that_is_out_of_the_question_everywhere_stays_so():
    alone = torch.zeros(17, SIDE, SIDE)
    alone[16] = 1.0
    support = torch.where(MASK > 0.5, alone, turned_away(0.0))
    found = read_out(turned_away(0.0).where(MASK < 0.5, -alone), PLACE, support[None], MASK[None, None])
    assert float(found.probability.max()) < HOPELESS
    moves = [torch.zeros(3, 17)]
    tried = read_out(turned_away(0.0).where(MASK < 0.5, -alone), PLACE, support[None], MASK[None, None], moves=moves)
    assert torch.equal(tried.probability, found.probability) and float(tried.spread.max()) == 0.0


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

from __future__ import annotations

import pytest
import torch
from helpers import disc, seeded

from DPLSegmentLib.matching import MATCH_PIXELS, WINDOW_PIXELS, DenseMatcher

BLUR_FREE = disc(MATCH_PIXELS, (18, 21), 9)


def matcher(**gains: float) -> DenseMatcher:
    """A matcher whose named log gains are set; the others are off."""
    torch.manual_seed(0)
    model = DenseMatcher().eval()
    for name in ("log_appearance", "log_patch", "log_position"):
        getattr(model, name).data.fill_(gains.get(name, -40.0))
    return model


def window(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth random window image (1, 1, P, P) and its features (1, C, G, G)."""
    generator = seeded(seed)
    image = torch.randn(1, 1, WINDOW_PIXELS // 4, WINDOW_PIXELS // 4, generator=generator)
    image = torch.nn.functional.interpolate(image, size=WINDOW_PIXELS, mode="bilinear")
    return image, torch.randn(1, 64, MATCH_PIXELS, MATCH_PIXELS, generator=generator)


def look_up(model, query, memories, masks, kinds):
    """Windows and (G, G) masks in, read-out out."""
    with torch.no_grad():
        described = torch.stack([model.describe(*memory)[0] for memory in memories])[None]
        images = torch.stack([torch.nn.functional.avg_pool2d(memory[0], 2).flatten() for memory in memories])[None]
        flat = torch.stack([mask.flatten() for mask in masks])[None]
        return model(model.describe(*query), described, flat, images, torch.tensor(kinds))


def test_position_alone_returns_the_remembered_mask_slightly_blurred():
    model = matcher(log_position=7.5)
    read = look_up(model, window(), [window()], [BLUR_FREE], [0])
    probability = read.probability[0]
    assert bool(((probability > 0.5) == (BLUR_FREE > 0.5)).all())
    deep = torch.nn.functional.max_pool2d(1 - BLUR_FREE[None], 7, 1, 3)[0] == 0
    assert float(probability[deep].min()) > 0.95
    assert float(read.shift.abs()[..., 8:-8, 8:-8].max()) < 1e-3
    assert torch.equal(read.first, read.last)


def test_the_squared_distance_is_the_documented_one():
    model = matcher(log_appearance=2.0, log_patch=1.0, log_position=4.0)
    model.no_match.data.fill_(-1.5)
    query, memory = window(), window(1)
    with torch.no_grad():
        a, b = model.describe(*query)[0], model.describe(*memory)[0]
        scores = torch.cat([-torch.cdist(a, b).square(), torch.full((len(a), 1), -1.5)], dim=1)
        weights = torch.softmax(scores, dim=1)
    read = look_up(model, query, [memory], [BLUR_FREE], [0])
    expected = (weights[:, :-1] @ BLUR_FREE.flatten()) / (1 - weights[:, -1])
    assert torch.allclose(read.probability.flatten(), expected, atol=1e-3)
    unmatched = weights[:, -1].double()
    evidence = torch.log1p(-unmatched) - unmatched.log()
    assert torch.allclose(read.score.flatten().clamp(-8, 8), evidence.float().clamp(-8, 8), atol=0.02)


def test_appearance_finds_an_object_that_has_moved_and_tells_the_shift():
    model = matcher(log_patch=6.0, log_position=0.0)
    image, features = window()
    shift = 8  # window pixels down, that is four match pixels
    moved = torch.roll(image, shift, dims=2)
    read = look_up(model, (moved, features), [(image, features)], [BLUR_FREE], [0])
    inside = torch.roll(BLUR_FREE, shift // 2, dims=0) > 0.5
    assert float(read.probability[0][inside].mean()) > 0.8
    assert float(read.shift[0, 0][inside].mean()) == pytest.approx(-shift / WINDOW_PIXELS, abs=0.02)
    assert float(read.shift[0, 1][inside].mean()) == pytest.approx(0.0, abs=0.02)


def test_a_foreign_image_gives_little_evidence_and_the_fitting_slot_decides():
    model = matcher(log_patch=4.0, log_position=4.4)
    same, foreign = window(), window(7)
    fits = look_up(model, same, [same], [BLUR_FREE], [0])
    misfits = look_up(model, same, [foreign], [BLUR_FREE], [0])
    assert float(fits.score.mean()) > 1.0 > -1.0 > float(misfits.score.mean())
    both = look_up(model, same, [foreign, same], [1 - BLUR_FREE, BLUR_FREE], [0, 0])
    agrees = (both.probability - fits.probability).abs().mean()
    disagrees = (both.probability - (1 - fits.probability)).abs().mean()
    assert float(agrees) < 0.2 < 0.5 < float(disagrees)


def test_slots_permute_consistently():
    model = matcher(log_patch=3.0, log_position=4.4, log_appearance=2.3)
    model.slot_bias.data = torch.tensor([0.5, -0.3, 0.2, 1.0])
    memories, kinds = [window(n) for n in range(4)], [0, 1, 2, 3]
    masks = [torch.rand(MATCH_PIXELS, MATCH_PIXELS, generator=seeded(n)) for n in range(4)]
    read = look_up(model, window(9), memories, masks, kinds)
    turned = look_up(model, window(9), memories[::-1], masks[::-1], kinds[::-1])
    for name in ("probability", "score", "intensity"):
        assert torch.allclose(getattr(read, name), getattr(turned, name), atol=1e-4)
    assert torch.allclose(read.first, turned.last, atol=1e-4)


def test_a_batch_is_read_like_its_parts():
    model, masks = matcher(log_patch=3.0, log_position=4.4), [BLUR_FREE]
    parts = [look_up(model, window(n), [window(n + 5)], masks, [0]) for n in range(2)]
    with torch.no_grad():
        query = torch.cat([model.describe(*window(n)) for n in range(2)])
        memory = torch.stack([model.describe(*window(n + 5)) for n in range(2)])
        images = torch.stack([torch.nn.functional.avg_pool2d(window(n + 5)[0], 2).flatten()[None] for n in range(2)])
        flat = BLUR_FREE.flatten().expand(2, 1, -1)
        together = model(query, memory, flat, images, torch.tensor([0]))
    for n, part in enumerate(parts):
        assert torch.allclose(together.probability[n], part.probability[0], atol=1e-4)

from __future__ import annotations

import math

import pytest
import torch
from helpers import enhanced, moving_denoiser, seeded, unit_vectors
from hypothesis import given
from hypothesis import strategies as st

from DPLSegmentLib.enhancement import EnhancedPrototypes, EnhancementConfig
from DPLSegmentLib.similarity import PrototypeSimilarity


def compare(features, found, background):
    with torch.no_grad():
        return PrototypeSimilarity()(features, found, background)


def plain(prototypes) -> EnhancedPrototypes:
    """Prototypes without variants."""
    nothing = prototypes.new_zeros(len(prototypes), 0, prototypes.shape[1])
    return EnhancedPrototypes(prototypes, prototypes, nothing, nothing[..., 0])


def test_pixels_like_the_foreground_score_above_pixels_like_the_background():
    foreground, background = unit_vectors(1, 16).float(), unit_vectors(1, 16, seed=1).float()
    features = torch.stack([foreground[0], background[0], foreground[0] + background[0]], dim=-1)[None, :, None]
    logit = compare(features, plain(foreground), background).logit[0, 0]
    assert logit[0] > 5 and logit[1] < -5
    assert float(logit[2]) == pytest.approx(0.0, abs=1e-3)


def test_the_best_local_prototype_decides():
    parts, background = torch.eye(8)[:4], torch.eye(8)[4:5]
    features = parts.T[None, :, None] * 3.0  # four pixels, each like one part, none like their mean
    logit = compare(features, plain(parts), background).logit
    pooled = compare(features, plain(parts.mean(0, keepdim=True) * 2), background).logit
    assert bool((logit > pooled + 5).all())


def test_one_variant_that_fits_the_query_is_enough():
    z0 = torch.eye(8)[:1]
    variants = z0[:, None].repeat(1, 4, 1)
    variants[0, 2] = torch.eye(8)[1]
    features, background = torch.eye(8)[1].reshape(1, 8, 1, 1), torch.eye(8)[2:3]
    alone = compare(features, plain(z0), background)
    helped = compare(features, EnhancedPrototypes(z0, z0, variants, torch.ones(1, 4)), background)
    assert helped.logit.item() > alone.logit.item() + 10
    assert helped.spread.item() > 0.1 and alone.spread.item() == 0.0


def test_variants_that_agree_have_no_spread():
    z0 = unit_vectors(3, 16).float()
    found = EnhancedPrototypes(z0, z0, z0[:, None].repeat(1, 6, 1), torch.ones(3, 6))
    features = torch.randn(2, 16, 5, 7, generator=seeded())
    maps = compare(features, found, unit_vectors(4, 16, seed=2).float())
    same = compare(features, plain(z0), unit_vectors(4, 16, seed=2).float())
    assert maps.logit.shape == maps.spread.shape == (2, 5, 7)
    assert float(maps.spread.max()) < 1e-6
    assert torch.allclose(maps.logit, same.logit, atol=1e-4)


@given(st.integers(0, 10_000), st.floats(1e-3, 1e3))
def test_the_spread_is_a_standard_deviation_and_feature_scale_does_not_matter(seed, scale):
    prototypes = torch.randn(4, 16, generator=seeded(seed))
    found = enhanced(moving_denoiser(16), prototypes, EnhancementConfig(), seed=seed)
    features, background = torch.randn(2, 16, 6, 6, generator=seeded(seed)), torch.randn(5, 16)
    maps = compare(features, found, background)
    assert float(maps.spread.min()) >= 0.0 and 0.0 < float(maps.spread.max()) <= 0.5
    scaled = compare(features * scale, found, background * scale)
    assert torch.allclose(scaled.logit, maps.logit, atol=1e-3)


def test_a_slice_without_background_is_defined():
    maps = compare(torch.ones(1, 4, 2, 2), plain(torch.ones(1, 4) / 2), torch.zeros(1, 4))
    assert bool(torch.isfinite(maps.logit).all()) and float(maps.logit.min()) == pytest.approx(20.0, rel=1e-3)
    assert math.isfinite(float(maps.spread.max()))

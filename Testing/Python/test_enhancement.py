from __future__ import annotations

import math

import pytest
import torch
from helpers import angle_between, disc, enhanced, moving_denoiser, seeded, untrained_model
from hypothesis import given
from hypothesis import strategies as st

from DPLSegmentLib.denoiser import Denoiser
from DPLSegmentLib.enhancement import EnhancementConfig, antithetic_noise
from DPLSegmentLib.fusion import fusion_bound
from DPLSegmentLib.model import DPLModel
from DPLSegmentLib.sphere import unit

PROTOTYPES = torch.randn(300, 64, generator=seeded()) * torch.logspace(-3, 3, 300)[:, None]
Z0 = unit(PROTOTYPES)


def model_that_moves() -> DPLModel:
    model = untrained_model()
    torch.nn.init.normal_(model.denoiser.outputs.weight, std=1.0)
    return model


@pytest.mark.parametrize(
    ("denoiser", "config"),
    [
        (moving_denoiser(64), EnhancementConfig(variants=0)),
        (moving_denoiser(64), EnhancementConfig(alpha=1.0)),
        (Denoiser(64), EnhancementConfig()),
        (Denoiser(64), EnhancementConfig(variants=1, steps=1)),
        (Denoiser(64), EnhancementConfig(variants=7, alpha=0.5, clip=False)),
    ],
    ids=["no variants", "alpha 1", "untrained", "untrained, one variant", "untrained, no clip"],
)
def test_enhancement_switched_off_or_untrained_is_exactly_the_identity(denoiser, config):
    result = enhanced(denoiser, PROTOTYPES, config)
    assert torch.equal(result.original, Z0)
    assert torch.equal(result.fused, Z0)
    if denoiser.outputs.weight.abs().max() == 0:
        assert torch.equal(result.variants, Z0[:, None].expand_as(result.variants))


@pytest.mark.parametrize("degrees", [5.0, 30.0, 75.0])
@pytest.mark.parametrize("gain", [0.01, 1.0, 100.0])
def test_variants_stay_in_their_cap_and_the_fused_prototype_in_its_bound(degrees, gain):
    config = EnhancementConfig(cap_degrees=degrees)
    result = enhanced(moving_denoiser(64, gain=gain), PROTOTYPES, config)
    angles = angle_between(result.variants.double(), Z0[:, None].double())
    assert float(angles.max()) <= math.radians(degrees) + 1e-5
    if gain == 100.0:  # the cap is really met
        assert float(angles.max()) == pytest.approx(math.radians(degrees), abs=1e-5)
    assert float((result.variants.norm(dim=-1) - 1).abs().max()) < 1e-5
    assert float((result.fused.norm(dim=-1) - 1).abs().max()) < 1e-5
    moved = angle_between(result.fused.double(), Z0.double())
    assert 1e-6 < float(moved.max()) <= fusion_bound(config.alpha, config.cap) + 1e-5


SEEN = unit(torch.randn(300, 64, generator=seeded(8)))


def apart(variants: torch.Tensor) -> float:
    """Mean angle between the variants of a prototype and their mean direction, in degrees."""
    middle = unit(variants.mean(dim=1, keepdim=True))
    return math.degrees(float(angle_between(variants.double(), middle.double()).mean()))


@pytest.mark.parametrize("kept", [0.25, 0.5, 1.0])
def test_noise_that_is_kept_spreads_the_variants_within_their_cap_where_there_is_evidence(kept):
    denoiser = Denoiser(64)
    torch.nn.init.constant_(denoiser.seen_gain, 0.1)
    torch.nn.init.constant_(denoiser.kept, kept)
    config = EnhancementConfig()
    found, blind = enhanced(denoiser, PROTOTYPES, seen=SEEN), enhanced(denoiser, PROTOTYPES)
    assert torch.equal(blind.variants, Z0[:, None].expand_as(blind.variants))
    # Of the noise's angle, arccos(sqrt(alpha_bar)) = 27 degrees, about that share; the cap cuts some of it off.
    assert 0.6 * kept * 27 < apart(found.variants) < 1.2 * kept * 27
    assert float(angle_between(found.variants.double(), Z0[:, None].double()).max()) <= config.cap + 1e-5
    moved = angle_between(found.fused.double(), Z0.double())
    assert float(moved.max()) <= fusion_bound(config.alpha, config.cap) + 1e-5


def test_untrained_with_evidence_enhancement_is_exactly_the_identity():
    result = enhanced(Denoiser(64), PROTOTYPES, seen=SEEN)
    assert torch.equal(result.fused, Z0) and torch.equal(result.variants, Z0[:, None].expand_as(result.variants))


def test_without_clipping_variants_leave_the_cap_but_the_result_stays_a_unit_vector():
    result = enhanced(moving_denoiser(64, gain=100.0), PROTOTYPES, EnhancementConfig(clip=False))
    assert float(result.free_cosine.min()) < math.cos(math.radians(30))
    assert float(angle_between(result.variants, Z0[:, None]).max()) > math.radians(31)
    assert float((result.fused.norm(dim=-1) - 1).abs().max()) < 1e-5


@given(st.integers(0, 17), st.integers(0, 1000))
def test_antithetic_noise_has_mean_zero_and_is_reproducible(variants, seed):
    noise = antithetic_noise(3, variants, 8, seeded(seed))
    assert noise.shape == (3, variants, 8)
    assert torch.allclose(noise.sum(1), torch.zeros(3, 8), atol=1e-6)
    assert torch.equal(noise, antithetic_noise(3, variants, 8, seeded(seed)))


def test_antithetic_noise_is_standard_normal():
    noise = antithetic_noise(2000, 8, 16, seeded())
    assert float(noise.std()) == pytest.approx(1.0, abs=0.01)
    assert float(noise.abs().mean()) == pytest.approx(math.sqrt(2 / math.pi), abs=0.01)


@given(st.permutations(range(8)))
def test_the_order_of_the_noise_does_not_matter(order):
    denoiser, prototypes = moving_denoiser(64), PROTOTYPES[100:110]
    noise = antithetic_noise(10, 8, 64, seeded(3))
    reference = enhanced(denoiser, prototypes, noise=noise)
    permuted = enhanced(denoiser, prototypes, noise=noise[:, list(order)])
    assert torch.allclose(permuted.fused, reference.fused, atol=1e-6)
    assert torch.allclose(permuted.variants, reference.variants[:, list(order)], atol=1e-5)


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_variants():
    denoiser = moving_denoiser(64)
    first, again, other = (enhanced(denoiser, PROTOTYPES, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(first.fused, again.fused) and torch.equal(first.variants, again.variants)
    assert not torch.allclose(first.variants, other.variants, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-3, 7.3, 1e3])
def test_scaling_the_features_leaves_the_fused_prototypes_unchanged(scale):
    model, mask = model_that_moves(), disc(32, (14, 17), 8)
    features = torch.randn(64, 32, 32, generator=seeded())
    with torch.no_grad():
        reference = model.support_prototypes(features, mask, 3.0, seeded()).enhanced
        scaled = model.support_prototypes(features * scale, mask, 3.0, seeded()).enhanced
    assert float(angle_between(reference.fused, reference.original).max()) > 0.01
    assert torch.allclose(scaled.fused, reference.fused, atol=1e-4)


def test_training_and_evaluation_mode_agree_bit_for_bit():
    model, mask = model_that_moves(), disc(32, (14, 17), 8)
    features = torch.randn(64, 32, 32, generator=seeded())
    evaluated = model.eval().support_prototypes(features, mask, 3.0, seeded(9)).enhanced
    trained = model.train().support_prototypes(features, mask, 3.0, seeded(9)).enhanced
    for name in ("original", "fused", "variants", "free_cosine"):
        assert torch.equal(getattr(evaluated, name), getattr(trained, name))


@pytest.mark.parametrize("area", ["empty", "one pixel", "whole slice"])
def test_degenerate_masks_give_finite_enhanced_prototypes(area):
    mask = torch.ones(32, 32) if area == "whole slice" else torch.zeros(32, 32)
    if area == "one pixel":
        mask[3, 4] = 1
    features = torch.randn(64, 32, 32, generator=seeded())
    with torch.no_grad():
        model = model_that_moves()
        found = model.support_prototypes(features, mask, 3.0, seeded())
        maps = model.similarity(features[None], found.enhanced, found.pooled.background)
    for value in (found.enhanced.fused, found.enhanced.variants, maps.logit, maps.spread):
        assert bool(torch.isfinite(value).all())
    if area != "empty":
        assert torch.allclose(found.enhanced.fused.norm(dim=-1), torch.ones(len(found.enhanced.fused)), atol=1e-5)

from __future__ import annotations

import math

import pytest
import torch
from helpers import disc, seeded, unit_vectors, untrained_model
from torch.nn import functional as F

from DPLSegmentLib.enhancement import EnhancedPrototypes, EnhancementConfig
from DPLSegmentLib.training.losses import (
    denoising_loss,
    dice_loss,
    diffusion_loss,
    diversity_loss,
    fidelity_loss,
    query_prototypes,
    readout_loss,
    segmentation_loss,
)


def variants_of(variants, cosine=None) -> EnhancedPrototypes:
    z0 = variants[:, 0].detach() if variants.shape[1] else variants.new_zeros(len(variants), variants.shape[2])
    return EnhancedPrototypes(z0, z0, variants, variants[..., 0] if cosine is None else cosine)


def test_dice_loss_of_small_maps():
    target = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert dice_loss(target, target) == 0.0
    assert float(dice_loss(torch.zeros(1, 2, 2), target)) == pytest.approx(1 - 1 / 3)
    assert float(dice_loss(torch.full((1, 2, 2), 0.5), target)) == pytest.approx(1 - 3 / 4)
    # a map without target counts in the cross-entropy alone
    both = torch.cat([target, torch.zeros(1, 2, 2)])
    assert float(dice_loss(torch.full((2, 2, 2), 0.5), both)) == pytest.approx(1 - 3 / 4)
    assert dice_loss(torch.ones(1, 2, 2), torch.zeros(1, 2, 2)) == 0.0


def test_segmentation_loss_of_an_undecided_and_of_a_right_map():
    target = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert float(segmentation_loss(torch.zeros(1, 2, 2), target)) == pytest.approx(math.log(2) + 1 / 4)
    assert float(segmentation_loss((target * 2 - 1) * 30, target)) < 1e-6


def test_a_wrong_and_certain_read_out_has_a_finite_loss():
    assert float(readout_loss(torch.tensor([0.5]), torch.tensor([1.0]))) == pytest.approx(math.log(2))
    assert float(readout_loss(torch.tensor([0.0]), torch.tensor([1.0]))) == pytest.approx(math.log(1000), rel=1e-3)


def test_the_global_target_is_the_querys_pooled_feature_and_local_ones_what_resembles_them():
    a, b, c = torch.eye(4)[0], torch.eye(4)[1], torch.eye(4)[2]
    features = torch.stack([a, a, b, c], dim=-1)[:, None]
    mask = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    target = query_prototypes(features, mask, torch.stack([c, a, b]), temperature=0.01)
    assert torch.allclose(target[0], (2 * a + b) / math.sqrt(5), atol=1e-5)
    assert torch.allclose(target[1], a, atol=1e-4) and torch.allclose(target[2], b, atol=1e-4)


def test_diffusion_loss_is_one_minus_the_cosine():
    target = torch.eye(4)[:1]
    near = (math.cos(0.3) * torch.eye(4)[0] + math.sin(0.3) * torch.eye(4)[1]).expand(1, 2, 4)
    assert float(diffusion_loss(variants_of(near), target)) == pytest.approx(1 - math.cos(0.3), abs=1e-6)


def test_diffusion_loss_asks_only_the_nearest_variant_to_come_nearer():
    target = torch.eye(4)[:1]
    angles = torch.tensor([0.1, 1.2])
    variants = torch.stack([torch.stack([a.cos(), a.sin(), a * 0, a * 0]) for a in angles])[None].requires_grad_()
    loss = diffusion_loss(variants_of(variants), target)
    assert float(loss.detach()) == pytest.approx(1 - math.cos(0.1), abs=1e-3)
    loss.backward()
    assert variants.grad[0, 0].norm() > 100 * variants.grad[0, 1].norm() > 0


def test_the_denoiser_learns_where_prototypes_spread_and_the_variants_keep_it():
    """Query prototypes lie along one direction around the support's: so must the variants, not all in the middle."""
    torch.manual_seed(0)
    generator = seeded(0)
    model = untrained_model()
    features = torch.randn(64, 16, 16, generator=generator)
    mask = disc(16, (8, 8), 5)
    with torch.no_grad():
        prototypes = model.support_prototypes(features, mask, 1.0, generator)
    z0 = prototypes.enhanced.original
    aside = F.normalize(torch.randn(64, generator=generator), dim=0)
    optimizer = torch.optim.Adam(model.denoiser.parameters(), 1e-3)
    losses = []
    for _ in range(300):
        places = F.normalize(z0 + 0.3 * torch.randn(len(z0), 1, generator=generator) * aside, dim=-1)
        loss = denoising_loss(model, prototypes.enhanced, prototypes.statistics, prototypes.geometry, places, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-30:]) < 0.6 * sum(losses[:30])
    with torch.no_grad():
        found = model.support_prototypes(features, mask, 1.0, generator).enhanced
    moved = found.variants - found.original[:, None]
    along = (moved @ aside).std()
    across = (moved @ F.normalize(torch.randn(64, 20, generator=generator), dim=0)).std()
    assert along > 0.03 and along > 2.0 * across


def test_fidelity_loss_is_a_hinge_at_the_cap():
    config = EnhancementConfig(cap_degrees=60.0)
    cosine = torch.tensor([[1.0, 0.5, 0.3, -0.1]])
    variants = torch.zeros(1, 4, 4)
    assert float(fidelity_loss(variants_of(variants, cosine), config)) == pytest.approx((0.2 + 0.6) / 4, abs=1e-5)


def test_diversity_loss_tells_identical_from_distinct_variants():
    same = torch.eye(4)[:1].expand(2, 3, 4)
    assert float(diversity_loss(variants_of(same))) == pytest.approx(1.0, abs=1e-3)
    assert float(diversity_loss(variants_of(torch.eye(4)[None]))) == 0.0


@pytest.mark.parametrize("count", [0, 1])
def test_losses_without_pairs_or_variants_are_zero_not_nan(count):
    found = variants_of(unit_vectors(2, count, 8).float(), torch.ones(2, count))
    target = unit_vectors(2, 8).float()
    values = [diversity_loss(found), fidelity_loss(found, EnhancementConfig()), diffusion_loss(found, target)]
    assert all(bool(torch.isfinite(value)) for value in values)
    assert values[0] == 0.0 and values[1] == 0.0


def test_the_diffusion_loss_trains_the_denoiser_and_leaves_its_target_alone():
    model = untrained_model()
    support = torch.randn(64, 24, 24, generator=seeded()).requires_grad_()
    query = torch.randn(64, 24, 24, generator=seeded(1)).requires_grad_()
    mask = disc(24, (12, 12), 7)
    found = model.support_prototypes(support, mask, 3.0, seeded())
    target = query_prototypes(query, mask, found.enhanced.original.detach())
    assert not target.requires_grad
    before = diffusion_loss(found.enhanced, target)
    before.backward()
    assert query.grad is None
    gradient = model.denoiser.outputs.weight.grad
    assert bool(torch.isfinite(gradient).all()) and float(gradient.abs().sum()) > 0
    assert bool(torch.isfinite(support.grad).all())


def test_features_do_not_learn_to_be_alike_from_the_diffusion():
    """Encoded alike, every prototype is found again; the diffusion must learn how they differ instead."""
    model = untrained_model()
    support = torch.randn(64, 24, 24, generator=seeded()).requires_grad_()
    mask = disc(24, (12, 12), 7)
    found = model.support_prototypes(support, mask, 3.0, seeded())
    original = found.enhanced.original
    target = F.normalize(torch.randn(original.shape, generator=seeded(1)), dim=-1)
    denoising = denoising_loss(model, found.enhanced, found.statistics, found.geometry, target, seeded())
    assert torch.autograd.grad(denoising, support, retain_graph=True, allow_unused=True)[0] is None
    (towards,) = torch.autograd.grad(diffusion_loss(found.enhanced, target), original, retain_graph=True)
    (together,) = torch.autograd.grad(-(found.enhanced.variants.mean(1) * target).sum(-1).mean(), original)
    assert 0 < float(-(together * target).sum()) > 20 * abs(float((towards * target).sum()))


def test_a_few_steps_move_variants_towards_the_querys_prototype():
    model = untrained_model()
    support, query = (torch.randn(64, 24, 24, generator=seeded(n)) for n in (0, 1))
    query = query + support
    mask = disc(24, (12, 12), 7)
    optimiser = torch.optim.Adam(model.denoiser.parameters(), lr=1e-3)
    values = []
    for _ in range(15):
        found = model.support_prototypes(support, mask, 3.0, seeded()).enhanced
        loss = diffusion_loss(found, query_prototypes(query, mask, found.original))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < values[0] - 0.02

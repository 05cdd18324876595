"""The terms of the training loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..enhancement import EnhancedPrototypes, EnhancementConfig
from ..model import DPLModel
from ..sphere import unit


def dice_loss(probability: Tensor, target: Tensor) -> Tensor:
    """Soft Dice loss of (B, H, W) maps, averaged over the maps that have a target."""
    both = (probability * target).sum((-2, -1))
    total = probability.square().sum((-2, -1)) + target.square().sum((-2, -1))
    has = (target.sum((-2, -1)) > 0.5).to(probability)
    return ((1.0 - (2 * both + 1.0) / (total + 1.0)) * has).sum() / has.sum().clamp_min(1.0)


def segmentation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy plus soft Dice, (B, H, W)."""
    return F.binary_cross_entropy_with_logits(logits, target) + dice_loss(logits.sigmoid(), target)


def readout_loss(probability: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of a read-out that is already a probability."""
    return F.binary_cross_entropy(probability.clamp(1e-3, 1 - 1e-3), target)


def query_prototypes(features: Tensor, mask: Tensor, original: Tensor, temperature: float = 0.1) -> Tensor:
    """Where each support prototype ought to go: the query's own prototype, per prototype and without gradient.

    Row 0, the global prototype, becomes the query's MAP prototype; a local one the mean of those query foreground
    features that resemble it.

    Args:
        features: (C, H, W) of the query; mask: (H, W) its true mask; original: (P, C) unit support prototypes.

    Returns:
        (P, C) unit vectors.
    """
    with torch.no_grad():
        pixels = features.flatten(1).T
        foreground = mask.flatten()
        weights = torch.softmax(original @ unit(pixels).T / temperature, dim=-1) * foreground
        weights[0] = foreground
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-9)
        return unit(weights @ pixels)


def denoising_loss(
    model: DPLModel,
    enhanced: EnhancedPrototypes,
    statistics: Tensor,
    geometry: Tensor,
    target: Tensor,
    generator: torch.Generator,
    seen: Tensor | None = None,
) -> Tensor:
    """L_diff, first part: D_theta learns the distribution of the query's prototypes around the support's.

    The query's prototypes (P, C) are noised to random steps up to the start of the reverse process; D_theta, which is
    shown the support's prototype (and what a first look at the query found, ``seen`` (P, C)) as its condition, must
    find them again. Trained on the outcome of the reverse process alone it would learn the mean of the distribution,
    and all variants would be one.

    The encoder does not learn from it: what is easiest to find again are features that are all alike.
    """
    channels = target.shape[-1]
    scale = channels**0.5
    start = model.config.enhancement.start
    step = int(torch.randint(1, start + 1, (1,), generator=generator, device=generator.device))
    clean = scale * enhanced.original.detach()[:, None]
    wanted = scale * target[:, None]
    noise = torch.randn(len(target), 1, channels, generator=generator, device=generator.device).to(target)
    noisy = model.schedule.forward_noise(wanted, step, noise)
    offset = None if seen is None else scale * unit(seen)[:, None] - clean
    condition = (statistics.detach(), geometry.detach(), offset)
    residual = model.denoiser(noisy, clean, step / model.schedule.steps, *condition)
    return 0.5 * (clean + residual - wanted).square().mean()


def diffusion_loss(enhanced: EnhancedPrototypes, target: Tensor, sharpness: float = 20.0) -> Tensor:
    """L_diff, second part: the variant nearest to the query's prototype (P, C) should be near.

    A soft minimum over the variants of one minus the cosine: rewarding all variants alike would again collapse them.
    How the variants move is learned, not where they start: that would draw all features together.
    """
    start = enhanced.original[:, None]
    variants = enhanced.variants - start + start.detach()
    distance = 1.0 - (variants * target[:, None]).sum(-1)
    if distance.numel() == 0:
        return distance.sum()
    nearest = (torch.softmax(-sharpness * distance.detach(), dim=-1) * distance).sum(-1)
    return nearest.mean()


def mean_diffusion_loss(enhanced: EnhancedPrototypes, target: Tensor) -> Tensor:
    """L_diff while features are learned: all variants, and with them the support's prototype, should be near the
    query's prototype (P, C). One minus the cosine, half the squared distance."""
    return _mean(1.0 - (enhanced.variants * target[:, None]).sum(-1))


def fidelity_loss(enhanced: EnhancedPrototypes, config: EnhancementConfig) -> Tensor:
    """L_fid: hinge on how far variants wanted to leave the cap, before clipping."""
    cosine = math.cos(config.cap)
    return _mean(F.relu(cosine - enhanced.free_cosine))


def diversity_loss(enhanced: EnhancedPrototypes, closest: float = 0.995) -> Tensor:
    """L_div: hinge that keeps pairs of variants apart."""
    v = enhanced.variants
    cosines = v @ v.transpose(1, 2)
    count = v.shape[1]
    off = ~torch.eye(count, dtype=torch.bool, device=v.device)
    return _mean(F.relu(cosines[:, off] - closest)) / (1.0 - closest)


def _mean(values: Tensor) -> Tensor:
    """The mean, or zero where there are no variants (or pairs of them) to average."""
    return values.mean() if values.numel() else values.sum()

"""The terms of the training loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..enhancement import EnhancedPrototypes, EnhancementConfig
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


def diffusion_loss(enhanced: EnhancedPrototypes, target: Tensor) -> Tensor:
    """L_diff: one minus the cosine (half the squared distance) of every variant to the query's prototype (P, C)."""
    return _mean(1.0 - (enhanced.variants * target[:, None]).sum(-1))


def fidelity_loss(enhanced: EnhancedPrototypes, config: EnhancementConfig) -> Tensor:
    """L_fid: hinge on how far variants wanted to leave the cap, before clipping."""
    cosine = torch.cos(torch.tensor(config.cap))
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

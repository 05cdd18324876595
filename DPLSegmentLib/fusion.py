"""Conservative fusion: variants move a prototype, but never further than a proven angle."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .sphere import compose, decompose


def fusion_bound(alpha: float, cap: float) -> float:
    """Largest angle in radians between the fused and the original prototype.

    With every variant within ``cap`` of z0, their normalised weighted mean m is within ``cap`` too (a spherical cap
    narrower than a hemisphere is convex), and ``unit(alpha·z0 + (1 - alpha)·m)`` then satisfies
    ``tan(angle) <= (1 - alpha)·sin(cap) / (alpha + (1 - alpha)·cos(cap))``.
    """
    return math.atan2((1.0 - alpha) * math.sin(cap), alpha + (1.0 - alpha) * math.cos(cap))


def conservative_fusion(original: Tensor, variants: Tensor, alpha: float, beta: float) -> Tensor:
    """Blend variants into the original prototype.

    ``w = softmax(beta·v·z0)``, ``m = unit(sum w·v)``, ``fused = unit(alpha·z0 + (1 - alpha)·m)``.

    Args:
        original: (P, C) unit vectors z0.
        variants: (P, K, C) unit vectors inside a cap narrower than a hemisphere around z0.
        alpha: weight of the original, in [0.5, 1].
        beta: sharpness of the preference for variants near the original.

    Returns:
        (P, C) unit vectors; bitwise ``original`` if K = 0, alpha = 1 or every variant equals the original.

    Raises:
        ValueError: alpha outside [0.5, 1].
    """
    if not 0.5 <= alpha <= 1.0:
        raise ValueError(f"alpha must lie in [0.5, 1], not {alpha}")
    if variants.shape[1] == 0 or alpha == 1.0:
        return original
    parallel, perpendicular = decompose(variants, original[:, None])
    same = (variants == original[:, None]).all(-1, keepdim=True)
    perpendicular = torch.where(same, torch.zeros_like(perpendicular), perpendicular)
    weights = torch.softmax(beta * parallel, dim=1)
    along, across = (weights * parallel).sum(1), (weights * perpendicular).sum(1)
    length = (along.square() + across.square().sum(-1, keepdim=True)).clamp_min(1e-24).sqrt()
    along, across = along / length, across / length
    scale = (1.0 - alpha) / (alpha + (1.0 - alpha) * along)
    return compose_from(across * scale, original)


def compose_from(offset: Tensor, axis: Tensor) -> Tensor:
    """``unit(axis + offset)`` for an offset perpendicular to the unit vector ``axis``; exact for a zero offset."""
    length = (offset.square().sum(-1, keepdim=True) + 1e-24).sqrt()
    return compose(length, offset / length, axis)

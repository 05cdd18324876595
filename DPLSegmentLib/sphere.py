"""Unit vectors and the cone around one of them, in coordinates that keep "no change" exact.

A vector ``v`` near the unit vector ``z`` is written ``v = parallel·z + perpendicular``. A zero perpendicular part gives
back ``z`` bit for bit, which plain normalisation would not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPSILON = 1e-12


def unit(vectors: Tensor) -> Tensor:
    """Vectors along the last axis scaled to length one; the zero vector stays zero."""
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(EPSILON)


def decompose(vectors: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """``vectors`` (..., C) as (parallel (..., 1), perpendicular (..., C)) to the unit vectors ``axis``."""
    parallel = (vectors * axis).sum(-1, keepdim=True)
    return parallel, vectors - parallel * axis


def compose(ratio: Tensor, direction: Tensor, axis: Tensor) -> Tensor:
    """The unit vector at ``tan(angle) = ratio`` from ``axis`` towards ``direction`` (unit or zero, perpendicular)."""
    cosine = torch.rsqrt(1.0 + ratio * ratio)
    return cosine * axis + (ratio * cosine) * direction


def clip_to_cone(perpendicular: Tensor, parallel: Tensor, axis: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """Bring ``parallel·axis + perpendicular`` onto the unit sphere, at most ``angle`` radians from ``axis``.

    The point moves along the geodesic towards ``axis``. Returns the clipped unit vectors (..., C) and the angle before
    clipping (..., 1) in radians, in [0, pi].
    """
    # The gradient of a norm is undefined at zero, where every untrained reverse process starts.
    length = (perpendicular.square().sum(-1, keepdim=True) + EPSILON**2).sqrt()
    direction = perpendicular / length
    free = torch.atan2(length, parallel)
    ratio = torch.tan(free.clamp(max=angle)) if angle < math.pi / 2 else torch.tan(free.clamp(max=math.pi / 2 - 1e-3))
    return compose(ratio, direction, axis), free

"""What steers the reverse process: prototype feature statistics ``s`` and mask geometry ``g``.

``s`` is the paper's spatial-aware conditioning, geometric properties derived from prototype feature statistics; ``g``,
taken from the mask itself, is our extension and is ablated separately. All of ``s`` is invariant to the scale of the
features, so that the enhanced prototype is too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .prototypes import PrototypeSet
from .sphere import unit

STATISTICS = 11
GEOMETRY = 7
_SELF_SIMILARITY_TEMPERATURE = 0.1


def _axes(height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    rows = torch.linspace(-1.0, 1.0, height, device=like.device, dtype=like.dtype)
    columns = torch.linspace(-1.0, 1.0, width, device=like.device, dtype=like.dtype)
    return rows[:, None].expand(height, width), columns[None, :].expand(height, width)


def prototype_statistics(features: Tensor, prototypes: PrototypeSet) -> Tensor:
    """The statistics ``s`` of every foreground prototype.

    In order: mean, spread, skewness and kurtosis of the unit prototype's components; log norm relative to the slice;
    concentration (length of the mean unit feature under the mask); participation ratio of the in-mask covariance;
    cosine to the mean background; row, column and spread of the support's self-similarity map.

    Args:
        features: (C, H, W).
        prototypes: pooled from ``features``.

    Returns:
        (P, STATISTICS).
    """
    channels, height, width = features.shape
    p, weights = prototypes.foreground, prototypes.weights
    z = unit(p)
    centred = (z - z.mean(-1, keepdim=True)) * math.sqrt(channels)
    spread = (centred.square().mean(-1) + 1e-8).sqrt()
    skewness = centred.pow(3).mean(-1) / spread.pow(3)
    kurtosis = centred.pow(4).mean(-1) / spread.pow(4)

    flat = features.flatten(1)
    directions = flat / flat.norm(dim=0, keepdim=True).clamp_min(1e-12)
    w = weights.flatten(1)
    level = flat.square().sum(0).mean().sqrt().clamp_min(1e-12)
    norm = (p.norm(dim=-1) / level).clamp_min(1e-3).log()
    concentration = torch.einsum("pn,cn->pc", w, directions).norm(dim=-1)

    deviations = (flat - p[:1].T) * w[0].clamp_min(0).sqrt()
    covariance = deviations @ deviations.T / level.square()
    participation = covariance.diagonal().sum().square() / covariance.square().sum().clamp_min(1e-12) / channels

    background = unit(prototypes.background[0])
    cosine = z @ background

    rows, columns = (axis.flatten() for axis in _axes(height, width, features))
    attention = torch.softmax(z @ directions / _SELF_SIMILARITY_TEMPERATURE, dim=-1)
    row, column = attention @ rows, attention @ columns
    second = attention @ (rows.square() + columns.square())
    extent = (second - row.square() - column.square()).clamp_min(1e-8).sqrt()
    return torch.stack(
        [
            z.mean(-1) * math.sqrt(channels),
            spread,
            skewness.clamp(-8, 8) / 4,
            kurtosis.clamp(0, 16) / 8,
            norm,
            concentration,
            participation.expand_as(norm),
            cosine,
            row,
            column,
            extent,
        ],
        dim=-1,
    )


def mask_geometry(mask: Tensor, pixel_mm: float) -> Tensor:
    """The geometry ``g`` of a mask: log area, centroid, second moments (log mm) and compactness.

    Args:
        mask: (H, W) in [0, 1].
        pixel_mm: edge of one mask pixel in mm.

    Returns:
        (GEOMETRY,); zero for an empty mask.
    """
    height, width = mask.shape
    area = mask.sum()
    if area < 1e-3:
        return mask.new_zeros(GEOMETRY)
    rows, columns = _axes(height, width, mask)
    row, column = (mask * rows).sum() / area, (mask * columns).sum() / area
    dy, dx = (rows - row) * (height / 2) * pixel_mm, (columns - column) * (width / 2) * pixel_mm
    yy, xx, xy = ((mask * term).sum() / area for term in (dy * dy, dx * dx, dy * dx))
    edges = (mask.diff(dim=0).abs().sum() + mask.diff(dim=1).abs().sum()).clamp_min(1.0)
    compactness = 4 * math.pi * area / edges.square()
    pixel = pixel_mm * pixel_mm
    return torch.stack(
        [
            (area * pixel).log() / 10,
            row,
            column,
            (yy + pixel / 12).log() / 10,
            (xx + pixel / 12).log() / 10,
            xy / (yy * xx + pixel * pixel).sqrt(),
            compactness,
        ]
    )

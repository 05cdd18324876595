"""Prototypes of one annotated slice: global and local foreground, explicit background.

Masked average pooling after Zhang et al., SG-One (2020); local (grid) prototypes after Ouyang et al., ALPNet (2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_FOREGROUND = 16
MAX_BACKGROUND = 48
MIN_CELL = 2  # feature pixels
FOREGROUND_COVERAGE = 0.6
BACKGROUND_COVERAGE = 0.9


@dataclass
class PrototypeSet:
    """Pooled features of one label on one slice, not normalised.

    Attributes:
        foreground: (P, C); row 0 is the global prototype, the others are local.
        weights: (P, H, W), the pooling weights of each foreground prototype, each summing to one (or zero: empty mask).
        background: (Q, C), deterministic, never enhanced.
    """

    foreground: Tensor
    weights: Tensor
    background: Tensor


def pooling_weights(mask: Tensor) -> Tensor:
    """Weights (..., H, W) summing to one over the last two axes, or zero where a mask is empty."""
    total = mask.sum(dim=(-2, -1), keepdim=True)
    return mask / total.clamp_min(1e-6)


def masked_average_pooling(features: Tensor, mask: Tensor) -> Tensor:
    """MAP: mean feature under a soft mask.

    Args:
        features: (C, H, W).
        mask: (..., H, W) in [0, 1].

    Returns:
        (..., C); zero for an empty mask.
    """
    return torch.einsum("...hw,chw->...c", pooling_weights(mask), features)


def _cells(mask: Tensor, limit: int, coverage: float) -> Tensor:
    """Split a mask (H, W) into square cells, as fine as ``limit`` cells allow; returns (N, H, W) masks, N <= limit."""
    height, width = mask.shape
    cell = MIN_CELL
    while True:
        pooled = F.avg_pool2d(mask[None, None], cell, stride=cell, ceil_mode=True, count_include_pad=False)[0, 0]
        chosen = torch.nonzero(pooled >= coverage)
        if len(chosen) <= limit:
            break
        cell = cell + 1 if cell < 4 else cell * 3 // 2
    rows = torch.arange(height, device=mask.device) // cell
    columns = torch.arange(width, device=mask.device) // cell
    inside = (rows[None, :, None] == chosen[:, 0, None, None]) & (columns[None, None, :] == chosen[:, 1, None, None])
    return inside.to(mask) * mask


def extract_prototypes(
    features: Tensor,
    mask: Tensor,
    *,
    local: bool = True,
    max_foreground: int = MAX_FOREGROUND,
    max_background: int = MAX_BACKGROUND,
) -> PrototypeSet:
    """Pool one slice's features into prototypes.

    Args:
        features: (C, H, W) features of the annotated slice.
        mask: (H, W) in [0, 1], the annotation at the features' resolution.
        local: add local foreground prototypes beside the global one.

    Empty, one-pixel and whole-slice masks are all defined: an empty mask pools to zero, a mask without room for a
    local cell keeps the global prototype alone, a slice without background has the zero vector as background.
    """
    masks = mask[None]
    if local:
        masks = torch.cat([masks, _cells(mask, max_foreground - 1, FOREGROUND_COVERAGE)])
    weights = pooling_weights(masks)
    outside = 1.0 - mask
    cells = _cells(outside, max_background, BACKGROUND_COVERAGE)
    background = torch.cat([outside[None], cells])
    return PrototypeSet(
        foreground=torch.einsum("phw,chw->pc", weights, features),
        weights=weights,
        background=masked_average_pooling(features, background),
    )

"""What episodes have in common: which slices, which part of them, how large, which way round, how disturbed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..preprocessing import MULTIPLE, NETWORK_SIDE
from .pool import Crop


def thinning(rng: np.random.Generator, slice_mm: float) -> int:
    """Every how many slices to keep, so that the spacing seen in training runs from fine to very coarse."""
    wanted = np.exp(rng.uniform(np.log(2.5), np.log(9.5)))
    return max(1, round(wanted / slice_mm))


def crop_around(rng: np.random.Generator, box: Crop, shape: tuple[int, int], context: tuple[float, float]) -> Crop:
    """A box with some of the surroundings, each side its own share (from ``context``) of the object's size."""
    top, bottom, left, right = box
    extent = max(bottom - top, right - left)
    margin = [max(20, rng.uniform(*context) * extent) for _ in range(4)]
    height, width = shape
    return (
        int(max(0, top - margin[0])),
        int(min(height, bottom + margin[1])),
        int(max(0, left - margin[2])),
        int(min(width, right + margin[3])),
    )


def slice_shifts(rng: np.random.Generator, count: int, rate: float) -> np.ndarray | None:
    """Breathing between slices: whole pixels (count, 2) by which each slice is displaced, or None (mostly).

    Either every slice is a little off on its own, or every second one is, as where odd and even slices were taken in
    two breath-holds.
    """
    if rng.random() >= rate:
        return None
    strength = rng.uniform(0.4, 1.8)
    if rng.random() < 0.4:
        shifts = np.zeros((count, 2))
        shifts[int(rng.integers(2)) :: 2] = rng.normal(0.0, 1.5 * strength, 2)
    else:
        shifts = rng.normal(0.0, strength, (count, 2))
    shifts[:, 1] *= 0.6  # bodies move less to the sides
    return np.round(shifts).astype(int)


def resize(images: Tensor, masks: Tensor, factor: float) -> tuple[Tensor, Tensor, float]:
    """Enlarge (S, H, W) images and (M, H, W) masks by about ``factor`` to sides the network takes.

    Returns:
        Images, masks, and by how much a pixel has grown.
    """
    height, width = images.shape[-2:]
    factor = min(factor, NETWORK_SIDE / max(height, width))
    size = tuple(max(48, -(-round(length * factor) // MULTIPLE) * MULTIPLE) for length in (height, width))
    images = F.interpolate(images[:, None], size=size, mode="bilinear", antialias=True)[:, 0]
    masks = F.interpolate(masks[:, None], size=size, mode="bilinear", antialias=True)[:, 0]
    return images.clamp(0.0, 1.0), masks.clamp(0.0, 1.0), height / size[0]


def flip(rng: np.random.Generator, *stacks: Tensor) -> list[Tensor]:
    """Mirror and transpose all stacks (..., H, W) in the same random way."""
    dims = [dim for dim in (-1, -2) if rng.random() < 0.5]
    turned = rng.random() < 0.3
    result = []
    for stack in stacks:
        stack = stack.flip(dims) if dims else stack
        result.append(stack.transpose(-1, -2).contiguous() if turned else stack.contiguous())
    return result


def part_of(mask: Tensor, rng: np.random.Generator) -> Tensor:
    """A part of the object (..., H, W), 35 to 85 % of its pixels, cut off by a straight line: a support that shows less
    than the whole organ."""
    height, width = mask.shape[-2:]
    angle = rng.uniform(0, 2 * np.pi)
    rows = torch.linspace(-1, 1, height)[:, None] * float(np.sin(angle)) * height
    columns = torch.linspace(-1, 1, width)[None, :] * float(np.cos(angle)) * width
    along = (rows + columns).expand(mask.shape)
    inside = along[mask > 0.5]
    if not len(inside):
        return mask
    kept = mask * (along <= torch.quantile(inside[:100_000], float(rng.uniform(0.35, 0.85))))
    return kept if float(kept.sum()) >= 30 else mask

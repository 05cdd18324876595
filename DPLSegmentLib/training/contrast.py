"""Random contrast: one scan's shapes in many modalities' looks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def _lookup(images: Tensor, rng: np.random.Generator) -> Tensor:
    """A random smooth, not always monotone, intensity curve."""
    knots = int(rng.integers(4, 9))
    curve = np.linspace(0.0, 1.0, knots)
    curve = curve + rng.normal(0.0, 0.12, knots) if rng.random() < 0.5 else rng.uniform(0.0, 1.0, knots)
    curve = (curve - curve.min()) / max(np.ptp(curve), 0.3)
    places = torch.from_numpy(curve.astype(np.float32))
    scaled = images.clamp(0, 1) * (knots - 1)
    low = scaled.floor().clamp(max=knots - 2).long()
    return torch.lerp(places[low], places[low + 1], scaled - low)


def _shift_regions(images: Tensor, regions: Tensor, rng: np.random.Generator) -> Tensor:
    """Every region of the partition gets its own intensity offset and gain; borders blurred like partial volume."""
    numbers, inverse = torch.unique(regions, return_inverse=True)
    strength = rng.uniform(0.03, 0.25)
    offsets = torch.from_numpy(rng.normal(0.0, strength, len(numbers)).astype(np.float32))
    gains = torch.from_numpy(np.exp(rng.normal(0.0, 0.3, len(numbers))).astype(np.float32))
    means = torch.zeros(len(numbers)).scatter_reduce(0, inverse.flatten(), images.flatten(), "mean", include_self=False)
    keep = (numbers == 0) & torch.tensor(bool(rng.random() < 0.7))
    offsets[keep], gains[keep] = 0.0, 1.0
    offset, gain, mean = (F.avg_pool2d(v[inverse][:, None], 3, 1, 1)[:, 0] for v in (offsets, gains, means))
    return mean + (images - mean) * gain + offset


def _field(shape: tuple[int, int], rng: np.random.Generator, strength: float) -> Tensor:
    coarse = torch.from_numpy(rng.normal(0.0, strength, (1, 1, 4, 4)).astype(np.float32))
    return F.interpolate(coarse, size=shape, mode="bicubic", align_corners=True)[0, 0].exp()


def _ghost(images: Tensor, rng: np.random.Generator) -> Tensor:
    """A faint displaced copy along one axis, as motion leaves in MR."""
    axis = int(rng.integers(1, 3))
    shift = int(rng.integers(images.shape[axis] // 8 + 1, images.shape[axis] // 2 + 2))
    return images + float(rng.uniform(0.02, 0.1)) * images.roll(shift, axis)


def _streaks(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Faint streaks along one axis, another pattern on each slice, as arms and shoulders leave in CT."""
    lines = torch.from_numpy(rng.standard_normal((*images.shape[:2], 1), dtype=np.float32))
    fade = torch.from_numpy(np.cos(np.linspace(-1.2, 1.2, images.shape[2], dtype=np.float32)))
    return images + float(rng.uniform(0.005, 0.03)) * lines * fade


def augment_contrast(images: Tensor, regions: Tensor, rng: np.random.Generator) -> Tensor:
    """Change the looks of a stack of slices, all in the same way but for noise.

    Args:
        images: (S, H, W) in [0, 1].
        regions: (S, H, W) whole numbers, a partition into structures; 0 is outside.
        rng: source of randomness.

    Returns:
        (S, H, W) float32 in [0, 1].
    """
    images = images.float()
    kind = rng.random()
    if kind > 0.25:
        if rng.random() < 0.6:
            images = _shift_regions(images, regions, rng)
        if rng.random() < 0.7:
            images = _lookup(images, rng)
        if rng.random() < 0.15:
            images = 1.0 - images
    if rng.random() < 0.5:
        images = images * _field(images.shape[-2:], rng, 0.15)
    if rng.random() < 0.3:
        images = images.clamp(0, 1) ** float(np.exp(rng.uniform(-0.5, 0.5)))
    if rng.random() < 0.3:
        factor = float(rng.uniform(0.4, 0.9))
        size = images.shape[-2:]
        small = tuple(max(8, round(length * factor)) for length in size)
        images = F.interpolate(images[:, None], size=small, mode="bilinear", antialias=True)
        images = F.interpolate(images, size=size, mode="bilinear")[:, 0]
    if rng.random() < 0.08:
        images = _ghost(images, rng)
    if rng.random() < 0.05:
        images = _streaks(images, rng)
    drift = torch.from_numpy(rng.normal(0.0, 0.02 * (rng.random() < 0.5), (len(images), 1, 1)).astype(np.float32))
    images = images + drift
    level = float(rng.uniform(0.0, 0.06))
    noise = torch.from_numpy(rng.standard_normal(images.shape, dtype=np.float32)) * level
    if rng.random() < 0.3:
        noise = F.avg_pool2d(noise[:, None], 3, 1, 1)[:, 0] * 2.0
    images = images + noise
    if rng.random() < 0.3:
        images = images.abs()
    return images.clamp(0.0, 1.0)

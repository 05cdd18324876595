"""Smooth random fields and the deformations made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def smooth_field(
    rng: np.random.Generator, shape: Sequence[int], spacing: Sequence[float], scale_mm: float
) -> np.ndarray:
    """Random field (slice, row, column) float32 with unit variance that changes over about ``scale_mm``."""
    weights = []
    for count, step in zip(shape, spacing, strict=True):
        extent = count * step
        knots = np.arange(-1.5 * scale_mm, extent + 1.5 * scale_mm + 1e-6, scale_mm)
        distance = (np.arange(count)[:, None] * step - knots[None]) / (0.7 * scale_mm)
        kernel = np.exp(-0.5 * distance**2)
        weights.append((kernel / np.sqrt((kernel**2).sum(1, keepdims=True))).astype(np.float32))
    field = rng.standard_normal([w.shape[1] for w in weights]).astype(np.float32)
    for axis, weight in enumerate(weights):
        field = np.moveaxis(np.tensordot(weight, field, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(field)


def displacement(
    rng: np.random.Generator,
    shape: Sequence[int],
    spacing: Sequence[float],
    scale_mm: float,
    amplitude_mm: float,
) -> np.ndarray:
    """Displacement in mm (3, slice, row, column) along (slice, row, column), limited to avoid folds."""
    field = np.stack([smooth_field(rng, shape, spacing, scale_mm) for _ in range(3)])
    return np.clip(field, -2.2, 2.2) * min(amplitude_mm, 0.3 * scale_mm)


def warp_labels(labels: np.ndarray, shift_mm: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Labels taken from ``position + shift``, nearest voxel, the border continued outwards."""
    index = []
    for axis, (count, step) in enumerate(zip(labels.shape, spacing, strict=True)):
        view = [1, 1, 1]
        view[axis] = count
        place = np.arange(count, dtype=np.float32).reshape(view) + shift_mm[axis] / step
        index.append(np.clip(np.rint(place), 0, count - 1).astype(np.intp))
    return labels[tuple(index)]

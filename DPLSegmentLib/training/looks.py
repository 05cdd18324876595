"""Looks: a generated body drawn slice by slice, in another modality every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ..preprocessing import IntensityMap, intensity_map
from ..synthetic.deformation import smooth_field
from ..synthetic.rendering import CONTRASTS, draw_intensities

_SHARES = (0.35, 0.15, 0.2, 0.3)  # of CONTRASTS
_SAMPLE = 20_000
_MOST_SLICES = 3  # drawn to average one thick slice


@dataclass(frozen=True, eq=False)
class Look:
    """How one examination shows a body: intensity, texture and inner gradient per structure, sharpness, noise, and the
    map to [0, 1] that preprocessing would choose for the whole scan."""

    contrast: str
    values: np.ndarray
    texture: np.ndarray
    bone: np.ndarray
    edge: float
    blur: tuple[float, float]
    noise: float
    mapping: IntensityMap


def draw_look(tissues: Sequence[str], counts: np.ndarray, rng: np.random.Generator) -> Look:
    """A random look for structures 1, 2, ... of kinds ``tissues`` with ``counts`` voxels of 0, 1, 2, ... in the
    scan."""
    contrast = str(rng.choice(CONTRASTS, p=_SHARES))
    values = draw_intensities(dict(enumerate(tissues, start=1)), rng, contrast)
    unit = 400.0 if contrast == "ct" else 1.0
    gain = rng.uniform(0.3, 1.5, values.size).astype(np.float32) * np.float32(unit * rng.uniform(0.008, 0.03))
    gain[0] = 0.0
    noise = float(rng.uniform(5, 18)) if contrast == "ct" else float(rng.uniform(0.005, 0.04))
    sample = np.repeat(values, np.round(counts / max(1, counts.sum()) * _SAMPLE).astype(int))
    sample = sample + noise * rng.standard_normal(sample.size)
    sample = np.clip(sample, -1000, 1500) if contrast == "ct" else np.abs(sample)
    return Look(
        contrast=contrast,
        values=values,
        texture=gain,
        bone=np.array([False, *(kind == "bone" for kind in tissues)]),
        edge=float(unit * (rng.uniform(0.3, 0.9) if contrast == "ct" else -rng.uniform(0.1, 0.3))),
        blur=(float(rng.uniform(0.1, 0.22)), float(rng.uniform(0.1, 0.22))),
        noise=noise,
        mapping=intensity_map(sample),
    )


def _blurred(stack: torch.Tensor, blur: tuple[float, float]) -> torch.Tensor:
    """(S, H, W) smoothed in-plane with [b, 1 - 2b, b] kernels: partial volume at the borders of structures."""
    padded = F.pad(stack[:, None], (1, 1, 1, 1), mode="replicate")
    down, across = (torch.tensor([b, 1 - 2 * b, b]) for b in blur)
    padded = F.conv2d(padded, down[None, None, :, None])
    return F.conv2d(padded, across[None, None, None, :])[:, 0]


def render_slices(
    labels: np.ndarray, look: Look, spacing: Sequence[float], rng: np.random.Generator, thick: int = 1
) -> np.ndarray:
    """Draw structures as an examination with this look shows them.

    Args:
        labels: (S, T, H, W) structures; the T slices of each of the S are averaged (partial volume along z).
        look: how.
        spacing: mm (slice, row, column).
        rng: noise and texture.
        thick: scan slices between two of the S.

    Returns:
        (S, H, W) float32 in [0, 1].
    """
    count, average, height, width = labels.shape
    texture = smooth_field(rng, (count, height, width), (spacing[0] * thick, *spacing[1:]), 7.0 + 2 * spacing[1])
    image = look.values[labels].mean(axis=1) if average > 1 else look.values[labels[:, 0]]
    image = image + texture * look.texture[labels[:, average // 2]]
    bone = torch.from_numpy(look.bone[labels].mean(axis=1, dtype=np.float32))
    if bool(bone.any()):
        # Dense cortex shows around marrow: where the blurred bone mask is thin.
        inside = F.avg_pool2d(bone[:, None], 5, 1, 2, count_include_pad=False)[:, 0]
        image = image + look.edge * (bone * (1 - inside)).numpy()
    drawn = _blurred(torch.from_numpy(np.ascontiguousarray(image, np.float32)), look.blur).numpy()
    drawn = drawn + look.noise * rng.standard_normal(drawn.shape, dtype=np.float32)
    return look.mapping(np.clip(drawn, -1000, 1500) if look.contrast == "ct" else np.abs(drawn))


def averaged_slices(thick: int) -> int:
    """How many scan slices to draw for one that is ``thick`` of them: enough to see partial volume."""
    return min(_MOST_SLICES, max(1, thick))

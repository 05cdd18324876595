"""Random smooth in-plane deformation: one patient's slice looks like another's."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def random_deformation(
    images: Tensor, mask: Tensor, rng: np.random.Generator, strength: float = 0.06
) -> tuple[Tensor, Tensor]:
    """Scale, rotate, shift and bend slices and their mask alike.

    Args:
        images: (S, H, W).
        mask: (M, H, W).
        rng: source of randomness.
        strength: bending in half slice widths.
    """
    height, width = images.shape[-2:]
    angle, scale = rng.uniform(-0.2, 0.2), np.exp(rng.uniform(-0.2, 0.2, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale[:, None]
    matrix = torch.tensor(np.hstack([turn, rng.uniform(-0.1, 0.1, (2, 1))]), dtype=torch.float32)
    grid = F.affine_grid(matrix[None], [1, 1, height, width], align_corners=False)
    bend = torch.from_numpy(rng.normal(0.0, strength, (1, 2, 5, 5)).astype(np.float32))
    grid = grid + F.interpolate(bend, size=(height, width), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)

    def warp(stack: Tensor, padding: str) -> Tensor:
        return F.grid_sample(stack[None], grid, padding_mode=padding, align_corners=False)[0]

    return warp(images, "border"), warp(mask, "zeros").clamp(0.0, 1.0)

"""How an annotator outlines: on the edge that the image shows, or further in or out, the same on every slice."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

FURTHEST_IN = 1.2  # pixels
FURTHEST_OUT = 1.8  # pixels
LEAST_LEFT = 0.6  # share of the area that an outline drawn further in must leave


def draw_offset(rng: np.random.Generator) -> float:
    """By how many pixels an annotator outlines further out (or in, where negative) than the edge."""
    return float(rng.uniform(-FURTHEST_IN, FURTHEST_OUT))


def outlined(masks: Tensor, offset: float, reference: int) -> Tensor:
    """Masks (S, H, W) in [0, 1] with every outline moved by ``offset`` pixels outward.

    An object too slender to be drawn further in, as slice ``reference`` shows it, stays as it is; so do slices without
    it.
    """
    inside = masks.numpy() > 0.5
    moved = np.stack([_moved(plane, offset) for plane in inside])
    if float(moved[reference].sum()) < LEAST_LEFT * float(inside[reference].sum()):
        return masks
    return torch.from_numpy(moved)


def _moved(inside: np.ndarray, offset: float) -> np.ndarray:
    """(H, W) bool -> float32 in [0, 1], a pixel's share within the moved outline."""
    if not inside.any() or inside.all():
        return inside.astype(np.float32)
    # Distance to the outline, which runs between pixels: half a pixel from the centres on either side of it.
    depth = np.where(
        inside, ndimage.distance_transform_edt(inside) - 0.5, 0.5 - ndimage.distance_transform_edt(~inside)
    )
    return np.clip(depth + offset + 0.5, 0.0, 1.0).astype(np.float32)

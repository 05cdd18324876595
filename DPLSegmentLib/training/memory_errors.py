"""Memory that contains errors: the masks a model remembers at inference are its own, not the truth."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def _shifted(mask: Tensor, down: int, right: int) -> Tensor:
    """A mask moved by whole pixels; zeros come in, what leaves is lost."""
    height, width = mask.shape
    padded = F.pad(mask, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)))
    top, left = max(-down, 0), max(-right, 0)
    return padded[top : top + height, left : left + width]


def with_errors(mask: Tensor, rng: np.random.Generator) -> Tensor:
    """A plausible wrong version of a mask (H, W): grown or shrunk, rounded off and shifted a little.

    Errors scale with the object, so that small vessels are not erased. An empty result returns the mask unchanged.
    """
    size = float(mask.sum().sqrt())
    sigma = float(rng.uniform(0.05, 0.2)) * size
    radius = max(1, int(2 * sigma))
    steps = torch.arange(-radius, radius + 1, dtype=mask.dtype, device=mask.device)
    kernel = torch.exp(-0.5 * (steps / max(sigma, 0.5)) ** 2)
    kernel = kernel / kernel.sum()
    soft = F.conv2d(mask[None, None], kernel[None, None, :, None], padding=(radius, 0))
    soft = F.conv2d(soft, kernel[None, None, None, :], padding=(0, radius))[0, 0]
    changed = torch.sigmoid((soft - float(rng.uniform(0.2, 0.75))) * 12.0)
    reach = max(1, round(0.08 * size))
    shift = tuple(int(n) for n in rng.integers(-reach, reach + 1, 2))
    changed = _shifted(changed, *shift)
    return changed if float((changed > 0.5).sum()) > 0.3 * float(mask.sum()) else mask

"""A square window around an object: propagation looks there, at a zoom that fits the object.

Full-frame matching is quadratic in the slice; in a window of fixed resolution every step costs the same, and a
gallbladder is seen as finely as a liver.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .encoder import FEATURE_STRIDE
from .resampling import read_grid

MARGIN = 1.6  # window side over object side
MIN_SIDE = 32  # network pixels


@dataclass(frozen=True)
class Window:
    """Rows ``top … top + side - 1`` and columns ``left … left + side - 1`` of the network grid; may leave the slice."""

    top: int
    left: int
    side: int

    @property
    def centre(self) -> tuple[float, float]:
        return self.top + (self.side - 1) / 2, self.left + (self.side - 1) / 2

    def places(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Network-pixel coordinates of ``count`` × ``count`` samples that tile the window."""
        steps = (torch.arange(count, device=device, dtype=torch.float32) + 0.5) / count * self.side - 0.5
        return self.top + steps, self.left + steps

    def crop(self, maps: Tensor, size: int, *, fill: str = "replicate") -> Tensor:
        """(B, C, H, W) on the network grid -> (B, C, size, size), antialiased."""
        height, width = maps.shape[-2:]
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.side, height), min(self.left + self.side, width)
        part = maps[..., top:bottom, left:right]
        padding = (
            left - self.left,
            self.left + self.side - right,
            top - self.top,
            self.top + self.side - bottom,
        )
        if any(padding):
            part = F.pad(part, padding, mode="replicate") if fill == "replicate" else F.pad(part, padding)
        return F.interpolate(part, size=(size, size), mode="bilinear", align_corners=False, antialias=True)

    def read_features(self, features: Tensor, size: int) -> Tensor:
        """(B, C, H/4, W/4) feature maps -> (B, C, size, size)."""
        rows, columns = self.places(size, features.device)
        offset = (FEATURE_STRIDE - 1) / 2
        return read_grid(features, (rows - offset) / FEATURE_STRIDE, (columns - offset) / FEATURE_STRIDE)

    def paste(self, maps: Tensor, shape: tuple[int, int], outside: float) -> Tensor:
        """Put window maps (B, C, size, size) back on the network grid (B, C, H, W), ``outside`` elsewhere."""
        size = maps.shape[-1]
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.side, shape[0]), min(self.left + self.side, shape[1])
        device = maps.device
        rows = (torch.arange(top, bottom, device=device, dtype=torch.float32) - self.top + 0.5) * size / self.side - 0.5
        columns = (
            torch.arange(left, right, device=device, dtype=torch.float32) - self.left + 0.5
        ) * size / self.side - 0.5
        part = read_grid(maps, rows, columns)
        padding = (left, shape[1] - right, top, shape[0] - bottom)
        return F.pad(part, padding, value=outside)

    def moved_by(self, rows: int, columns: int) -> Window:
        """The same window, moved."""
        return Window(self.top + rows, self.left + columns, self.side)

    def scaled(self, factor: float) -> Window:
        """A window about the same centre whose side is ``factor`` times as long, to the nearest two pixels."""
        inward = round(self.side * (1.0 - factor) / 2)
        return Window(self.top + inward, self.left + inward, self.side - 2 * inward)

    def moved_to(self, centre: tuple[float, float]) -> Window:
        """The same window centred elsewhere (to the nearest pixel)."""
        return Window(round(centre[0] - (self.side - 1) / 2), round(centre[1] - (self.side - 1) / 2), self.side)


def bounding_box(mask: Tensor) -> tuple[int, int, int, int] | None:
    """(top, left, bottom, right), bottom and right exclusive, of a boolean (H, W) mask; None if empty."""
    rows, columns = torch.nonzero(mask.any(1)).flatten(), torch.nonzero(mask.any(0)).flatten()
    if len(rows) == 0:
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def window_around(mask: Tensor, *, smallest: int = MIN_SIDE) -> Window | None:
    """The window for an object's boolean (H, W) mask, or None if the mask is empty."""
    box = bounding_box(mask)
    if box is None:
        return None
    top, left, bottom, right = box
    extent = max(bottom - top, right - left)
    side = max(round(MARGIN * extent), extent + 16, smallest)
    side = min(side, max(max(mask.shape), extent + 8))
    return Window((top + bottom - side) // 2, (left + right - side) // 2, side)


def aligned_window(window: Window, mask: Tensor) -> Window:
    """``window`` itself, or the window moved onto ``mask`` where the mask lies mostly outside of it.

    Keeps positions absolute for organs, and follows vessels that have drifted away from where they were annotated.
    """
    total = int(mask.sum())
    top, left = max(window.top, 0), max(window.left, 0)
    inside = int(mask[top : window.top + window.side, left : window.left + window.side].sum())
    if total == 0 or 2 * inside >= total:
        return window
    box = bounding_box(mask)
    return window.moved_to(((box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2))

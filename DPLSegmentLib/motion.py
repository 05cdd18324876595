"""How an object moves and grows across slices, so that it is looked for where it will be rather than where it was.

Vessels run obliquely, organs lean, and towards its end an organ gets smaller by more at every slice. A walk keeps the
velocity of its object's centre and the growth of its outline, as a tracker does that assumes both constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

KEPT = 0.5  # share of what was known that a step keeps: a found outline is uncertain
LIMIT = 0.5  # of the diameter (of a disc of the same area): farther than that no object moves in a slice unnoticed
MOST_GROWTH = 0.2  # of a step, either way
# Walks lose a little at every slice where objects do not. Growth within this is not followed, or they would lose more.
UNSURE_GROWTH = 0.05
FOLLOWED_GROWTH = 0.7  # share of what is beyond


def _likely(mask: Tensor) -> Tensor:
    """What of a mask (H, W) is more likely than not."""
    return torch.where(mask > 0.5, mask, torch.zeros_like(mask))


def centre_of(mask: Tensor) -> tuple[float, float] | None:
    """Centre (row, column) of a mask (H, W) in [0, 1], in its pixels: mean place of what is over .5, weighted by its
    probability. None where nothing is."""
    weights = _likely(mask)
    total = float(weights.sum())
    if total == 0.0:
        return None
    rows = torch.arange(mask.shape[0], device=mask.device, dtype=mask.dtype)
    columns = torch.arange(mask.shape[1], device=mask.device, dtype=mask.dtype)
    return float((weights.sum(1) * rows).sum()) / total, float((weights.sum(0) * columns).sum()) / total


def diameter_of(mask: Tensor) -> float:
    """Of a disc with the area of a mask (H, W) in [0, 1], in its pixels."""
    return 2 * math.sqrt(int((mask > 0.5).sum()) / math.pi)


def limited(shift: tuple[float, float], diameter: float) -> tuple[float, float]:
    """``shift`` (rows, columns), made shorter where it is longer than an object of this diameter moves."""
    length = math.hypot(*shift)
    scale = min(1.0, LIMIT * diameter / length) if length else 1.0
    return shift[0] * scale, shift[1] * scale


@dataclass(frozen=True)
class Motion:
    """What is known of an object after some steps of a walk.

    Attributes:
        velocity: (rows, columns) of its centre, network pixels a slice in the direction of the walk.
        growth: logarithm of the factor by which its diameter changes from slice to slice.
    """

    velocity: tuple[float, float] = (0.0, 0.0)
    growth: float = 0.0

    def seen(self, before: Tensor, now: Tensor, slices: int = 1) -> Motion:
        """After a step from mask ``before`` to mask ``now``, (H, W) each, ``slices`` further on; as it was where either
        is empty."""
        start, end = centre_of(before), centre_of(now)
        if start is None or end is None:
            return self
        kept = KEPT**slices
        rows, columns = (
            kept * v + (1 - kept) * (b - a) / slices for v, a, b in zip(self.velocity, start, end, strict=True)
        )
        growth = 0.5 * math.log(float(_likely(now).sum()) / float(_likely(before).sum())) / slices
        growth = max(-MOST_GROWTH, min(MOST_GROWTH, growth))
        return Motion((rows, columns), kept * self.growth + (1 - kept) * growth)

    def expected(self, mask: Tensor) -> tuple[int, int]:
        """How far (rows, columns) the object of mask (H, W) is expected to move to the next slice, whole pixels."""
        rows, columns = limited(self.velocity, diameter_of(mask))
        return round(rows), round(columns)

    @property
    def followed_growth(self) -> float:
        """Growth to the next slice that is counted on."""
        return math.copysign(FOLLOWED_GROWTH * max(0.0, abs(self.growth) - UNSURE_GROWTH), self.growth)

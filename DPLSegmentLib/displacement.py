"""What the image says of where an object has gone from one slice to the next."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .motion import diameter_of, limited
from .window import Window

SIZE = 40  # samples a side of a window
REACH = 10  # samples that are tried, each way
AROUND = 0.25  # of its diameter, of what surrounds an object, is compared with it
# How much a displacement from the expected place by the object's diameter costs, in units of the object's own variance.
STIFFNESS = 8.0


def displacement(
    before: Tensor, now: Tensor, mask: Tensor, window: Window, expected: tuple[int, int]
) -> tuple[int, int]:
    """Where the object of ``mask`` is in ``now`` by block matching: the sum of squared differences of the object and
    what is around it, and a quadratic cost of not being where it is expected.

    Args:
        before, now: slices (H, W) in [0, 1].
        mask: (H, W) in [0, 1] of the object in ``before``.
        window: around the object in ``before``.
        expected: (rows, columns) by which it probably has moved; the answer where the image tells nothing.

    Returns:
        (rows, columns), whole pixels of the network grid, no more than ``motion.LIMIT`` of the object's diameter.
    """
    inside = (window.crop(mask[None, None], SIZE, fill="zero") > 0.5).float()
    if not bool(inside.any()):
        return expected
    old = window.crop(before[None, None], SIZE)
    new = window.moved_by(*expected).crop(now[None, None], SIZE)
    diameter = diameter_of(inside[0, 0])
    reach = max(1, round(AROUND * diameter))
    weight = F.max_pool2d(inside, 2 * reach + 1, 1, reach)
    # What lies beyond the slice repeats its border, which does not move.
    weight = weight * window.crop(torch.ones_like(mask)[None, None], SIZE, fill="zero")
    total = weight.sum()
    mean = (weight * old).sum() / total
    variance = ((weight * old.square()).sum() / total - mean.square()).clamp_min(1e-5)
    wide = F.pad(new, (REACH,) * 4, mode="replicate")
    difference = (weight * old.square()).sum() - 2 * F.conv2d(wide, weight * old) + F.conv2d(wide.square(), weight)
    steps = torch.arange(-REACH, REACH + 1, device=old.device, dtype=old.dtype)
    cost = difference[0, 0] / total / variance
    cost = cost + STIFFNESS * (steps[:, None].square() + steps.square()) / diameter**2
    place = int(cost.argmin())
    row, column = place // len(steps), place % len(steps)
    if not (0 < row < 2 * REACH and 0 < column < 2 * REACH):
        return expected
    values = cost[row - 1 : row + 2, column - 1 : column + 2].tolist()
    samples = (
        row - REACH + _vertex(values[0][1], values[1][1], values[2][1]),
        column - REACH + _vertex(values[1][0], values[1][1], values[1][2]),
    )
    pixels = window.side / SIZE
    found = (expected[0] + samples[0] * pixels, expected[1] + samples[1] * pixels)
    rows, columns = limited(found, diameter * pixels)
    return round(rows), round(columns)


def _vertex(left: float, middle: float, right: float) -> float:
    """Where between -.5 and .5 the parabola through three values at -1, 0 and 1 is lowest, of which the middle one is
    the least."""
    curvature = left - 2 * middle + right
    return max(-0.5, min(0.5, 0.5 * (left - right) / curvature)) if curvature > 1e-9 else 0.0

"""In favour of the organ: outlines that come out too small are raised a little.

In another patient, small organs more than large ones; in the same scan, between two annotated slices.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import replace

from torch import Tensor

from .propagation import LabelResult, between

# Logit that the look-up, and its blend with propagation, are raised by. Near its border an organ is outvoted by the
# many places around it, and where look-up and propagation do not agree on an outline their mean lies below one half.
# Not a part of the decoder, or training on generated pairs, in which organs are found at their size, would undo it.
FAVOUR = 0.5
# Area of a slice of the organ above which it is raised less: the larger it is, the less of it is border.
LARGE_MM2 = 5000.0
# Logit that is added where walks from both sides meet: each loses a little of the outline at every step, and where they
# do not agree their mean lies below one half.
MEETING = 0.5


def favour(masks: Iterable[Tensor], pixel_mm: float) -> float:
    """The logit to raise an organ by.

    Args:
        masks: its annotated slices, (H, W) in [0, 1] each.
        pixel_mm: edge of a pixel.
    """
    areas = [float(mask.sum()) * pixel_mm**2 for mask in masks]
    mean = sum(areas) / max(1, len(areas))
    return FAVOUR * min(1.0, LARGE_MM2 / max(mean, 1.0))


def raised_between(result: LabelResult, annotated: Collection[int]) -> LabelResult:
    """A label's result, raised on the slices that lie between annotated ones."""
    met = set(between(annotated)) - set(annotated)
    changed = {n: raised(value.float(), MEETING).half() for n, value in result.probability.items() if n in met}
    return replace(result, probability=result.probability | changed) if changed else result


def raised(probability: Tensor, logit: float) -> Tensor:
    """``sigmoid(logit(probability) + logit)``, exact at zero and one."""
    odds = math.exp(logit)
    return probability * odds / (1.0 + probability * (odds - 1.0))

"""What plain intensities say about a finished walk: are they more like the organ's, or more like its surroundings'?

A walk compares places, and what it loses or wins by mistake at one slice it keeps at the next. How often each intensity
occurs inside and around the organ is counted where that is known, on annotated slices, or else in the result itself. It
is weighed in once, at the end: within the walks, each slice would grow further into whatever looks alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from .errors import stop_if
from .propagation import LabelResult, between
from .step import EncodedScan
from .window import bounding_box

GAIN = 0.6  # of the log-ratio of frequencies, where inside and surroundings share no intensity
# Times as strong between two annotated slices: a structure with known ends on both sides changes little on its way, and
# what is counted there holds. Beyond them it may meet others that look like it.
BETWEEN = 3.0
REACH_MM = 10.0  # how far the surroundings go, in-plane
OPEN = 0.02  # probability below which a place stays what it is
_BINS = 32
_SMOOTH = 1.5  # bins, standard deviation
_LEAST = 0.003  # frequency below which nothing is concluded
_LIMIT = 3.0
_FEWEST = 8  # pixels
_SAMPLES = 1_000_000
_COUNTED = 48  # slices at most, evenly spread: cancelling has to take effect within a second
_CHUNK = 16  # slices


def _bins(values: Tensor, low: float, width: float) -> Tensor:
    return ((values - low) / width * (_BINS - 1)).clamp(0, _BINS - 1).long()


def _frequencies(bins: Tensor) -> Tensor:
    """Smoothed shares (_BINS,) of whole numbers 0 .. _BINS - 1."""
    counts = torch.bincount(bins, minlength=_BINS).float()
    steps = torch.arange(-6, 7, device=bins.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (steps / _SMOOTH).square())
    smooth = F.conv1d(counts[None, None], kernel[None, None], padding=6)[0, 0]
    return smooth / smooth.sum()


@dataclass(frozen=True, eq=False)
class IntensityEvidence:
    """A logit for every intensity: ``table`` (32,) over ``low`` to ``low + width``, constant beyond."""

    low: float
    width: float
    table: Tensor

    @classmethod
    def of(cls, images: Tensor, probability: Tensor, pixel_mm: float) -> IntensityEvidence | None:
        """Count in slices (N, H, W) with an organ's probability; None if there is too little of it, or around it.

        The log-ratio of both frequencies is weighed by ``GAIN·J²``, J being the share of the organ's intensities that
        its surroundings do not have (the total variation distance): where the two look alike, as organs in a
        head-and-neck CT do, intensities would mislead more often than help.
        """
        reach = max(1, round(REACH_MM / pixel_mm))
        organ = probability > 0.5
        near = F.max_pool2d(organ[:, None].float(), (2 * reach + 1, 1), 1, (reach, 0))
        near = F.max_pool2d(near, (1, 2 * reach + 1), 1, (0, reach))[:, 0] > 0
        inside, around = images[organ], images[near & ~organ]
        if len(inside) < _FEWEST or len(around) < _FEWEST:
            return None
        both = torch.cat([inside, around])
        low, high = torch.quantile(both[:: len(both) // _SAMPLES + 1], torch.tensor([0.005, 0.995]).to(both)).tolist()
        width = max(high - low, 1e-4)
        one, other = (_frequencies(_bins(values, low, width)) for values in (inside, around))
        differ = 0.5 * (one - other).abs().sum()
        ratio = ((one + _LEAST) / (other + _LEAST)).log().clamp(-_LIMIT, _LIMIT)
        return cls(low, width, GAIN * differ.square() * ratio)

    def __call__(self, images: Tensor) -> Tensor:
        """The logits of intensities, of the same shape."""
        return self.table[_bins(images, self.low, self.width)]


def counted(slices: Sequence[int]) -> Sequence[int]:
    """Those of the slices that intensities are counted in: so many at most, evenly spread."""
    return slices[:: max(1, -(-len(slices) // _COUNTED))]


def attached(mask: Tensor, core: Tensor) -> Tensor:
    """What of boolean slices (N, H, W) hangs together, in-plane and at corners too, with some of ``core``."""
    reached = mask & core
    while True:
        grown = (F.max_pool2d(reached[:, None].float(), 3, 1, 1)[:, 0] > 0) & mask
        if torch.equal(grown, reached):
            return reached
        reached = grown


@torch.inference_mode()
def weigh_intensities(
    result: LabelResult,
    scan: EncodedScan,
    annotated: Collection[int],
    should_cancel: Callable[[], bool] | None = None,
) -> LabelResult:
    """A label's result with the intensities weighed in: borders move, but no new islands arise.

    Args:
        result: probabilities of the label on the slices of ``scan``.
        annotated: slices that were annotated with the label; what is known there stays, and tells what counts.
        should_cancel: asked every few slices.

    Raises:
        Cancelled: ``should_cancel()`` returned true.
    """
    places = sorted(result.probability)
    if not places:
        return result
    stack = torch.stack([result.probability[n] for n in places])
    box = bounding_box(stack.amax(0) > OPEN)
    if box is None:
        return result
    # The surroundings belong to it: they are counted.
    margin = round(REACH_MM / scan.pixel_mm) + 1
    rows = slice(max(0, box[0] - margin), box[2] + margin)
    columns = slice(max(0, box[1] - margin), box[3] + margin)
    known = [row for row, n in enumerate(places) if n in annotated] or list(range(len(places)))
    known = counted(known)
    images, part = scan.images[:, rows, columns][places], stack[:, rows, columns].float()
    evidence = IntensityEvidence.of(images[known], part[known], scan.pixel_mm)
    if evidence is None:
        return result
    inner = between(annotated)
    strength = torch.tensor([BETWEEN if n in inner else 1.0 for n in places]).to(part)[:, None, None]
    changed = dict(result.probability)
    for first in range(0, len(places), _CHUNK):
        stop_if(should_cancel)
        some = slice(first, first + _CHUNK)
        before = part[some]
        after = (torch.logit(before.clamp(1e-3, 1 - 1e-3)) + strength[some] * evidence(images[some])).sigmoid()
        after = torch.where(before > OPEN, after, before)
        mask = after > 0.5
        after = torch.where(mask & ~attached(mask, before > 0.5), before, after).half()
        for n, values in zip(places[some], after, strict=True):
            if n not in annotated:
                changed[n] = changed[n].clone()
                changed[n][rows, columns] = values
    return replace(result, probability=changed)

"""How likely a label is wrong at a place: by its probability, a little away from there, and by intensities.

A probability near one half says that the network cannot decide. Where it has decided, and wrongly, it is mostly off by
a little: the border lies a few millimetres further, or the walk ended a slice too early. So the probability is also
looked at out of focus, in all directions and across slices alone, and a slice at which a walk ended keeps half of what
was found there. And what looks more like the other side of the border is more likely wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .errors import InputError
from .geometry import SliceFrame
from .intensity_evidence import IntensityEvidence, counted
from .preprocessing import NetworkGrid
from .propagation import LabelResult
from .step import EncodedScan
from .window import bounding_box

FOCUS_MM = 4.0  # standard deviation of what borders are off by
INTENSITIES = 0.5  # times what they count in the result itself, once more
_REACH = 2.5  # standard deviations
_LEAST = 0.01
_NEVER = 0.003  # probability below which nothing is concluded from intensities


def _blurred(values: Tensor, axis: int, sigma: float) -> Tensor:
    """A Gaussian along one axis of (N, H, W); beyond the ends values go on as they are."""
    radius = max(1, round(_REACH * sigma))
    weights = [math.exp(-0.5 * (step / max(sigma, 1e-3)) ** 2) for step in range(-radius, radius + 1)]
    count = values.shape[axis]
    places = torch.arange(-radius, count + radius, device=values.device).clamp(0, count - 1)
    longer = values.index_select(axis, places)
    # A sum of shifted copies: much faster than a convolution of one channel.
    total = torch.zeros_like(values)
    for step, weight in enumerate(weights):
        total.add_(longer.narrow(axis, step, count), alpha=weight / sum(weights))
    return total


@dataclass(frozen=True, eq=False)
class Doubt:
    """Doubt about one label, in [0, 1], on the network grid: ``values`` (n, h, w) float16 from slice ``first``, row
    ``top`` and column ``left`` on; none elsewhere. ``shape``: (H, W) of a slice."""

    values: Tensor
    first: int
    top: int
    left: int
    shape: tuple[int, int]

    def cpu(self) -> Doubt:
        """The same in the computer's own memory: a result outlives its run, and must not hold on to a GPU's."""
        return replace(self, values=self.values.cpu())

    def slice(self, index: int) -> Tensor | None:
        """(H, W) of a slice; None where there is no doubt."""
        if not 0 <= index - self.first < len(self.values):
            return None
        part = self.values[index - self.first].float()
        if float(part.max()) <= _LEAST:
            return None
        whole = torch.zeros(self.shape, device=part.device)
        whole[self.top : self.top + part.shape[0], self.left : self.left + part.shape[1]] = part
        return whole


def doubt(result: LabelResult, scan: EncodedScan) -> Doubt:
    """The probability that a place is wrong: that it is not the label where it was found, and is where it was not.

    The mean of what several views say, each with the intensities weighed in: the label's probability as it is, out of
    focus by 4 mm along all axes, out of focus across slices alone, by 4 mm or one slice, and for another patient the
    look-up by itself. Within 10 mm of borders that agrees with how often real scans are wrong there
    (Testing/Benchmarks/RESULTS.md).
    """
    height, width = scan.images.shape[-2:]
    shown = [*result.probability, *result.rejected] or [0]
    around = max(1, round(_REACH * FOCUS_MM / scan.slice_mm))
    first, last = max(0, min(shown) - around), min(len(scan.images) - 1, max(shown) + around)
    stack = torch.zeros(last - first + 1, height, width, device=scan.images.device)
    for index, probability in result.rejected.items():
        stack[index - first] = 0.5 * probability.float()
    for index, probability in result.probability.items():
        stack[index - first] = torch.maximum(stack[index - first], probability.float())
    box = bounding_box(stack.amax(0) > _LEAST)
    if box is None:
        return Doubt(stack[:0, :1, :1].half(), first, 0, 0, (height, width))
    margin = int(_REACH * FOCUS_MM / scan.pixel_mm) + 1
    top, left = max(0, box[0] - margin), max(0, box[1] - margin)
    rows, columns = slice(top, box[2] + margin), slice(left, box[3] + margin)
    sharp, images = stack[:, rows, columns], scan.images[first : last + 1, rows, columns]
    soft = sharp
    for axis, step in ((0, scan.slice_mm), (1, scan.pixel_mm), (2, scan.pixel_mm)):
        soft = _blurred(soft, axis, FOCUS_MM / step)
    views = [sharp, soft, _blurred(sharp, 0, max(FOCUS_MM / scan.slice_mm, 1.0))]

    def placed(slices: dict[int, Tensor]) -> Tensor:
        values = torch.zeros_like(sharp)
        for index, value in slices.items():
            values[index - first] = value[rows, columns].float()
        return values

    if result.looked_up:
        views.append(placed(result.looked_up))
    found = placed(result.probability) > 0.5
    evidence = _intensities(images, found, scan.pixel_mm)
    values = [_wrong(image, here, evidence, *parts) for image, here, *parts in zip(images, found, *views, strict=True)]
    return Doubt(torch.stack(values), first, top, left, (height, width))


def _intensities(images: Tensor, found: Tensor, pixel_mm: float) -> IntensityEvidence | None:
    """What intensities say, counted in the result itself."""
    shown = counted(found.flatten(1).any(1).nonzero()[:, 0].tolist())
    if not shown:
        return None
    return IntensityEvidence.of(images[shown], found[shown].float(), pixel_mm)


def _wrong(image: Tensor, found: Tensor, evidence: IntensityEvidence | None, *views: Tensor) -> Tensor:
    """The mean over the views (h, w) of a slice of the probability of the contrary, (h, w) float16."""
    parts = torch.stack(views)
    wrong = torch.where(found, 1.0 - parts, parts)
    possible = wrong.amax(0) > _NEVER
    if evidence is not None:
        against = torch.where(found, -INTENSITIES, INTENSITIES) * evidence(image)
        wrong = (torch.logit(wrong.clamp(_NEVER, 1.0 - _NEVER)) + against).sigmoid()
    return (wrong.mean(0) * possible).half()


@dataclass(frozen=True, eq=False)
class LabelDoubts:
    """Doubt about every label of a result, brought to the query's own grid when asked for."""

    by_label: dict[int, Doubt]
    grid: NetworkGrid
    frame: SliceFrame
    count: int
    certain: dict[int, frozenset[int]]

    def of(self, label: int) -> np.ndarray:
        """(k, j, i) float32 in [0, 1]; zero on slices that were annotated with the label.

        Raises InputError for a label that was not annotated.
        """
        if label not in self.by_label:
            choice = ", ".join(map(str, sorted(self.by_label)))
            raise InputError(f"Label {label} was not annotated; choose one of {choice}.")
        rows, columns = self.grid.shape
        found = np.zeros((self.count, rows, columns), np.float32)
        for index in range(self.count):
            part = None if index in self.certain.get(label, ()) else self.by_label[label].slice(index)
            if part is not None:
                found[index] = self.grid.to_slices(part[None])[0].clamp(0.0, 1.0).cpu().numpy()
        return self.frame.invert(found)

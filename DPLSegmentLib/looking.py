"""A look at another patient: every query slice is compared with the support slices that it is aligned to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .coarse import CoarseOrgans, CoarseScan
from .cross_matching import CrossReadout
from .errors import stop_if
from .model import DPLModel
from .progress_parts import ProgressPart

REFERENCES = 7  # aligned support slices looked up per query slice, at most
REACH_MM = 26.0
SLICE_SIGMA_MM = 12.0  # how far alignment along the slice axis is trusted
MOST_SLICES = 2 * REFERENCES  # compared with at once, about, for memory's sake
TOGETHER = 6  # labels whose variants are tried at once: few enough that cancelling takes effect within a second


def references(place: float, count: int, slice_mm: float) -> list[int]:
    """Which of a support's ``count`` slices to look up for a query slice aligned to the fractional slice ``place``."""
    nearest = sorted(range(count), key=lambda n: (abs(n - place), n))[:REFERENCES]
    return sorted(n for n in nearest if abs(n - place) * slice_mm <= REACH_MM)


@dataclass(frozen=True)
class Asked:
    """The support slices that one query slice is compared with, and how much each counts.

    Attributes:
        slices: all that are asked for any of the places.
        bias: (places, slices), what is added to the scores; -inf where a slice is not asked.
    """

    slices: list[int]
    bias: Tensor

    @classmethod
    def around(cls, places: Sequence[float], count: int, slice_mm: float) -> Asked:
        """Args: fractional support slices, each of another label or under another alignment; NaN is near no slice."""
        chosen = [references(place, count, slice_mm) for place in places]
        slices = sorted({n for asked in chosen for n in asked})
        rows = [
            [-0.5 * ((n - place) * slice_mm / SLICE_SIGMA_MM) ** 2 if n in asked else -torch.inf for n in slices]
            for place, asked in zip(places, chosen, strict=True)
        ]
        return cls(slices, torch.tensor(rows).view(len(places), len(slices)))


@dataclass
class Looking:
    """A query and a support on the coarse grid, and where each query slice lies in the support.

    Attributes:
        where: fractional support slice of every query slice.
        shifts: mm along the support by which each organ lies off that, in the order of ``organs.labels``.
    """

    model: DPLModel
    query: CoarseScan
    support: CoarseScan
    organs: CoarseOrgans
    where: list[float]
    should_cancel: Callable[[], bool] | None
    shifts: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shifts = self.shifts or [0.0] * len(self.organs.labels)
        self.shown = (self.organs.masks.amax((-2, -1)) > 0.0).cpu()

    def asked(self, index: int, shifts: Sequence[float], every: int = 1) -> Asked:
        """What a query slice is compared with for organs that are shifted by so much, in mm.

        Args:
            every: ask every second, third ... support slice only.
        """
        mm, count = every * self.support.slice_mm, -(-len(self.support.features) // every)
        asked = Asked.around([self.where[index] / every + shift / mm for shift in shifts], count, mm)
        return Asked([every * n for n in asked.slices], asked.bias)

    def read(self, moves: list[Tensor | None] | None, progress: ProgressPart) -> CrossReadout:
        """All query slices, (L, N, h, w) each.

        Args:
            moves: of each label, see :meth:`CrossMatcher.forward`.
        """
        count, labels = len(self.query.features), len(self.organs.labels)
        parts = self._together(labels if moves is None else TOGETHER)
        probability = torch.zeros(labels, count, *self.query.features.shape[-2:]).to(self.query.features)
        spread = torch.zeros_like(probability)
        for index in range(count):
            for part in parts:
                stop_if(self.should_cancel)
                part = [n for n in part if self._may_show(index, n)]
                if not part:
                    continue
                asked = self.asked(index, [self.shifts[n] for n in part])
                here = (self.query.features[index], self.query.places[index])
                there = (self.support.features[asked.slices], self.support.places[asked.slices])
                masks, bias = self.organs.masks[part][:, asked.slices], asked.bias.to(probability)
                read = self.model.cross(*here, *there, masks, bias, None if moves is None else [moves[n] for n in part])
                probability[part, index], spread[part, index] = read.probability, read.spread
            progress((index + 1) / count, f"comparing slice {index + 1} of {count}")
        return CrossReadout(probability, spread)

    def _may_show(self, index: int, row: int) -> bool:
        """Whether any slice that is asked for a label shows it; if not, it is not found."""
        return bool(self.shown[row, self.asked(index, [self.shifts[row]]).slices].any())

    def _together(self, most: int) -> list[list[int]]:
        """Rows of labels that are looked up at once: at most so many, and of shifts that ask for few slices."""
        parts: list[list[int]] = [[]]
        for row in sorted(range(len(self.shifts)), key=lambda n: (self.shifts[n], n)):
            shifts = {self.shifts[n] for n in [*parts[-1], row]}
            further = (max(shifts) - min(shifts)) / self.support.slice_mm
            crowded = min(len(shifts) * REFERENCES, REFERENCES + further) > MOST_SLICES
            if parts[-1] and (len(parts[-1]) == most or crowded):
                parts.append([])
            parts[-1].append(row)
        return parts

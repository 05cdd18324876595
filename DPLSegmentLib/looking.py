"""A look at another patient: every query slice is compared with the support slices that it is aligned to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .coarse import CoarseOrgans, CoarseScan
from .cross_matching import CrossReadout, SliceEvidence
from .errors import stop_if
from .model import DPLModel
from .progress_parts import ProgressPart

REFERENCES = 7  # aligned support slices looked up per query slice, at most
REACH_MM = 26.0
SLICE_SIGMA_MM = 12.0  # how far alignment along the slice axis is trusted
SPACING_MM = 6.0  # about how far apart the query slices are at least that are looked at


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


def one_in(spacing_mm: float, slice_mm: float) -> int:
    """Every how many slices of this thickness to take one, for about this spacing."""
    return max(1, round(spacing_mm / slice_mm))


def looked_at(where: Sequence[float], slice_mm: float) -> list[int]:
    """Which query slices to look at: about every ``SPACING_MM``, and both ends of what lies in the support at all.

    Args:
        where: fractional support slice of every query slice; NaN where there is none.
    """
    every = one_in(SPACING_MM, slice_mm)
    known = [not math.isnan(place) for place in [math.nan, *where, math.nan]]
    return [n for n in range(len(where)) if known[n + 1] and (n % every == 0 or not (known[n] and known[n + 2]))]


def fill_between(values: Tensor, looked: Sequence[int], where: Sequence[float]) -> None:
    """Interpolate, in place, ``values`` (L, N, h, w) linearly between the slices that were looked at."""
    for before, after in zip(looked, looked[1:], strict=False):
        between = range(before + 1, after)
        if not any(math.isnan(where[n]) for n in between):
            for n in between:
                values[:, n] = torch.lerp(values[:, before], values[:, after], (n - before) / (after - before))


@dataclass
class Looking:
    """A query and a support on the coarse grid, and where each query slice lies in the support.

    Attributes:
        where: fractional support slice of every query slice; NaN where there is none.
        shifts: mm along the support by which each organ lies off that, in the order of ``organs.labels``.
        shown: (N,), whether a support slice shows any organ.
        compared: query slice -> the support slices that it has been compared with last, and what they said.
    """

    model: DPLModel
    query: CoarseScan
    support: CoarseScan
    organs: CoarseOrgans
    where: list[float]
    should_cancel: Callable[[], bool] | None
    shifts: list[float] = field(default_factory=list)
    shown: Tensor = field(init=False)
    compared: dict[int, tuple[list[int], SliceEvidence]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.shifts = self.shifts or [0.0] * len(self.organs.labels)
        self.shown = (self.organs.masks.amax((0, 2, 3)) > 0.0).cpu()

    @property
    def looked(self) -> list[int]:
        """The query slices that are looked at."""
        return looked_at(self.where, self.query.slice_mm)

    def asked(self, index: int, shifts: Sequence[float], every: int = 1) -> Asked:
        """What a query slice is compared with for organs that are shifted by so much, in mm.

        Args:
            every: ask every second, third ... support slice only.
        """
        mm, count = every * self.support.slice_mm, -(-len(self.support.features) // every)
        asked = Asked.around([self.where[index] / every + shift / mm for shift in shifts], count, mm)
        return Asked([every * n for n in asked.slices], asked.bias)

    def evidence(self, index: int, slices: list[int]) -> SliceEvidence:
        """What support slices say about a query slice. Kept, for the next question is often about the same ones."""
        known, evidence = self.compared.get(index, ([], None))
        if evidence is None or not set(slices) <= set(known):
            here = (self.query.features[index], self.query.places[index])
            there = (self.support.features[slices], self.support.places[slices])
            evidence = self.model.cross.by_slice(*here, *there, self.organs.masks[:, slices])
            self.compared[index] = known, evidence = slices, evidence
        return evidence if slices == known else evidence.of([known.index(n) for n in slices])

    def plainly(self, progress: ProgressPart) -> CrossReadout:
        """The look-up of all query slices without variants; slices that are not looked at lie between two that are.

        Returns: (L, N, h, w) each.
        """
        looked = self.looked
        probability = torch.zeros(len(self.shifts), *self.query.features[:, 0].shape).to(self.query.features)
        for number, index in enumerate(looked, start=1):
            stop_if(self.should_cancel)
            asked = self.asked(index, self.shifts)
            if self.shown[asked.slices].any():
                weights = asked.bias.to(probability).exp()
                found = self.evidence(index, asked.slices).probability(weights)
                probability[:, index] = found.view_as(probability[:, index])
            progress(number / len(looked), f"comparing slice {index + 1} of {len(self.where)}")
        fill_between(probability, looked, self.where)
        return CrossReadout(probability, torch.zeros_like(probability))

    def varied(self, plain: CrossReadout, moves: list[Tensor | None], progress: ProgressPart) -> CrossReadout:
        """The look-up with variants of organs; ``moves`` of each label as in :meth:`CrossMatcher.forward`."""
        looked = self.looked
        read = CrossReadout(plain.probability.clone(), plain.spread.clone())
        for number, index in enumerate(looked, start=1):
            for row, move in enumerate(moves):
                stop_if(self.should_cancel)
                asked = self.asked(index, [self.shifts[row]])
                if move is not None and asked.slices:
                    here = (self.query.features[index], self.query.places[index])
                    there = (self.support.features[asked.slices], self.support.places[asked.slices])
                    organ = (self.organs.masks[row, asked.slices], asked.bias[0].to(move), move)
                    found = self.model.cross.varied(*here, *there, *organ, plain.probability[row, index])
                    read.probability[row, index], read.spread[row, index] = found.probability, found.spread
            progress(number / len(looked), f"comparing slice {index + 1} of {len(self.where)} again")
        for values in (read.probability, read.spread):
            fill_between(values, looked, self.where)
        return read

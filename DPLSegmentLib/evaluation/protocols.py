"""The four protocols: what is annotated, what is segmented, what is scored.

======== ================= ============================ ==============================================
protocol query             annotated, of each label     scored
======== ================= ============================ ==============================================
S1       the same scan     its largest slice            all slices but the label's annotated ones
R1       another patient   its largest slice            all slices
EP2      another patient   at 1/6, 1/2, 5/6 of its      all slices
                           slices
EP1      another patient   at 1/6, 1/2, 5/6 of its      slices that show the label; they are known, and
                           slices                       split into three chunks, one per annotated slice
======== ================= ============================ ==============================================

EP1 and EP2 follow Roy et al. (2020), Ouyang et al. (SSL-ALPNet, 2020) and Hansen et al. (ADNet, 2022), down to the
rounding: of L slices that show a label, those at ``int(L·(2i + 1)/2n)`` are annotated, and the chunks of C query slices
end at ``int(C·i/n)``. There every label is an episode of its own, so a binary problem; EP1 is evaluated like that here,
the other protocols with all labels of the support at once, as a user would (``episodes`` turns either into the other).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from .scans import Scan

SLICE_AXIS = 2  # IJK: all sets are annotated and propagated along the k axis of their files
MOST_ANNOTATED = 9


@dataclass(frozen=True)
class Protocol:
    """A protocol and its defaults; ``single`` says which slice one annotated slice is."""

    name: str
    same_scan: bool
    annotated: int
    single: str  # "largest" or "middle"
    known_slices: bool
    episodes: str  # "joint" or "binary"
    summary: str


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("S1", True, 1, "largest", False, "joint", "same scan, without each label's annotated slices"),
        Protocol("R1", False, 1, "largest", False, "joint", "another patient, all slices"),
        Protocol("EP2", False, 3, "middle", False, "joint", "another patient, all slices"),
        Protocol("EP1", False, 3, "middle", True, "binary", "another patient, the slices that show the label"),
    )
}


@dataclass(frozen=True, eq=False)
class Episode:
    """One support, one query.

    Attributes:
        drawn: label -> {support slice (along k): (row, column) bool mask}.
        scored: the labels that count.
        chunks: label -> {query slice: annotated support slice it belongs to}, where the protocol gives it.
        places: label -> {query slice: fractional support slice that shows the same place}, likewise.
    """

    support: Scan
    query: Scan
    drawn: dict[int, dict[int, np.ndarray]]
    scored: tuple[int, ...]
    chunks: dict[int, dict[int, int]] | None = None
    places: dict[int, dict[int, float]] | None = None

    @property
    def same_scan(self) -> bool:
        return self.support is self.query

    def annotation(self) -> dict[int, np.ndarray]:
        """One (k, j, i) bool mask per label: what the user drew on the support."""
        masks = {}
        for label, slices in self.drawn.items():
            masks[label] = np.zeros(self.support.truth.shape, bool)
            for index, mask in slices.items():
                masks[label][index] = mask
        return masks

    def scored_slices(self, label: int) -> np.ndarray:
        """(k,) bool: the query slices that count for a label."""
        if self.chunks is not None:
            return np.isin(np.arange(len(self.query.truth)), list(self.chunks[label]))
        counts = np.ones(len(self.query.truth), bool)
        if self.same_scan:
            counts[list(self.drawn[label])] = False
        return counts

    def only(self, label: int) -> Episode:
        """One scored label, without the others."""
        return replace(self, drawn={label: self.drawn[label]}, scored=(label,))


def slices_to_annotate(mask: np.ndarray, count: int, single: str) -> list[int]:
    """Slices (along k) of a (k, j, i) mask that get annotated: ``count`` of them spread over its slices, or the
    ``single`` one ("largest", the first of equals, or "middle"). Fewer where the mask has fewer slices."""
    area = np.count_nonzero(mask, axis=(1, 2))
    shown = np.flatnonzero(area)
    if count == 1 and single == "largest":
        return [int(area.argmax())]
    return sorted({int(shown[int(len(shown) * (2 * n + 1) / (2 * count))]) for n in range(count)})


def make_episode(protocol: Protocol, support: Scan, query: Scan, annotated: int) -> Episode:
    """The episode of a support and a query scan. Raises InputError when they share no label."""
    drawn = {}
    for label in support.labels:
        mask = support.truth == label
        chosen = slices_to_annotate(mask, annotated, protocol.single)
        drawn[label] = {index: mask[index] for index in chosen}
    scored = tuple(label for label in query.labels if label in drawn)
    if not scored:
        raise InputError(f"The scans {support.name} and {query.name} have no label in common; choose other supports.")
    if not protocol.known_slices:
        return Episode(support, query, drawn, scored)
    shown = {label: np.flatnonzero((query.truth == label).any(axis=(1, 2))) for label in scored}
    if _opposite(support, query):
        shown = {label: slices[::-1] for label, slices in shown.items()}
    chunks = {label: chunk_of_slices(shown[label], sorted(drawn[label])) for label in scored}
    steps = query.spacing_kji[0] / support.spacing_kji[0]
    places = {label: places_of_slices(shown[label], sorted(drawn[label]), steps) for label in scored}
    return Episode(support, query, drawn, scored, chunks, places)


def chunk_of_slices(shown: np.ndarray, annotated: list[int]) -> dict[int, int]:
    """Query slice -> annotated support slice: the slices split into as many chunks as slices are annotated."""
    ends = np.linspace(0, len(shown), len(annotated) + 1).astype(int)
    return {int(index): annotated[n] for n in range(len(annotated)) for index in shown[ends[n] : ends[n + 1]]}


def places_of_slices(shown: np.ndarray, annotated: list[int], steps: float) -> dict[int, float]:
    """Query slice -> fractional support slice at the same share of the label's extent.

    Of the support only the annotated slices are used: they lie at shares (2i + 1)/2n, and lines through neighbouring
    ones give the rest. One alone gives no extent; then slices are counted from the middle, ``steps`` support slices
    for one of the query.
    """
    count, number = len(shown), len(annotated)
    share = (np.arange(count) + 0.5) / count
    if number == 1:
        place = annotated[0] + (share - 0.5) * count * steps
    else:
        known = (2 * np.arange(number) + 1) / (2 * number)
        left = np.clip(np.searchsorted(known, share) - 1, 0, number - 2)
        slices = np.asarray(annotated, float)
        place = slices[left] + (share - known[left]) * (slices[left + 1] - slices[left]) * number
    return {int(index): float(where) for index, where in zip(shown, place, strict=True)}


def _opposite(support: Scan, query: Scan) -> bool:
    """Whether the scans' k axes run against one another."""
    first, second = (scan.volume.ijk_to_world[:3, 2] for scan in (support, query))
    return float(first @ second) < 0

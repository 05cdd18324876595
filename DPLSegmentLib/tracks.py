"""Tracks: the walks that propagation makes, and who owns what where they meet."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .motion import Motion
from .similarity import SimilarityMaps
from .step import (
    KIND_ANNOTATED,
    KIND_LAST,
    KIND_OLDER,
    KIND_SECOND_ANNOTATED,
    Appearance,
    EncodedScan,
    Slot,
    StepRequest,
)
from .window import window_around


@dataclass
class LabelTask:
    """One label to propagate.

    Attributes:
        annotated: slice index -> mask (H, W) in [0, 1] on the network grid.
        similarity: prototype similarity over all slices of the scan.
        overlaps: labels that may hold the same voxels as this one.
        bounds: first and last slice that show the label, where that is known; walks go as far, and no farther.
    """

    annotated: dict[int, Tensor]
    similarity: SimilarityMaps
    overlaps: frozenset[int] = frozenset()
    bounds: tuple[int, int] | None = None


@dataclass
class Track:
    """One direction of one label, from an annotated slice to ``stop`` (exclusive)."""

    task: LabelTask
    label: int
    start: int
    stop: int
    direction: int
    other: int | None
    appearance: Appearance
    older: Slot
    last: Slot
    motion: Motion | None = None
    found: dict[int, Tensor] = field(default_factory=dict)
    rejected: dict[int, Tensor] = field(default_factory=dict)
    done: bool = False

    @property
    def left(self) -> int:
        """Slices between the last one done and ``stop``."""
        return abs(self.stop - self.last.index) - 1

    @property
    def current(self) -> int:
        """The slice to be done next."""
        return self.last.index + self.direction

    @property
    def distance(self) -> int:
        """Slices between the one to be done next and the annotated one."""
        return abs(self.current - self.start)

    @property
    def slot_count(self) -> int:
        return 3 if self.other is None else 4

    def request(self, scan: EncodedScan) -> StepRequest:
        """The next step of the walk."""
        slots = [Slot(self.start, self.task.annotated[self.start], KIND_ANNOTATED)]
        if self.other is not None:
            slots.append(Slot(self.other, self.task.annotated[self.other], KIND_SECOND_ANNOTATED))
        slots += [self.older, self.last]
        window = window_around(self.last.mask > 0.5)
        request = StepRequest(scan, self.current, window, slots, self.task.similarity, self.appearance, self.start)
        return request if self.motion is None else request.following(self.motion)

    def accept(self, probability: Tensor) -> None:
        """Go on to the slice just done."""
        index = self.current
        if self.motion is not None:
            self.motion = self.motion.seen(self.last.mask, probability)
        self.found[index] = probability
        self.older = Slot(self.last.index, self.last.mask, KIND_OLDER)
        self.last = Slot(index, probability, KIND_LAST)
        self.done = self.left == 0


def make_tracks(label: int, task: LabelTask, scan: EncodedScan, motion: Motion | None = None) -> list[Track]:
    """Outward from the first and last annotated slice, and both ways between neighbouring ones; with a ``motion`` to
    begin with they follow their object."""
    places = sorted(task.annotated)
    first, last = task.bounds or (0, len(scan.images) - 1)
    tracks = []
    for n, start in enumerate(places):
        mask = task.annotated[start]
        window = window_around(mask > 0.5)
        if window is None:
            continue
        appearance = Appearance.of(scan.images[start], mask, window)
        for direction in (1, -1):
            inner = 0 <= n + direction < len(places)
            stop = places[n + direction] if inner else (last + 1 if direction > 0 else first - 1)
            other = stop if inner else None
            if not inner and len(places) > 1:
                other = places[n - direction]
            track = Track(
                task,
                label,
                start,
                stop,
                direction,
                other,
                appearance,
                Slot(start, mask, KIND_OLDER),
                Slot(start, mask, KIND_LAST),
                motion if motion is None or other is None else _towards(motion, task, start, other, stop),
            )
            track.done = track.left == 0
            tracks.append(track)
    return tracks


def _towards(motion: Motion, task: LabelTask, start: int, other: int, stop: int) -> Motion:
    """How the object moves from annotated slice to annotated slice, where ``other`` is ahead (``stop``) or behind."""
    before, now = (start, other) if other == stop else (other, start)
    return motion.seen(task.annotated[before], task.annotated[now], abs(other - start))


class Claims:
    """What other labels hold in a slice, unless they may overlap.

    Walks are made in the order of their distance from an annotation, so a voxel belongs to the label that was annotated
    nearer by; what is annotated belongs to its label in any case.
    """

    def __init__(self, tasks: dict[int, LabelTask]) -> None:
        self._held: dict[int, list[tuple[int, Tensor]]] = {}
        self._overlaps = {label: task.overlaps for label, task in tasks.items()}
        for label, task in tasks.items():
            for index, mask in task.annotated.items():
                self.add(index, label, mask)

    def add(self, index: int, label: int, probability: Tensor) -> None:
        """A label now holds this much, (H, W) in [0, 1], of a slice."""
        self._held.setdefault(index, []).append((label, probability))

    def left_for(self, index: int, label: int, probability: Tensor) -> Tensor:
        """``probability`` of a label in a slice, less what other labels hold there (what they only might hold does not
        count, or neighbours would leave a seam between them that belongs to neither)."""
        free = {label, *self._overlaps.get(label, ())}
        others = [held for other, held in self._held.get(index, ()) if other not in free]
        if not others:
            return probability
        held = torch.stack(others).amax(0)
        return torch.where(held > 0.5, probability * (1.0 - held), probability)

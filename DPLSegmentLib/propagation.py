"""Walk outward from the annotated slices, both ways, until the organ ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .errors import stop_if
from .model import DPLModel
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
    propagate_step,
)
from .window import window_around

BATCH = 8
MIN_PIXELS = 3
_ABSENT = -12.0
STOP_LOGIT = 0.0  # presence below this ends a walk


@dataclass
class LabelTask:
    """One label to propagate.

    Attributes:
        annotated: slice index -> mask (H, W) in [0, 1] on the network grid.
        similarity: prototype similarity over all slices of the scan.
    """

    annotated: dict[int, Tensor]
    similarity: SimilarityMaps


@dataclass
class LabelResult:
    """Foreground probability per visited slice, (H, W) float16; other slices have none of the label."""

    probability: dict[int, Tensor] = field(default_factory=dict)


@dataclass
class _Track:
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
    found: dict[int, Tensor] = field(default_factory=dict)
    done: bool = False

    @property
    def current(self) -> int:
        return self.last.index + self.direction

    @property
    def distance(self) -> int:
        """Slices between the one to be done next and the annotated one."""
        return abs(self.current - self.start)

    def slots(self) -> list[Slot]:
        slots = [Slot(self.start, self.task.annotated[self.start], KIND_ANNOTATED)]
        if self.other is not None:
            slots.append(Slot(self.other, self.task.annotated[self.other], KIND_SECOND_ANNOTATED))
        return [*slots, self.older, self.last]


def _tracks(label: int, task: LabelTask, scan: EncodedScan) -> list[_Track]:
    """Outward from the first and last annotated slice, and both ways between neighbouring ones."""
    places = sorted(task.annotated)
    tracks = []
    for n, start in enumerate(places):
        mask = task.annotated[start]
        window = window_around(mask > 0.5)
        if window is None:
            continue
        appearance = Appearance.of(scan.images[start], mask, window)
        for direction in (1, -1):
            inner = 0 <= n + direction < len(places)
            stop = places[n + direction] if inner else (len(scan.images) if direction > 0 else -1)
            other = stop if inner else None
            if not inner and len(places) > 1:
                other = places[n - direction]
            track = _Track(
                task,
                label,
                start,
                stop,
                direction,
                other,
                appearance,
                Slot(start, mask, KIND_OLDER),
                Slot(start, mask, KIND_LAST),
            )
            track.done = track.current == stop
            tracks.append(track)
    return tracks


class _Claims:
    """What other labels hold in a slice. Walks are made in the order of their distance from an annotation, so a voxel
    belongs to the label that was annotated nearer by; what is annotated belongs to its label in any case."""

    def __init__(self, tasks: dict[int, LabelTask]) -> None:
        self._held: dict[int, list[tuple[int, Tensor]]] = {}
        for label, task in tasks.items():
            for index, mask in task.annotated.items():
                self.add(index, label, mask)

    def add(self, index: int, label: int, probability: Tensor) -> None:
        self._held.setdefault(index, []).append((label, probability))

    def left_for(self, index: int, label: int, probability: Tensor) -> Tensor:
        """``probability`` of a label in a slice, less what other labels hold there."""
        others = [held for other, held in self._held.get(index, ()) if other != label]
        return probability * (1.0 - torch.stack(others).amax(0)) if others else probability


def _advance(model: DPLModel, scan: EncodedScan, tracks: list[_Track], claims: _Claims) -> None:
    requests = []
    for track in tracks:
        window = window_around(track.last.mask > 0.5)
        requests.append(
            StepRequest(
                scan,
                track.current,
                window,
                track.slots(),
                track.task.similarity,
                track.appearance,
                track.start,
            )
        )
    result = propagate_step(model, requests)
    for number, (track, request) in enumerate(zip(tracks, requests, strict=True)):
        logits = request.window.paste(result.logits[number][None, None], scan.images.shape[-2:], _ABSENT)[0, 0]
        index = track.current
        probability = claims.left_for(index, track.label, logits.sigmoid())
        gone = float(result.presence[number]) < STOP_LOGIT or int((probability > 0.5).sum()) < MIN_PIXELS
        if gone:
            track.done = True
            continue
        track.found[index] = probability
        claims.add(index, track.label, probability)
        track.older = Slot(track.last.index, track.last.mask, KIND_OLDER)
        track.last = Slot(index, probability, KIND_LAST)
        track.done = track.current == track.stop


def _merge(tracks: list[_Track], tasks: dict[int, LabelTask]) -> dict[int, LabelResult]:
    """Annotated slices as given; between two of them both walks, weighted by closeness to where they began."""
    results = {label: LabelResult() for label in tasks}
    sums: dict[tuple[int, int], list[tuple[float, Tensor]]] = {}
    for track in tracks:
        span = abs(track.stop - track.start)
        between = track.stop in track.task.annotated
        for index in range(track.start + track.direction, track.stop, track.direction):
            probability = track.found.get(index)
            if probability is None and not between:
                continue
            weight = 1.0 - abs(index - track.start) / span if between else 1.0
            value = probability if probability is not None else torch.zeros_like(track.last.mask)
            sums.setdefault((track.label, index), []).append((weight, value))
    for (label, index), parts in sums.items():
        total = sum(weight for weight, _ in parts)
        results[label].probability[index] = (sum(weight * value for weight, value in parts) / total).half()
    for label, task in tasks.items():
        for index, mask in task.annotated.items():
            results[label].probability[index] = mask.half()
    return results


@torch.inference_mode()
def propagate(
    model: DPLModel,
    scan: EncodedScan,
    tasks: dict[int, LabelTask],
    *,
    progress: Callable[[float, str], None] | None = None,
    should_cancel: Callable[[], bool] | None = None,
) -> dict[int, LabelResult]:
    """Propagate every label through the scan.

    Args:
        scan: encoded slices.
        tasks: label value -> what is annotated.
        progress: called with a fraction in [0, 1] and a message.
        should_cancel: asked before every batch of steps, several times a second.

    Raises:
        Cancelled: ``should_cancel()`` returned true.
    """
    tracks = [track for label, task in tasks.items() for track in _tracks(label, task, scan)]
    total = sum(abs(track.stop - track.start) - 1 for track in tracks)
    claims = _Claims(tasks)
    while True:
        active = sorted((track for track in tracks if not track.done), key=lambda track: track.distance)
        if not active:
            break
        width = len(active[0].slots())
        batch = [track for track in active if len(track.slots()) == width][:BATCH]
        stop_if(should_cancel)
        _advance(model, scan, batch, claims)
        if progress is not None:
            left = sum(abs(track.stop - track.last.index) - 1 for track in tracks if not track.done)
            progress(1.0 - left / max(1, total), "propagating")
    return _merge(tracks, tasks)

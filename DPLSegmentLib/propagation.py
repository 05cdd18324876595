"""Walk outward from the annotated slices, both ways, until the organ ends."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .errors import stop_if
from .model import DPLModel
from .motion import Motion
from .step import EncodedScan, propagate_step
from .tracks import Claims, LabelTask, Track, make_tracks

BATCH = 4  # tracks at once: small enough that cancelling takes effect within a second
MIN_PIXELS = 3
STOP_LOGIT = 0.0  # presence below this ends a walk
_ABSENT = -12.0


@dataclass
class LabelResult:
    """What is known of a label, per slice, (H, W) float16.

    Attributes:
        probability: of the label on the slices visited; other slices have none of it.
        rejected: what was found on slices at which a walk ended, and which have none of the label either.
        looked_up: of another patient, what the look-up alone says on the slices of ``probability``.
    """

    probability: dict[int, Tensor] = field(default_factory=dict)
    rejected: dict[int, Tensor] = field(default_factory=dict)
    looked_up: dict[int, Tensor] = field(default_factory=dict)


def between(annotated: Collection[int]) -> range:
    """The slices between the outermost annotated ones; none where fewer than two are annotated."""
    return range(min(annotated) + 1, max(annotated)) if annotated else range(0)


def _walk(model: DPLModel, scan: EncodedScan, batch: list[Track], claims: Claims) -> None:
    """One step of several tracks."""
    requests = [track.request(scan) for track in batch]
    result = propagate_step(model, requests)
    for number, (track, request) in enumerate(zip(batch, requests, strict=True)):
        logits = request.window.paste(result.logits[number][None, None], scan.images.shape[-2:], _ABSENT)[0, 0]
        probability = claims.left_for(request.current, track.label, logits.sigmoid())
        ended = track.task.bounds is None and float(result.presence[number]) < STOP_LOGIT
        if ended or int((probability > 0.5).sum()) < MIN_PIXELS:
            track.done = True
            track.rejected[request.current] = probability
            continue
        claims.add(request.current, track.label, probability)
        track.accept(probability)


def _merge(tracks: list[Track], tasks: dict[int, LabelTask]) -> dict[int, LabelResult]:
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
    for track in tracks:
        for index, probability in track.rejected.items():
            if index not in results[track.label].probability:
                results[track.label].rejected[index] = probability.half()
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
    motion = Motion() if model.config.follows else None
    tracks = [track for label, task in tasks.items() for track in make_tracks(label, task, scan, motion)]
    claims = Claims(tasks)
    total = sum(track.left for track in tracks)
    while active := sorted((track for track in tracks if not track.done), key=lambda track: track.distance):
        stop_if(should_cancel)
        batch = [track for track in active if track.slot_count == active[0].slot_count][:BATCH]
        _walk(model, scan, batch, claims)
        if progress is not None:
            left = sum(track.left for track in tracks if not track.done)
            progress(1.0 - left / max(1, total), "propagating")
    return _merge(tracks, tasks)

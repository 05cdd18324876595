"""From one patient to another.

The annotation is first propagated inside its own scan; the scans are aligned along the slice axis; every query slice
looks up the aligned support slices and the enhanced prototypes; where that is surest an anchor is set, and propagation
inside the query takes over from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from .alignment import SliceAlignment, align_slices
from .components import largest_component
from .cross_matching import STRIDE, body_coordinates
from .encoder import FEATURE_STRIDE
from .errors import stop_if
from .model import DPLModel, SupportPrototypes
from .progress_parts import ProgressPart
from .propagation import LabelResult, propagate
from .scan import PreparedScan
from .similarity import SimilarityMaps
from .step import EncodedScan
from .support import Support, similarity_maps
from .tracks import LabelTask

REFERENCES = 7  # aligned support slices looked up per query slice, at most
REACH_MM = 26.0
SLICE_SIGMA_MM = 12.0  # how far alignment along the slice axis is trusted
PRIOR_SHARE = 0.25  # of the looked-up probability in the final blend with propagation
PROTOTYPE_SHARE = 0.5  # of the prototype similarity in the looked-up probability


def _coarse(values: Tensor) -> Tensor:
    return F.avg_pool2d(values, FEATURE_STRIDE * STRIDE)


def references(place: float, support: EncodedScan) -> list[int]:
    """The support slices to look up for a query slice aligned to the fractional slice ``place``."""
    count = len(support.images)
    nearest = sorted(range(count), key=lambda n: (abs(n - place), n))[:REFERENCES]
    return sorted(n for n in nearest if abs(n - place) * support.slice_mm <= REACH_MM)


@torch.inference_mode()
def look_up(
    model: DPLModel,
    query: EncodedScan,
    support: EncodedScan,
    masks: Mapping[int, LabelResult],
    maps: Mapping[int, SimilarityMaps],
    alignment: SliceAlignment,
    progress: ProgressPart,
    should_cancel: Callable[[], bool] | None,
) -> dict[int, Tensor]:
    """Cross matching of every query slice with its reference slices, weighed with the prototype similarity.

    Returns:
        Foreground probability (N, h, w) per label, at ``FEATURE_STRIDE·STRIDE``.
    """
    labels = list(masks)
    shape = support.images.shape[-2:]
    empty = torch.zeros(shape, device=support.images.device)
    support_masks: dict[int, Tensor] = {}
    support_places: dict[int, Tensor] = {}
    count = len(query.images)
    sides = tuple(length // (FEATURE_STRIDE * STRIDE) for length in query.images.shape[-2:])
    found = {label: torch.zeros(count, *sides, device=query.images.device) for label in labels}
    for index in range(count):
        stop_if(should_cancel)
        place = alignment.support_index(index, query, support)
        chosen = references(place, support)
        if not chosen:
            continue
        for n in chosen:
            if n not in support_masks:
                stack = torch.stack([masks[label].probability.get(n, empty).float() for label in labels])
                support_masks[n] = _coarse(stack[:, None])[:, 0]
                support_places[n] = _coarse(body_coordinates(support.images[n])[:, None])[:, 0]
        read = model.cross(
            F.avg_pool2d(query.features[index][None].float(), STRIDE)[0],
            _coarse(body_coordinates(query.images[index])[:, None])[:, 0],
            F.avg_pool2d(support.features[chosen].float(), STRIDE),
            torch.stack([support_places[n] for n in chosen]),
            torch.stack([support_masks[n] for n in chosen], dim=1),
            torch.tensor([-0.5 * ((n - place) * support.slice_mm / SLICE_SIGMA_MM) ** 2 for n in chosen]).to(
                query.images
            ),
        )
        for row, label in enumerate(labels):
            similar = F.avg_pool2d(maps[label].logit[index][None, None].float(), STRIDE)[0, 0]
            logit = torch.logit(read[row].clamp(0.005, 0.995))
            mixed = (1.0 - PROTOTYPE_SHARE) * logit + PROTOTYPE_SHARE * similar.clamp(-6.0, 6.0)
            found[label][index] = mixed.sigmoid() * (read[row] > 0.02)
        progress((index + 1) / count, f"comparing slice {index + 1} of {count}")
    return found


def choose_anchor(probability: Tensor) -> int | None:
    """The slice with most, and surest, foreground: the largest sum of (2p - 1) over p > 0.5; None if there is none."""
    gain = (2.0 * probability - 1.0).clamp_min(0.0).sum((-2, -1))
    best = int(gain.argmax())
    return best if float(gain[best]) > 0.5 else None


def transfer(
    model: DPLModel,
    support: Support,
    prototypes: Mapping[int, SupportPrototypes],
    target: PreparedScan,
    progress: ProgressPart,
    should_cancel: Callable[[], bool] | None,
) -> tuple[dict[int, LabelResult], dict[int, SimilarityMaps]]:
    """Segment another scan.

    Returns:
        Probabilities per label on the query's network grid, and the prototype similarity maps of the query.
    """
    source, query = support.scan.encoded, target.encoded
    own = similarity_maps(model, prototypes, source, progress.part(0.0, 0.1), should_cancel)
    tasks = {label: LabelTask(support.masks[label], own[label], support.overlaps[label]) for label in prototypes}
    masks = propagate(model, source, tasks, progress=progress.part(0.1, 0.35), should_cancel=should_cancel)
    alignment = align_slices(query, source)
    maps = similarity_maps(model, prototypes, query, progress.part(0.35, 0.45), should_cancel)
    prior = look_up(model, query, source, masks, maps, alignment, progress.part(0.45, 0.6), should_cancel)
    size = query.images.shape[-2:]
    fine, anchors = {}, {}
    for label, probability in prior.items():
        kept = probability * largest_component(probability > 0.5, dilate=1)
        fine[label] = F.interpolate(kept[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
        anchor = choose_anchor(kept)
        if anchor is not None:
            anchors[label] = LabelTask({anchor: fine[label][anchor]}, maps[label], support.overlaps[label])
    walked = propagate(model, query, anchors, progress=progress.part(0.6, 1.0), should_cancel=should_cancel)
    results = {}
    for label in prototypes:
        result = LabelResult()
        steps = walked[label].probability if label in walked else {}
        for index in range(len(query.images)):
            looked_up = fine[label][index]
            step = steps.get(index)
            if step is None and float(looked_up.max()) < 0.05:
                continue
            step = torch.zeros_like(looked_up) if step is None else step.float()
            result.probability[index] = (PRIOR_SHARE * looked_up + (1.0 - PRIOR_SHARE) * step).half()
        results[label] = result
    return results, maps

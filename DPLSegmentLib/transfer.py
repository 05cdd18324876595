"""From one patient to another.

The annotation is first propagated inside its own scan; the scans are aligned along the slice axis; every query slice
looks up the aligned support slices and the enhanced prototypes; where that is surest an anchor is set, and propagation
inside the query takes over from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .alignment import SliceAlignment, align_slices
from .components import largest_component
from .correspondence import Correspondence
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
    alignment: SliceAlignment | Correspondence,
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
        features = F.avg_pool2d(query.features[index][None].float(), STRIDE)
        for row, label in enumerate(labels):
            similar = maps[label].map(lambda values, n=index: F.avg_pool2d(values[n][None].float(), STRIDE))
            probability = model.cross_decoder(read[row][None], similar, features)[0].sigmoid()
            found[label][index] = probability * (read[row] > 0.02)
        progress((index + 1) / count, f"comparing slice {index + 1} of {count}")
    return found


def choose_anchor(probability: Tensor) -> int | None:
    """The slice with most, and surest, foreground: the largest sum of (2p - 1) over p > 0.5; None if there is none."""
    gain = (2.0 * probability - 1.0).clamp_min(0.0).sum((-2, -1))
    best = int(gain.argmax())
    return best if float(gain[best]) > 0.5 else None


@dataclass
class InsideSupport:
    """The annotation propagated through its own scan: what all queries of one support share."""

    masks: dict[int, LabelResult]
    prototypes: Mapping[int, SupportPrototypes]


def inside_support(
    model: DPLModel,
    support: Support,
    prototypes: Mapping[int, SupportPrototypes],
    progress: ProgressPart,
    should_cancel: Callable[[], bool] | None,
) -> InsideSupport:
    """Propagate the annotation through its own scan."""
    scan = support.scan.encoded
    own = similarity_maps(model, prototypes, scan, progress.part(0.0, 0.3), should_cancel)
    tasks = {label: LabelTask(support.masks[label], own[label], support.overlaps[label]) for label in prototypes}
    masks = propagate(model, scan, tasks, progress=progress.part(0.3, 1.0), should_cancel=should_cancel)
    return InsideSupport(masks, prototypes)


def transfer(
    model: DPLModel,
    support: Support,
    inside: InsideSupport,
    target: PreparedScan,
    progress: ProgressPart,
    should_cancel: Callable[[], bool] | None,
    known: Mapping[int, Correspondence] | None = None,
) -> tuple[dict[int, LabelResult], dict[int, SimilarityMaps]]:
    """Segment another scan.

    Args:
        known: label -> correspondence of slices, where it need not be found; such a label lies on those slices only.

    Returns:
        Probabilities per label on the query's network grid, and the prototype similarity maps of the query.
    """
    source, query = support.scan.encoded, target.encoded
    labels, known = list(inside.masks), known or {}
    groups: list[tuple[list[int], SliceAlignment | Correspondence]] = [([n], known[n]) for n in labels if n in known]
    if unknown := [label for label in labels if label not in known]:
        groups.append((unknown, align_slices(query, source)))
    maps: dict[int, SimilarityMaps] = {}
    prior: dict[int, Tensor] = {}
    for number, (group, alignment) in enumerate(groups):
        part = progress.part(0.4 * number / len(groups), 0.4 * (number + 1) / len(groups))
        prototypes = {label: inside.prototypes[label] for label in group}
        maps |= similarity_maps(model, prototypes, query, part.part(0.0, 0.4), should_cancel)
        masks = {label: inside.masks[label] for label in group}
        prior |= look_up(model, query, source, masks, maps, alignment, part.part(0.4, 1.0), should_cancel)
    size = query.images.shape[-2:]
    fine, anchors = {}, {}
    for label, probability in prior.items():
        kept = probability * largest_component(probability > 0.5, dilate=1)
        fine[label] = F.interpolate(kept[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
        anchor = choose_anchor(kept)
        if anchor is not None:
            bounds = known[label].bounds if label in known else None
            task = LabelTask({anchor: fine[label][anchor]}, maps[label], support.overlaps[label], bounds)
            anchors[label] = task
    walked = propagate(model, query, anchors, progress=progress.part(0.4, 1.0), should_cancel=should_cancel)
    results = {}
    for label in labels:
        result = LabelResult()
        steps = walked[label].probability if label in walked else {}
        for index in known[label].places if label in known else range(len(query.images)):
            looked_up = fine[label][index]
            step = steps.get(index)
            if step is None and float(looked_up.max()) < 0.05:
                continue
            step = torch.zeros_like(looked_up) if step is None else step.float()
            result.probability[index] = (PRIOR_SHARE * looked_up + (1.0 - PRIOR_SHARE) * step).half()
        results[label] = result
    return results, maps

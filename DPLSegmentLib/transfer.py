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
from .favour import favour, raised
from .look_up import look_up
from .model import DPLModel, SupportPrototypes
from .progress_parts import ProgressPart
from .propagation import LabelResult, propagate
from .scan import PreparedScan
from .similarity import SimilarityMaps
from .support import Support, noise_generator, similarity_maps
from .tracks import LabelTask

PRIOR_SHARE = 0.25  # of the looked-up probability in the final blend with propagation


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
    seed: int = 0,
) -> tuple[dict[int, LabelResult], dict[int, SimilarityMaps]]:
    """Segment another scan.

    Args:
        seed: of the diffusion noise.
        known: label -> correspondence of slices, where it need not be found; such a label lies on those slices only.

    Returns:
        Probabilities per label on the query's network grid, and the prototype similarity maps of the query.
    """
    source, query = support.scan.encoded, target.encoded
    labels, known = list(inside.masks), known or {}
    groups: list[tuple[list[int], SliceAlignment | Correspondence]] = [([n], known[n]) for n in labels if n in known]
    if unknown := [label for label in labels if label not in known]:
        groups.append((unknown, align_slices(query, source)))
    favours = {label: favour(support.masks[label].values(), source.pixel_mm) for label in labels}
    maps: dict[int, SimilarityMaps] = {}
    prior: dict[int, Tensor] = {}
    for number, (group, alignment) in enumerate(groups):
        part = progress.part(0.4 * number / len(groups), 0.4 * (number + 1) / len(groups))
        prototypes = {label: inside.prototypes[label] for label in group}
        own = similarity_maps(model, prototypes, query, part.part(0.0, 0.3), should_cancel)
        masks = {label: inside.masks[label] for label in group}
        noise = {label: noise_generator(seed, label, support.digest + " organ") for label in group}
        looking = part.part(0.3, 1.0)
        found, own = look_up(model, query, source, masks, prototypes, noise, own, alignment, looking, should_cancel)
        prior, maps = prior | found, maps | own
    size = query.images.shape[-2:]
    fine, anchors = {}, {}
    for label, looked_up in prior.items():
        probability = raised(looked_up, favours[label])
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
        walk = walked.get(label, LabelResult())
        result = LabelResult(rejected=walk.rejected)
        for index in known[label].places if label in known else range(len(query.images)):
            looked_up = fine[label][index]
            step = walk.probability.get(index)
            if step is None and float(looked_up.max()) < 0.05:
                continue
            step = torch.zeros_like(looked_up) if step is None else step.float()
            both = PRIOR_SHARE * looked_up + (1.0 - PRIOR_SHARE) * step
            result.probability[index] = raised(both, favours[label]).half()
            result.looked_up[index] = looked_up.half()
        results[label] = result
    return results, maps

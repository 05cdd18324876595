"""Looking an organ up in another patient: once as it is, then with the variants of its prototype.

The first look compares places as they are. What it is sure of is the evidence that steers the reverse process, and the
second look lets each variant of the organ's prototype carry the organ's places along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from .alignment import SliceAlignment
from .coarse import CoarseOrgans, CoarseScan
from .correspondence import Correspondence
from .cross_matching import STRIDE, CrossReadout
from .errors import stop_if
from .evidence import evidence, organ_prototype
from .looking import Looking
from .model import DPLModel, SupportPrototypes
from .organ_shift import organ_shifts
from .progress_parts import ProgressPart
from .propagation import LabelResult
from .similarity import SimilarityMaps
from .step import EncodedScan

UNSEEN = 0.02  # looked-up probability below which nothing is decoded


def variant_moves(
    model: DPLModel,
    looking: Looking,
    first: CrossReadout,
    prototypes: Mapping[int, SupportPrototypes],
    generators: Mapping[int, torch.Generator],
) -> list[Tensor | None]:
    """By how much the fused prototype and each variant of every label move its places, (1 + K, C) each; None for a
    label without an organ prototype, or without variants."""
    moves: list[Tensor | None] = []
    for row, label in enumerate(looking.organs.labels):
        organ = organ_prototype(looking.support.features, looking.organs.masks[row])
        if organ is None or model.config.enhancement.variants == 0:
            moves.append(None)
            continue
        seen = evidence(looking.query.features, first.probability[row])
        moves.append(model.organ_variants(organ, prototypes[label], seen, generators[label]).moves()[0])
    return moves


@torch.inference_mode()
def look_up(
    model: DPLModel,
    query: EncodedScan,
    support: EncodedScan,
    masks: Mapping[int, LabelResult],
    prototypes: Mapping[int, SupportPrototypes],
    generators: Mapping[int, torch.Generator],
    maps: Mapping[int, SimilarityMaps],
    alignment: SliceAlignment | Correspondence,
    progress: ProgressPart,
    should_cancel: Callable[[], bool] | None,
) -> tuple[dict[int, Tensor], dict[int, SimilarityMaps]]:
    """Cross matching of every query slice with its reference slices, decoded together with the prototype similarity.

    Args:
        masks: the annotation propagated through the support.
        prototypes, generators: of every label; the generators give the noise of the organs' variants.
        maps: prototype similarity of every label over the query.

    Returns:
        Foreground probability (N, h, w) per label, at ``FEATURE_STRIDE·STRIDE``, and the maps with the spread over the
        variants in the look-up taken up into theirs.
    """
    where = [alignment.support_index(n, query, support) for n in range(len(query.images))]
    organs = CoarseOrgans.of(masks, support)
    looking = Looking(model, CoarseScan.of(query), CoarseScan.of(support), organs, where, should_cancel)
    if isinstance(alignment, SliceAlignment):
        looking.shifts = organ_shifts(looking, progress.part(0.0, 0.5))
        progress = progress.part(0.5, 1.0)
    first = looking.plainly(progress.part(0.0, 0.4))
    moves = variant_moves(model, looking, first, prototypes, generators)
    read = looking.varied(first, moves, progress.part(0.4, 1.0))
    found, changed = {}, {}
    for row, label in enumerate(organs.labels):
        own = CrossReadout(read.probability[row], read.spread[row])
        similar = maps[label].map(lambda values: F.avg_pool2d(values[:, None].float(), STRIDE)[:, 0])
        stop_if(should_cancel)
        probability = model.cross_decoder(own, similar, looking.query.features).sigmoid()
        found[label] = probability * (own.probability > UNSEEN)
        size = maps[label].spread.shape[-2:]
        spread = F.interpolate(own.spread[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
        changed[label] = replace(maps[label], spread=torch.maximum(maps[label].spread, spread.to(maps[label].spread)))
    return found, changed

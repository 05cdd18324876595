"""Looking an organ up in another patient: once as it is, then with the variants of its prototype.

The first look compares places as they are. What it is sure of is the evidence that steers the reverse process, and the
second look lets each variant of the organ's prototype carry the organ's places along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from .alignment import SliceAlignment
from .correspondence import Correspondence
from .cross_matching import STRIDE, CrossReadout, body_coordinates
from .encoder import FEATURE_STRIDE
from .errors import stop_if
from .evidence import evidence, organ_prototype
from .model import DPLModel, SupportPrototypes
from .progress_parts import ProgressPart
from .propagation import LabelResult
from .similarity import SimilarityMaps
from .step import EncodedScan

REFERENCES = 7  # aligned support slices looked up per query slice, at most
REACH_MM = 26.0
SLICE_SIGMA_MM = 12.0  # how far alignment along the slice axis is trusted
UNSEEN = 0.02  # looked-up probability below which nothing is decoded
TOGETHER = 6  # labels whose variants are tried at once: few enough that cancelling takes effect within a second


def coarse(values: Tensor) -> Tensor:
    """(N, H, W) on the network grid -> the grid of the look-up."""
    return F.avg_pool2d(values[:, None], FEATURE_STRIDE * STRIDE)[:, 0]


def places(images: Tensor) -> Tensor:
    """Body coordinates (N, 2, h, w) of slices (N, H, W) on the grid of the look-up."""
    return torch.stack([coarse(body_coordinates(image)) for image in images])


@dataclass
class CoarseScan:
    """A scan on the grid of the look-up: features (N, C, h, w) and body coordinates (N, 2, h, w)."""

    features: Tensor
    places: Tensor
    slice_mm: float

    @classmethod
    def of(cls, scan: EncodedScan) -> CoarseScan:
        return cls(F.avg_pool2d(scan.features.float(), STRIDE), places(scan.images), scan.slice_mm)


@dataclass
class CoarseOrgans:
    """The labels of a support on the grid of the look-up, (L, N, h, w), in the order of ``labels``."""

    labels: list[int]
    masks: Tensor

    @classmethod
    def of(cls, masks: Mapping[int, LabelResult], scan: EncodedScan) -> CoarseOrgans:
        empty = torch.zeros(scan.images.shape[-2:], device=scan.images.device)
        stacks = []
        for result in masks.values():
            slices = [result.probability.get(n, empty).float() for n in range(len(scan.images))]
            stacks.append(coarse(torch.stack(slices)))
        return cls(list(masks), torch.stack(stacks))


def references(place: float, count: int, slice_mm: float) -> list[int]:
    """Which of a support's ``count`` slices to look up for a query slice aligned to the fractional slice ``place``."""
    nearest = sorted(range(count), key=lambda n: (abs(n - place), n))[:REFERENCES]
    return sorted(n for n in nearest if abs(n - place) * slice_mm <= REACH_MM)


@dataclass
class Looking:
    """A query and a support on the grid of the look-up, and where each query slice lies in the support."""

    model: DPLModel
    query: CoarseScan
    support: CoarseScan
    organs: CoarseOrgans
    where: list[float]
    should_cancel: Callable[[], bool] | None

    def read(self, moves: list[Tensor | None] | None, progress: ProgressPart) -> CrossReadout:
        """All query slices, (L, N, h, w) each."""
        count, labels = len(self.query.features), len(self.organs.labels)
        empty = torch.zeros(labels, *self.query.features.shape[-2:]).to(self.query.features)
        step = labels if moves is None else TOGETHER
        found = []
        for index, place in enumerate(self.where):
            stop_if(self.should_cancel)
            chosen = references(place, len(self.support.features), self.support.slice_mm)
            if not chosen:
                found.append(CrossReadout(empty, empty))
                continue
            away = torch.tensor([(n - place) * self.support.slice_mm / SLICE_SIGMA_MM for n in chosen]).to(empty)
            here = (self.query.features[index], self.query.places[index])
            there = (self.support.features[chosen], self.support.places[chosen])
            parts = []
            for first in range(0, labels, step):
                stop_if(self.should_cancel)
                part = slice(first, first + step)
                masks, part_moves = self.organs.masks[part, chosen], None if moves is None else moves[part]
                parts.append(self.model.cross(*here, *there, masks, -0.5 * away.square(), part_moves))
            found.append(CrossReadout.joined(parts, 0))
            progress((index + 1) / count, f"comparing slice {index + 1} of {count}")
        return CrossReadout.joined([CrossReadout(p.probability[:, None], p.spread[:, None]) for p in found], 1)


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
    read = looking.read(None, progress.part(0.0, 0.4))
    moves = variant_moves(model, looking, read, prototypes, generators)
    if any(move is not None for move in moves):
        read = looking.read(moves, progress.part(0.4, 1.0))
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

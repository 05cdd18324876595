"""Few-shot methods without propagation or alignment, on the library's own features: every query slice by itself.

They show what the encoder alone is worth. ``pooled``: one prototype, and the threshold of its cosine that gives the
support the best Dice. ``adnet``: the anomaly score and soft threshold of ADNet (Hansen et al., 2022); there the
threshold is learned with the encoder, here it is fitted by the same loss to the support. ``local``: local and global
prototypes of foreground and background, fused as in ALPNet (Ouyang et al., 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ..encoder import FEATURE_STRIDE
from ..geometry import matching_slice_axis
from ..propagation import LabelResult
from ..prototypes import extract_prototypes, masked_average_pooling
from ..restoring import restore
from ..scan import PreparedScan, ScanPreparer
from ..similarity import SimilarityMaps
from ..sphere import unit
from .protocols import SLICE_AXIS, Episode

if TYPE_CHECKING:
    from .methods import Prediction

SCALE = 20.0  # of cosines, as in the methods' own papers
ADNET_BACKGROUND = 0.1  # weight of background pixels in ADNet's loss
_THRESHOLDS = 400


@dataclass
class Shot:
    """An annotated slice: features (C, h, w) and mask (h, w) in [0, 1] at the features' resolution."""

    features: Tensor
    mask: Tensor


def pooled(features: Tensor, shots: Sequence[Shot]) -> Tensor:
    """Logits (N, h, w) of query features (N, C, h, w)."""
    prototype = _prototype(shots)
    cosines, wanted = _on_shots(prototype, shots)
    order = torch.argsort(cosines, descending=True)
    # Dice of calling everything from the most similar pixel down to each one foreground.
    hits = torch.cumsum(wanted[order].double(), 0)
    taken = torch.arange(1, len(order) + 1, device=hits.device)
    best = int((2 * hits / (taken + wanted.sum())).argmax())
    threshold = cosines[order[best : best + 2]].mean()
    return SCALE * (_cosine(features, prototype) - threshold)


def adnet(features: Tensor, shots: Sequence[Shot]) -> Tensor:
    """Logits (N, h, w): half the threshold less the anomaly score, the negative scaled cosine."""
    prototype = _prototype(shots)
    cosines, wanted = _on_shots(prototype, shots)
    thresholds = torch.linspace(-SCALE, SCALE, _THRESHOLDS + 1, device=features.device)
    weights = torch.where(wanted, 1.0, ADNET_BACKGROUND)
    losses = torch.stack(
        [
            F.binary_cross_entropy_with_logits(
                0.5 * (value + SCALE * cosines), wanted.float(), weights, reduction="sum"
            )
            for value in thresholds
        ]
    )
    # A high threshold is a large foreground; ADNet's loss has a term against that.
    losses = losses / weights.sum() + thresholds / SCALE
    return 0.5 * (thresholds[losses.argmin()] + SCALE * _cosine(features, prototype))


def local(features: Tensor, shots: Sequence[Shot]) -> Tensor:
    """Logits (N, h, w): foreground against background, each the softmax-weighted similarity to its prototypes."""
    parts = [extract_prototypes(shot.features, shot.mask) for shot in shots]
    pixels = unit(features.permute(0, 2, 3, 1))

    def similarity(prototypes: Tensor) -> Tensor:
        scores = SCALE * pixels @ unit(prototypes).T
        return (scores.softmax(-1) * scores).sum(-1)

    foreground = torch.cat([part.foreground for part in parts])
    return similarity(foreground) - similarity(torch.cat([part.background for part in parts]))


METHODS: dict[str, Callable[[Tensor, Sequence[Shot]], Tensor]] = {"pooled": pooled, "adnet": adnet, "local": local}


class PrototypeMethod:
    """One of ``METHODS`` as a method of an evaluation."""

    seeded, same_scan_only = False, False

    def __init__(self, logits: Callable[[Tensor, Sequence[Shot]], Tensor], preparer: ScanPreparer) -> None:
        self._logits, self._preparer = logits, preparer

    @torch.inference_mode()
    def segment(self, episode: Episode, seed: int) -> Prediction:
        """Segment every slice of the query that may show a label; of several labels the likeliest wins."""
        from .methods import Prediction

        volume = episode.query.volume
        support = self._preparer.prepare(episode.support.volume, SLICE_AXIS)
        query = support
        if not episode.same_scan:
            axis = matching_slice_axis(volume, episode.support.volume, SLICE_AXIS)
            query = self._preparer.prepare(volume, axis, support.encoded.pixel_mm)
        masks = episode.annotation()
        results = {}
        for label, drawn in episode.drawn.items():
            shots = {index: _shot(support, masks[label], index) for index in drawn}
            results[label] = LabelResult()
            for chosen, slices in _groups(episode, label, query):
                features = query.encoded.features[slices].float()
                logits = self._logits(features, [shots[index] for index in chosen])
                size = query.encoded.images.shape[-2:]
                fine = F.interpolate(logits[:, None], size=size, mode="bilinear", align_corners=False)[:, 0].sigmoid()
                results[label].probability |= dict(zip(slices, fine.half(), strict=True))
        spreads = {label: _no_spread(query) for label in results}
        overlaps = {label: frozenset() for label in results}
        labels, uncertainty, *_ = restore(query, results, spreads, overlaps, None)
        return Prediction({label: labels == label for label in episode.scored}, uncertainty)


def _groups(episode: Episode, label: int, query: PreparedScan) -> list[tuple[list[int], list[int]]]:
    """(annotated support slices, query slices in its frame that they serve)."""
    every = list(range(len(query.encoded.images)))
    if episode.chunks is None:
        return [(sorted(episode.drawn[label]), every)]
    served: dict[int, list[int]] = {}
    for index, annotated in episode.chunks[label].items():
        served.setdefault(annotated, []).append(query.frame.slice_index(index))
    return [([annotated], sorted(slices)) for annotated, slices in served.items()]


def _shot(scan: PreparedScan, mask, index: int) -> Shot:
    place = scan.frame.slice_index(index)
    drawn = scan.network_mask(mask, place)
    small = F.avg_pool2d(drawn[None, None], FEATURE_STRIDE)[0, 0]
    return Shot(scan.encoded.features[place].float(), small)


def _prototype(shots: Sequence[Shot]) -> Tensor:
    """(C,) mean of the shots' masked average features."""
    return torch.stack([masked_average_pooling(shot.features, shot.mask) for shot in shots]).mean(0)


def _cosine(features: Tensor, prototype: Tensor) -> Tensor:
    """(..., C, h, w) features -> (..., h, w)."""
    return F.cosine_similarity(features, prototype[:, None, None], dim=-3)


def _on_shots(prototype: Tensor, shots: Sequence[Shot]) -> tuple[Tensor, Tensor]:
    """Cosines of all pixels of the shots, and whether each belongs to the label."""
    cosines = torch.cat([_cosine(shot.features, prototype).flatten() for shot in shots])
    return cosines, torch.cat([(shot.mask > 0.5).flatten() for shot in shots])


def _no_spread(query: PreparedScan) -> SimilarityMaps:
    features = query.encoded.features
    nothing = torch.zeros(len(features), *features.shape[-2:], device=features.device)
    return SimilarityMaps(*(nothing for _ in fields(SimilarityMaps)))

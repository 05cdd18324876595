"""From an episode to its loss: the same encode, enhance, compare and step as in inference."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..cross_matching import STRIDE, body_coordinates
from ..encoder import FEATURE_STRIDE
from ..model import DPLModel, SupportPrototypes
from ..preprocessing import neighbour_mix
from ..similarity import SimilarityMaps
from ..step import (
    KIND_ANNOTATED,
    KIND_LAST,
    KIND_OLDER,
    Appearance,
    EncodedScan,
    Slot,
    StepRequest,
    propagate_step,
)
from ..window import window_around
from .episodes import PairEpisode, RolloutEpisode
from .losses import (
    denoising_loss,
    diffusion_loss,
    diversity_loss,
    fidelity_loss,
    query_prototypes,
    readout_loss,
    segmentation_loss,
)
from .memory_errors import with_errors

Terms = dict[str, Tensor]
ERROR_RATE = 0.7  # how often the first remembered mask is a wrong one


def shrink(masks: Tensor, stride: int = FEATURE_STRIDE) -> Tensor:
    """Masks (..., H, W) at the features' resolution."""
    return F.avg_pool2d(masks.reshape(1, -1, *masks.shape[-2:]), stride)[0].reshape(
        *masks.shape[:-2], masks.shape[-2] // stride, masks.shape[-1] // stride
    )


def encode(model: DPLModel, inputs: Tensor, train_backbone: bool) -> Tensor:
    """Features of (N, 3, H, W) inputs; the backbone is left out of the graph unless it is being trained."""
    with torch.set_grad_enabled(train_backbone and torch.is_grad_enabled()):
        maps = model.encoder.backbone(inputs * 2.0 - 1.0)
    return model.encoder.fuse(maps)


def prototype_terms(
    model: DPLModel,
    support: SupportPrototypes,
    features: Tensor,
    mask: Tensor,
    maps: SimilarityMaps,
    target: Tensor,
    generator: torch.Generator,
) -> Terms:
    """The diffusion terms for a query slice, and the segmentation loss of the similarity maps."""
    enhanced = support.enhanced
    goal = query_prototypes(features, mask, enhanced.original.detach())
    return {
        "prototype": segmentation_loss(maps.logit, target),
        "denoising": denoising_loss(model, support, goal, generator),
        "diffusion": diffusion_loss(enhanced, goal),
        "fidelity": fidelity_loss(enhanced, model.config.enhancement),
        "diversity": diversity_loss(enhanced),
    }


def rollout_terms(
    model: DPLModel,
    episode: RolloutEpisode,
    rng: np.random.Generator,
    generator: torch.Generator,
    train_backbone: bool = False,
) -> Terms:
    """Walk the episode's steps, remembering the model's own masks."""
    features = encode(model, neighbour_mix(episode.images, episode.slice_mm, episode.pixel_mm), train_backbone)
    scan = EncodedScan(episode.images, features, episode.pixel_mm, episode.slice_mm)
    small = shrink(episode.masks)
    annotated = episode.masks[episode.annotated]
    support = model.support_prototypes(
        features[episode.annotated], small[episode.annotated], episode.pixel_mm, generator
    )
    maps = model.similarity(features, support.enhanced, support.pooled.background)
    terms: dict[str, list[Tensor]] = {"mask": [], "matched": [], "presence": []}
    window = window_around(annotated > 0.5)
    if window is None:
        return {}
    appearance = Appearance.of(episode.images[episode.annotated], annotated, window)
    slots = [Slot(episode.annotated, annotated, KIND_ANNOTATED)]
    remembered = episode.masks[episode.previous]
    if episode.previous != episode.annotated and rng.random() < ERROR_RATE:
        remembered = with_errors(remembered, rng)
    last = Slot(episode.previous, remembered, KIND_LAST)
    older = Slot(episode.annotated, annotated, KIND_OLDER)
    for step in episode.steps:
        window = window_around(last.mask.detach() > 0.5)
        if window is None:
            break
        request = StepRequest(scan, step, window, [*slots, older, last], maps, appearance, episode.annotated)
        result = propagate_step(model, [request])
        truth = window.crop(episode.masks[step][None, None], result.logits.shape[-1], fill="zero")[:, 0].clamp(0.0, 1.0)
        present = (episode.masks[step].sum() > 6).to(truth)
        terms["mask"].append(segmentation_loss(result.logits, truth))
        terms["matched"].append(readout_loss(result.matched, truth))
        terms["presence"].append(F.binary_cross_entropy_with_logits(result.presence[0], present))
        pasted = window.paste(result.logits[:, None], annotated.shape, -12.0)[0, 0]
        older = Slot(last.index, last.mask, KIND_OLDER)
        last = Slot(step, pasted.sigmoid(), KIND_LAST)
    if not terms["mask"]:
        return {}
    result_terms = {name: torch.stack(values).mean() for name, values in terms.items()}
    seen = [n for n in episode.steps if float(small[n].sum()) > 1.0]
    if seen:
        query = seen[-1]
        chosen = SimilarityMaps(maps.logit[seen], maps.spread[seen])
        result_terms |= prototype_terms(
            model, support, features[query].detach(), small[query], chosen, small[seen], generator
        )
    return result_terms


def pair_terms(
    model: DPLModel, episode: PairEpisode, generator: torch.Generator, train_backbone: bool = False
) -> Terms:
    """Support and query as two patients: prototypes, alignment loss and dense cross matching."""

    def encoded(images: Tensor) -> Tensor:
        mixed = neighbour_mix(images, episode.slice_mm, episode.pixel_mm)[1:2]
        return encode(model, mixed, train_backbone)

    support, query = encoded(episode.support), encoded(episode.query)
    support_mask, query_mask = shrink(episode.support_mask), shrink(episode.query_mask)
    if min(float(support_mask.sum()), float(query_mask.sum())) < 1.0:
        return {}
    prototypes = model.support_prototypes(support[0], support_mask, episode.pixel_mm, generator)
    maps = model.similarity(query, prototypes.enhanced, prototypes.pooled.background)
    terms = prototype_terms(model, prototypes, query[0].detach(), query_mask, maps, query_mask[None], generator)
    # L_align: the query's prediction, used as a support, must segment the support (Wang et al., PANet 2019)
    predicted = maps.logit[0].sigmoid()
    back = model.support_prototypes(query[0], predicted, episode.pixel_mm, generator)
    returned = model.similarity(support, back.enhanced, back.pooled.background)
    terms["align"] = segmentation_loss(returned.logit, support_mask[None])

    def coarse(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, STRIDE)

    places = [
        F.avg_pool2d(body_coordinates(images[1])[None], FEATURE_STRIDE * STRIDE)
        for images in (episode.query, episode.support)
    ]
    read = model.cross(
        coarse(query)[0],
        places[0][0],
        coarse(support),
        places[1],
        coarse(support_mask[None, None])[None, :, 0],
    )
    terms["cross"] = readout_loss(read, coarse(query_mask[None, None])[0])
    return terms


WEIGHTS = {
    "mask": 1.0,
    "matched": 0.5,
    "presence": 0.3,
    "prototype": 0.5,
    "align": 0.3,
    "cross": 0.5,
    "denoising": 0.3,
    "diffusion": 0.3,
    "fidelity": 0.1,
    "diversity": 0.01,
}


def total_loss(terms: Terms) -> Tensor:
    """The weighted sum."""
    return torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()

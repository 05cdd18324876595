"""From an episode to its loss: the same encode, enhance, compare and step as in inference."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..coarse import places
from ..cross_matching import STRIDE
from ..encoder import FEATURE_STRIDE
from ..evidence import evidence, organ_prototype
from ..model import DPLModel, SupportPrototypes
from ..preprocessing import neighbour_mix
from ..similarity import SimilarityMaps
from ..sphere import unit
from ..support import joined_prototypes
from .episodes import PairEpisode
from .losses import (
    denoising_loss,
    diffusion_loss,
    diversity_loss,
    fidelity_loss,
    query_prototypes,
    readout_loss,
    segmentation_loss,
)

Terms = dict[str, Tensor]

# Of the look-up that teaches the encoder. At that of inference, for which pairs in training are too different, features
# stay more alike (Testing/Benchmarks/RESULTS.md).
SOFT_TEMPERATURE = 0.11


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


def encode_all(model: DPLModel, inputs: Sequence[Tensor], train_backbone: bool) -> list[Tensor]:
    """Features of several stacks (N, 3, H, W) of different sizes.

    A GPU gets them as one batch, the smaller ones continued at their lower and right borders as in preprocessing; a CPU
    gains nothing by that.
    """
    if inputs[0].device.type == "cpu" or len(inputs) == 1:
        return [encode(model, stack, train_backbone) for stack in inputs]
    height, width = (max(stack.shape[axis] for stack in inputs) for axis in (-2, -1))
    padded = [F.pad(s, (0, width - s.shape[-1], 0, height - s.shape[-2]), mode="replicate") for s in inputs]
    features = encode(model, torch.cat(padded), train_backbone)
    rows, columns = ([stack.shape[axis] // FEATURE_STRIDE for stack in inputs] for axis in (-2, -1))
    parts = features.split([len(stack) for stack in inputs])
    return [part[..., :h, :w] for part, h, w in zip(parts, rows, columns, strict=True)]


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
        "denoising": denoising_loss(model, enhanced, support.statistics, support.geometry, goal, generator),
        "diffusion": diffusion_loss(enhanced, goal),
        "fidelity": fidelity_loss(enhanced, model.config.enhancement),
        "diversity": diversity_loss(enhanced),
    }


def pair_terms(
    model: DPLModel, episode: PairEpisode, generator: torch.Generator, train_backbone: bool = False
) -> Terms:
    """Support and query as two patients: prototypes, alignment loss and dense cross matching."""

    def mixed(images: Tensor) -> Tensor:
        return neighbour_mix(images, episode.slice_mm, episode.pixel_mm)[1:2]

    count = len(episode.support)
    parts = encode_all(
        model, [torch.cat([mixed(images) for images in episode.support]), mixed(episode.query)], train_backbone
    )
    support, query = parts
    support_masks, query_mask = shrink(episode.support_mask), shrink(episode.query_mask)
    prototypes = joined_prototypes(
        [model.support_prototypes(support[n], support_masks[n], episode.pixel_mm, generator) for n in range(count)]
    )
    maps = model.similarity(query, prototypes.enhanced, prototypes.pooled.background)
    terms = prototype_terms(model, prototypes, query[0].detach(), query_mask, maps, query_mask[None], generator)
    # L_align: the query's prediction, used as a support, must segment the support (Wang et al., PANet 2019)
    predicted = maps.logit[0].sigmoid()
    back = model.support_prototypes(query[0], predicted, episode.pixel_mm, generator)
    returned = model.similarity(support, back.enhanced, back.pooled.background)
    terms["align"] = segmentation_loss(returned.logit, shrink(episode.support_whole))

    return terms | cross_terms(model, episode, prototypes, maps, (support, query), support_masks, query_mask, generator)


def cross_terms(
    model: DPLModel,
    episode: PairEpisode,
    prototypes: SupportPrototypes,
    maps: SimilarityMaps,
    features: tuple[Tensor, Tensor],
    support_masks: Tensor,
    query_mask: Tensor,
    generator: torch.Generator,
) -> Terms:
    """The look-up of another patient as in inference: a first look, the organ's variants, a second look, decoding.

    It teaches the diffusion and the decoder. The encoder learns from a softer one, without variants.
    """

    def halved(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, STRIDE)

    support, query = (halved(values) for values in features)
    masks, goal = halved(support_masks[None])[0], halved(query_mask[None, None])[0]
    here, there = places(episode.query[1:2])[0], places(episode.support[:, 1])
    soft = model.cross.at(SOFT_TEMPERATURE)(query[0], here, support, there, masks[None])
    terms: Terms = {"cross": readout_loss(soft.probability, goal)}
    looked_at = (query[0].detach(), here, support.detach(), there, masks[None])
    with torch.no_grad():
        first = model.cross(*looked_at).probability
        organ = organ_prototype(support, masks)
        wanted = organ_prototype(query, goal)
        seen = evidence(query, first)
    moves = None
    if organ is not None and model.config.enhancement.variants > 0:
        organs = model.organ_variants(organ, prototypes, seen, generator)
        moves = [organs.moves()[0]]
        if wanted is not None:
            wanted = unit(wanted)
            condition = (prototypes.statistics[:1], prototypes.geometry)
            terms["organ_denoising"] = denoising_loss(model, organs, *condition, wanted, generator, seen)
            terms["organ_diffusion"] = diffusion_loss(organs, wanted)
            terms["organ_diversity"] = diversity_loss(organs)
    read = model.cross(*looked_at, moves=moves)
    terms["fused"] = segmentation_loss(model.cross_decoder(read, maps.map(halved), query), goal)
    return terms


WEIGHTS = {
    "mask": 1.0,
    "matched": 0.5,
    "presence": 0.3,
    "prototype": 0.5,
    "align": 0.3,
    "cross": 0.5,
    "fused": 1.0,
    "denoising": 0.3,
    "diffusion": 0.3,
    "fidelity": 0.1,
    "diversity": 0.01,
    "organ_denoising": 0.3,
    "organ_diffusion": 0.3,
    "organ_diversity": 0.01,
}


def total_loss(terms: Terms) -> Tensor:
    """The weighted sum."""
    return torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()

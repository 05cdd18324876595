"""From an episode to its loss: the same encode, enhance, compare and step as in inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..coarse import places
from ..cross_matching import STRIDE, CrossMatcher, CrossReadout
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
    mean_diffusion_loss,
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
    settled: bool = True,
) -> Terms:
    """The diffusion terms for a query slice, and the segmentation loss of the similarity maps.

    ``settled``: the reverse process learns a distribution, and the features do not learn from it. Otherwise they do,
    and it learns the mean: where features are still taking shape, there is no distribution worth learning.
    """
    enhanced = support.enhanced
    goal = query_prototypes(features, mask, enhanced.original.detach())
    terms = {"prototype": segmentation_loss(maps.logit, target)}
    if settled:
        steered = (support.statistics, support.geometry)
        terms["denoising"] = denoising_loss(model, enhanced, *steered, goal, generator)
        terms["diffusion"] = diffusion_loss(enhanced, goal)
    else:
        terms["diffusion"] = mean_diffusion_loss(enhanced, goal)
    terms["fidelity"] = fidelity_loss(enhanced, model.config.enhancement)
    terms["diversity"] = diversity_loss(enhanced)
    return terms


def pair_terms(
    model: DPLModel,
    episode: PairEpisode,
    generator: torch.Generator,
    train_backbone: bool = False,
    settled: bool = True,
) -> Terms:
    """Support and query as two patients: prototypes, alignment loss and dense cross matching.

    ``settled``: see :func:`prototype_terms`. Otherwise the look-up learns its temperature, and nothing is decoded.
    """

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
    asked = (query[0].detach(), query_mask, maps, query_mask[None])
    terms = prototype_terms(model, prototypes, *asked, generator, settled)
    # L_align: the query's prediction, used as a support, must segment the support (Wang et al., PANet 2019)
    predicted = maps.logit[0].sigmoid()
    back = model.support_prototypes(query[0], predicted, episode.pixel_mm, generator)
    returned = model.similarity(support, back.enhanced, back.pooled.background)
    terms["align"] = segmentation_loss(returned.logit, shrink(episode.support_whole))

    pair = _Halved.of(episode, support, query, support_masks, query_mask)
    if not settled:
        return terms | {"cross": readout_loss(pair.looked_up(model.cross).probability, pair.goal)}
    return terms | cross_terms(model, pair, prototypes, maps, generator)


@dataclass
class _Halved:
    """A pair on the grid of the look-up: features of the query (1, C, h, w) and of M supports, positions in the body
    (2, h, w) and (M, 2, h, w), the supports' masks (M, h, w), and the query's, which is to be found (1, h, w)."""

    query: Tensor
    query_place: Tensor
    support: Tensor
    support_place: Tensor
    masks: Tensor
    goal: Tensor

    @classmethod
    def of(
        cls, episode: PairEpisode, support: Tensor, query: Tensor, support_masks: Tensor, query_mask: Tensor
    ) -> _Halved:
        return cls(
            halved(query),
            places(episode.query[1:2])[0],
            halved(support),
            places(episode.support[:, 1]),
            halved(support_masks[None])[0],
            halved(query_mask[None, None])[0],
        )

    def looked_up(
        self, by: CrossMatcher, features_learn: bool = True, moves: Sequence[Tensor | None] | None = None
    ) -> CrossReadout:
        query, support = (self.query, self.support) if features_learn else (self.query.detach(), self.support.detach())
        return by(query[0], self.query_place, support, self.support_place, self.masks[None], moves=moves)


def halved(values: Tensor) -> Tensor:
    """(..., h, w) on the grid of the look-up."""
    return F.avg_pool2d(values, STRIDE)


def cross_terms(
    model: DPLModel, pair: _Halved, prototypes: SupportPrototypes, maps: SimilarityMaps, generator: torch.Generator
) -> Terms:
    """The look-up of another patient as in inference: a first look, the organ's variants, a second look, decoding.

    It teaches the diffusion and the decoder. The encoder learns from a softer one, without variants.
    """
    soft = pair.looked_up(model.cross.at(SOFT_TEMPERATURE))
    terms: Terms = {"cross": readout_loss(soft.probability, pair.goal)}
    with torch.no_grad():
        first = pair.looked_up(model.cross).probability
        organ = organ_prototype(pair.support, pair.masks)
        wanted = organ_prototype(pair.query, pair.goal)
        seen = evidence(pair.query, first)
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
    read = pair.looked_up(model.cross, features_learn=False, moves=moves)
    terms["fused"] = segmentation_loss(model.cross_decoder(read, maps.map(halved), pair.query), pair.goal)
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

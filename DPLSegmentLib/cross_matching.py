"""Dense matching between two patients: whole slices, features and body position, several reference slices at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .sphere import unit

STRIDE = 2  # matching runs on every second feature sample
HOPELESS = 1e-3  # looked-up probability up to which variants are not tried
ROWS = 128  # query places whose scores are worked out at once: fast, and many slices take little memory
_LEAST = 1e-30  # of a sum that is divided by


@dataclass
class CrossReadout:
    """What the support says about a query slice, (L, h, w) each.

    Attributes:
        probability: of each label.
        spread: standard deviation over the variants of the probability that each alone would give; zero without any.
    """

    probability: Tensor
    spread: Tensor


@dataclass
class SliceEvidence:
    """What each of M reference slices would say by itself, to be weighed afterwards without looking again.

    Attributes:
        explained: (M, P) how well each slice explains each place of the query, in units of ``exp(best)``.
        shares: (L, M, P) how much of that are places of each label.
        best: (P,) logarithm of the unit: the largest score of a place, 0 for one that looks the same at the same place.
    """

    explained: Tensor
    shares: Tensor
    best: Tensor

    def weighed(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """With weights (S, M) over slices: probabilities (S, L, P), and the logarithm of what explains them, (S, P).

        Where no slice counts, the probability is 0.
        """
        total = (weights @ self.explained).clamp_min(_LEAST)
        return torch.einsum("sm,lmp->slp", weights, self.shares) / total[:, None], total.log() + self.best


class CrossMatcher(nn.Module):
    """Soft nearest-neighbour read-out of support masks for a query slice of another scan.

    ``score = cos(f, f')/temperature - gain·|x - x'|²`` with positions normalised to the body's box, so that a larger
    patient's liver is still looked for in the same part of the body.

    The variants of an organ's prototype are hypotheses about how the organ looks in the query. Each carries all of the
    organ's places along by as much as it moved the prototype, and a query place may match any of them (a log-mean-exp
    over variants, inside the softmax over places).
    """

    log_temperature: Tensor
    log_position: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Not learned: pairs in training are deformed more strongly than patients differ, and taught temperatures of
        # twice this value, with which an organ that takes up little of a slice is outvoted.
        self.register_buffer("log_temperature", torch.tensor(math.log(0.022)))
        self.register_buffer("log_position", torch.tensor(math.log(12.0)))

    def forward(
        self,
        query: Tensor,
        query_place: Tensor,
        support: Tensor,
        support_place: Tensor,
        masks: Tensor,
        slot_bias: Tensor | None = None,
        moves: Sequence[Tensor | None] | None = None,
    ) -> CrossReadout:
        """Look up.

        Args:
            query: (C, h, w) features; query_place: (2, h, w) positions in body coordinates.
            support: (M, C, H, W) features of reference slices; support_place: (M, 2, H, W).
            masks: (L, M, H, W) label probabilities of the reference slices.
            slot_bias: (L, M), or (M,) for all labels, added to the scores of each reference slice; -inf where a slice
                is not asked; 0 if None.
            moves: for each label (V, C), by how much each variant moves its places (unit features); None: not at all.
        """
        reference = _References.of(self._against(support, support_place), _directions(support), masks, slot_bias)
        blocks = zip(self._asking(query, query_place).split(ROWS), _directions(query[None])[0].split(ROWS), strict=True)
        sharpness = torch.exp(-self.log_temperature)
        parts = [_read(asking, looks, reference, moves, sharpness) for asking, looks in blocks]
        size = (len(masks), *query.shape[-2:])
        return CrossReadout(*(torch.cat(v, dim=1).view(size).clamp(0.0, 1.0) for v in zip(*parts, strict=True)))

    def by_slice(
        self, query: Tensor, query_place: Tensor, support: Tensor, support_place: Tensor, masks: Tensor
    ) -> SliceEvidence:
        """What each reference slice would say by itself. Args: as in :meth:`forward`. For inference only."""
        against = self._against(support, support_place)
        explained, shares, best = [], [], []
        for places in self._asking(query, query_place).split(ROWS):
            scores = places @ against
            best.append(scores.amax(dim=-1))
            weights = scores.sub_(best[-1][:, None]).exp_()
            explained.append(_of_slices(weights, len(support)))
            shares.append(_of_labels(weights, masks))
        unit_score = torch.exp(-self.log_temperature)
        level = torch.cat(best) - unit_score - self.log_position.exp() * query_place.flatten(1).square().sum(0)
        return SliceEvidence(torch.cat(explained, dim=1), torch.cat(shares, dim=2), level)

    def _asking(self, query: Tensor, query_place: Tensor) -> Tensor:
        """(P, C + 3): times :meth:`_against`, the score of a query place and a support place.

        Up to what is the same for all places of the support: -1/temperature and -gain·|x|².
        """
        where = query_place.flatten(1).T
        looks = _directions(query[None])[0] * torch.exp(-self.log_temperature)
        return torch.cat([looks, where * (2.0 * self.log_position.exp()), torch.ones_like(where[:, :1])], dim=-1)

    def _against(self, support: Tensor, support_place: Tensor) -> Tensor:
        """(C + 3, M·places)."""
        there = support_place.flatten(2).transpose(1, 2).flatten(0, 1)
        bias = -self.log_position.exp() * there.square().sum(-1)
        return torch.cat([_directions(support).flatten(0, 1), there, bias[:, None]], dim=-1).T


@dataclass
class _References:
    """The support's side of a look-up, the same for all query places."""

    against: Tensor
    keys: Tensor  # (M·places, C), unit vectors
    masks: Tensor
    biases: Tensor  # (L, M)

    @classmethod
    def of(cls, against: Tensor, directions: Tensor, masks: Tensor, slot_bias: Tensor | None) -> _References:
        biases = masks.new_zeros(masks.shape[:2])
        return cls(against, directions.flatten(0, 1), masks, biases if slot_bias is None else biases + slot_bias)


def _read(
    asking: Tensor, looks: Tensor, reference: _References, moves: Sequence[Tensor | None] | None, sharpness: Tensor
) -> tuple[Tensor, Tensor]:
    """Probability and spread, (L, P) each, of a block of query places with unit features ``looks`` (P, C)."""
    keys, masks, biases = reference.keys, reference.masks, reference.biases
    scores = asking @ reference.against
    scores = scores - scores.amax(dim=-1, keepdim=True).detach()
    weights = scores.exp()
    explained, shares = _of_slices(weights, masks.shape[1]), _of_labels(weights, masks)
    if moves is not None:
        # Summed up by themselves, because they may be far less than what they would have to be subtracted from.
        outside = (masks <= 0.5).to(masks)
        rests, rest_shares = _of_labels(weights, outside), _of_labels(weights, outside * masks)
    values = masks.flatten(1)  # (L, places)
    slices = torch.arange(masks.shape[1], device=masks.device).repeat_interleave(len(keys) // masks.shape[1])
    probabilities, spreads = [], []
    for label, bias in enumerate(biases):
        move = None if moves is None else moves[label]
        total, found = bias.exp() @ explained, bias.exp() @ shares[label]
        inside = (values[label] > 0.5) & (bias > -torch.inf)[slices]
        plain = found / total.clamp_min(_LEAST)
        # Where the organ is out of the question, no variant brings it back; elsewhere all of them are tried.
        tried = torch.nonzero(plain.detach() > HOPELESS).flatten()
        if move is None or len(tried) == 0 or not bool(inside.any()):
            probabilities.append(plain)
            spreads.append(torch.zeros_like(total))
            continue
        own, share = keys[inside], values[label][inside]
        near, places = scores[tried][:, inside] + bias[slices[inside]], looks[tried]
        rest, rest_found = (bias.exp() @ part[label][:, tried] for part in (rests, rest_shares))
        sums, sums_found = [], []
        for step in move:
            carried = (near + sharpness * (places @ (unit(own + step) - own).T)).exp()
            sums.append(carried.sum(-1))
            sums_found.append(carried @ share)
        each, each_found = torch.stack(sums), torch.stack(sums_found)
        mean = (rest_found + each_found.mean(0)) / (rest + each.mean(0)).clamp_min(_LEAST)
        alone = (rest_found + each_found) / (rest + each).clamp_min(_LEAST)
        probabilities.append(plain.index_copy(0, tried, mean))
        spreads.append(torch.zeros_like(total).index_copy(0, tried, alone.std(dim=0, correction=0)))
    return torch.stack(probabilities), torch.stack(spreads)


def _directions(features: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, places, C), unit vectors."""
    return unit(features.flatten(2).transpose(1, 2))


def _of_labels(weights: Tensor, masks: Tensor) -> Tensor:
    """Sums of weights (P, M·places) over the places of masks (L, M, H, W) in each slice: (L, M, P)."""
    return torch.einsum("pms,lms->lmp", weights.view(len(weights), masks.shape[1], -1), masks.flatten(2))


def _of_slices(weights: Tensor, count: int) -> Tensor:
    """Sums of weights (P, count·places) over the places of each slice: (count, P)."""
    return weights.view(len(weights), count, -1).sum(-1).T


def body_coordinates(image: Tensor) -> Tensor:
    """Position of every pixel relative to the body's box, (2, H, W): 0 at its centre, ±1 at its edges.

    The body is found without an intensity scale: the box that holds the middle 99 % of the slice's gradient energy
    along each axis. Air is quiet in CT and MR alike.
    """
    smooth = F.avg_pool2d(F.pad(image[None, None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0, 0]
    down, across = smooth.diff(dim=0).abs(), smooth.diff(dim=1).abs()

    def limits(profile: Tensor) -> tuple[Tensor, Tensor]:
        share = profile.cumsum(0) / profile.sum().clamp_min(1e-9)
        low = (share < 0.005).sum().float()
        high = (share < 0.995).sum().float()
        return (low + high + 1) / 2, ((high - low) / 2).clamp_min(len(profile) / 8)

    row_centre, row_half = limits(down.sum(1) + 1e-9)
    column_centre, column_half = limits(across.sum(0) + 1e-9)
    rows = (torch.arange(image.shape[0], device=image.device) - row_centre) / row_half
    columns = (torch.arange(image.shape[1], device=image.device) - column_centre) / column_half
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))

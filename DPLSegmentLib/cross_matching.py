"""Dense matching between two patients: whole slices, features and body position, several reference slices at once."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .sphere import unit

STRIDE = 2  # matching runs on every second feature sample
HOPELESS = 1e-3  # looked-up probability up to which variants are not tried
TEMPERATURE = 0.022  # of cosines of centred features
POSITION_GAIN = 12.0
ROWS = 32  # query places whose scores are worked out at once: fast, and many slices take little memory
_LEAST = 1e-30  # of a sum that is divided by
_NOTHING = -60.0  # logarithm of what counts as much as nothing; processors are slow at numbers that are much smaller


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

    def of(self, rows: Sequence[int]) -> SliceEvidence:
        """That of some of the slices."""
        return SliceEvidence(self.explained[rows], self.shares[:, rows], self.best)

    def weighed(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """With weights (S, M) over slices: probabilities (S, L, P), and the logarithm of what explains them, (S, P).

        Where no slice counts, the probability is 0.
        """
        total = (weights @ self.explained).clamp_min(_LEAST)
        return torch.einsum("sm,lmp->slp", weights, self.shares) / total[:, None], total.log() + self.best

    def probability(self, weights: Tensor) -> Tensor:
        """(L, P), with weights (L, M) over slices, other ones for each label. Where no slice counts, it is 0."""
        total = (weights @ self.explained).clamp_min(_LEAST)
        return (torch.einsum("lm,lmp->lp", weights, self.shares) / total).clamp(0.0, 1.0)


class CrossMatcher(nn.Module):
    """Soft nearest-neighbour read-out of support masks for a query slice of another scan.

    ``score = cos(f, f')/temperature - gain·|x - x'|²`` with positions normalised to the body's box, so that a larger
    patient's liver is still looked for in the same part of the body.

    The variants of an organ's prototype are hypotheses about how the organ looks in the query. Each carries all of the
    organ's places along by as much as it moved the prototype, and a query place may match any of them (a log-mean-exp
    over variants, inside the softmax over places).
    """

    def __init__(self) -> None:
        super().__init__()
        # Learned only while features are (``training/centring.py``): pairs in training are deformed more strongly than
        # patients differ, and teach temperatures of twice this value and more, with which an organ that takes up little
        # of a slice is outvoted.
        self.log_temperature = nn.Parameter(torch.tensor(math.log(TEMPERATURE)))
        self.log_position = nn.Parameter(torch.tensor(math.log(POSITION_GAIN)))

    def at(self, temperature: float) -> CrossMatcher:
        """The same look-up at another temperature."""
        other = copy.deepcopy(self).requires_grad_(False)
        other.log_temperature.fill_(math.log(temperature))
        return other

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
        """Look up: :meth:`by_slice`, weighed, and :meth:`varied` where a label has variants.

        Args:
            query: (C, h, w) features; query_place: (2, h, w) positions in body coordinates.
            support: (M, C, H, W) features of reference slices; support_place: (M, 2, H, W).
            masks: (L, M, H, W) label probabilities of the reference slices.
            slot_bias: (L, M), or (M,) for all labels, added to the scores of each reference slice; -inf where a slice
                is not asked; 0 if None.
            moves: for each label (V, C), by how much each variant moves its places (unit features); None: not at all.
        """
        biases = masks.new_zeros(masks.shape[:2]) + (0.0 if slot_bias is None else slot_bias)
        plain = self.by_slice(query, query_place, support, support_place, masks).probability(biases.exp())
        probabilities, spreads = [], []
        for label, probability in enumerate(plain.view(-1, *query.shape[-2:])):
            read = CrossReadout(probability, torch.zeros_like(probability))
            if moves is not None and moves[label] is not None:
                asked = (query, query_place, support, support_place, masks[label], biases[label])
                read = self.varied(*asked, moves[label], probability)
            probabilities.append(read.probability)
            spreads.append(read.spread)
        return CrossReadout(torch.stack(probabilities), torch.stack(spreads))

    def by_slice(
        self, query: Tensor, query_place: Tensor, support: Tensor, support_place: Tensor, masks: Tensor
    ) -> SliceEvidence:
        """What each reference slice would say by itself. Args: as in :meth:`forward`."""
        against = self._against(_directions(support), support_place)
        members = torch.cat([torch.ones_like(masks[:1]), masks]).flatten(2).permute(1, 2, 0)  # (M, places, 1 + L)
        sums, best = [], []
        for asking in self._asking(_directions(query[None])[0], query_place.flatten(1).T).split(ROWS):
            weights, largest = _weights(asking @ against)
            sums.append(weights @ members)
            best.append(largest)
        level = torch.cat(best) - torch.exp(-self.log_temperature)
        level = level - self.log_position.exp() * query_place.flatten(1).square().sum(0)
        explained, *shares = torch.cat(sums, dim=1).permute(2, 0, 1)
        return SliceEvidence(explained, torch.stack(shares), level)

    def varied(
        self,
        query: Tensor,
        query_place: Tensor,
        support: Tensor,
        support_place: Tensor,
        mask: Tensor,
        bias: Tensor,
        moves: Tensor,
        plain: Tensor,
    ) -> CrossReadout:
        """One label's places carried along by variants. Args: as in :meth:`forward`, of this label.

        Where the organ is out of the question by the ``plain`` probability (h, w) without variants, none brings it
        back; elsewhere all of them are tried.
        """
        tried = plain.detach() > HOPELESS
        probability, spread = plain.clone(), torch.zeros_like(plain)
        asked = bias > -torch.inf
        if bool(tried.any()) and bool((mask[asked] > 0.5).any()):
            organ = self._organ(support[asked], support_place[asked], mask[asked], bias[asked], moves)
            looks, where = unit(query[:, tried].T), query_place[:, tried].T
            blocks = zip(looks.split(ROWS), where.split(ROWS), strict=True)
            read = zip(*(self._vary(*block, organ) for block in blocks), strict=True)
            probability[tried], spread[tried] = (torch.cat(values).clamp(0.0, 1.0) for values in read)
        return CrossReadout(probability, spread)

    def _organ(self, support: Tensor, support_place: Tensor, mask: Tensor, bias: Tensor, moves: Tensor) -> _Organ:
        keys, values = _directions(support), mask.flatten(1)
        against = self._against(keys, support_place)
        against[:, -1] += bias[:, None]
        inside = values > 0.5
        outside = (~inside).to(values)
        own = keys[inside]
        turned = unit(own + moves[:, None]) - own
        return _Organ(against, torch.stack([outside, outside * values], dim=-1), inside, values[inside], turned)

    def _vary(self, looks: Tensor, where: Tensor, organ: _Organ) -> tuple[Tensor, Tensor]:
        """Probability and spread (P,) of some places of the query: unit features (P, C), positions (P, 2)."""
        scores = self._asking(looks, where) @ organ.against
        near = scores.transpose(0, 1)[:, organ.inside]
        weights, best = _weights(scores)
        # What is outside the organ is summed up by itself: it may be far less than what it would be subtracted from.
        rest, rest_found = (weights @ organ.outside).sum(0).unbind(-1)
        near = near - best[:, None]
        sharpness = torch.exp(-self.log_temperature)
        carried = [(near + sharpness * (looks @ turned.T)).clamp_min(_NOTHING).exp() for turned in organ.turned]
        each = torch.stack([weight.sum(-1) for weight in carried])
        each_found = torch.stack([weight @ organ.shares for weight in carried])
        mean = (rest_found + each_found.mean(0)) / (rest + each.mean(0)).clamp_min(_LEAST)
        alone = (rest_found + each_found) / (rest + each).clamp_min(_LEAST)
        return mean, alone.std(dim=0, correction=0)

    def _asking(self, looks: Tensor, where: Tensor) -> Tensor:
        """(P, C + 3), of unit features (P, C) and positions (P, 2): times :meth:`_against`, the scores.

        Up to what is the same for all places of the support: -1/temperature and -gain·|x|².
        """
        parts = [looks * torch.exp(-self.log_temperature), where * (2.0 * self.log_position.exp())]
        return torch.cat([*parts, torch.ones_like(where[:, :1])], dim=-1)

    def _against(self, keys: Tensor, places: Tensor) -> Tensor:
        """(M, C + 3, places), of unit features (M, places, C) and positions (M, 2, H, W)."""
        there = places.flatten(2)
        bias = -self.log_position.exp() * there.square().sum(1, keepdim=True)
        return torch.cat([keys.transpose(1, 2), there, bias], dim=1)


@dataclass
class _Organ:
    """A label's side of a look-up with variants, the same for all query places.

    Attributes:
        against: (M, C + 3, places), what scores are made of.
        outside: (M, places, 2), membership of what is not the organ: 1, and the label's probability there.
        inside: (M, places) bool, the Q places of the organ.
        shares: (Q,) the label's probability there.
        turned: (V, Q, C), by how much each variant changes their unit features.
    """

    against: Tensor
    outside: Tensor
    inside: Tensor
    shares: Tensor
    turned: Tensor


def _directions(features: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, places, C), unit vectors."""
    return unit(features.flatten(2).transpose(1, 2))


def _weights(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Exponentials of scores (M, P, places) less the largest of each query place, and these, (P,); in place."""
    best = scores.detach().amax(dim=(0, 2))
    return scores.sub_(best[:, None]).clamp_min_(_NOTHING).exp_(), best


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

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


@dataclass
class CrossReadout:
    """What the support says about a query slice, (L, h, w) each.

    Attributes:
        probability: of each label.
        spread: standard deviation over the variants of the probability that each alone would give; zero without any.
    """

    probability: Tensor
    spread: Tensor

    @classmethod
    def joined(cls, parts: Sequence[CrossReadout], axis: int) -> CrossReadout:
        """Parts one after the other along an axis."""
        probability, spread = ([getattr(part, name) for part in parts] for name in ("probability", "spread"))
        return cls(torch.cat(probability, dim=axis), torch.cat(spread, dim=axis))


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
            slot_bias: (M,) added to the scores of each reference slice; 0 if None.
            moves: for each label (V, C), by how much each variant moves its places (unit features); None: not at all.
        """
        height, width = query.shape[-2:]
        sharpness, gain = torch.exp(-self.log_temperature), self.log_position.exp()
        asked = unit(query.flatten(1).T)
        keys = unit(support.flatten(2).transpose(1, 2).flatten(0, 1))
        where, there = query_place.flatten(1).T, support_place.flatten(2).transpose(1, 2).flatten(0, 1)
        # |x - x'|² less the part that is the same for all places of the support
        bias = -gain * there.square().sum(-1)
        if slot_bias is not None:
            bias = bias + slot_bias.repeat_interleave(support.shape[-2] * support.shape[-1])
        scores = torch.cat([asked * sharpness, where * (2.0 * gain), torch.ones_like(where[:, :1])], dim=-1)
        scores = scores @ torch.cat([keys, there, bias[:, None]], dim=-1).T
        scores = scores - scores.amax(dim=-1, keepdim=True).detach()
        weights = scores.exp()
        values = masks.flatten(1)  # (L, places)
        total, found = weights.sum(-1), weights @ values.T
        probabilities, spreads = [], []
        for label in range(len(masks)):
            move = None if moves is None else moves[label]
            inside = values[label] > 0.5
            plain = found[:, label] / total
            # Where the organ is out of the question, no variant brings it back; elsewhere all of them are tried.
            tried = torch.nonzero(plain.detach() > HOPELESS).flatten()
            if move is None or len(tried) == 0 or not bool(inside.any()):
                probabilities.append(plain)
                spreads.append(torch.zeros_like(total))
                continue
            own, share = keys[inside], values[label][inside]
            near, places = scores[tried][:, inside], asked[tried]
            rest = (total[tried] - near.exp().sum(-1)).clamp_min(0.0)
            rest_found = (found[tried, label] - near.exp() @ share).clamp_min(0.0)
            sums, shares = [], []
            for step in move:
                carried = (near + sharpness * (places @ (unit(own + step) - own).T)).exp()
                sums.append(carried.sum(-1))
                shares.append(carried @ share)
            each, each_found = torch.stack(sums), torch.stack(shares)
            mean = (rest_found + each_found.mean(0)) / (rest + each.mean(0)).clamp_min(1e-30)
            alone = (rest_found + each_found) / (rest + each).clamp_min(1e-30)
            probabilities.append(plain.index_copy(0, tried, mean))
            spreads.append(torch.zeros_like(total).index_copy(0, tried, alone.std(dim=0, correction=0)))
        return CrossReadout(*(torch.stack(v).view(-1, height, width).clamp(0.0, 1.0) for v in (probabilities, spreads)))


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

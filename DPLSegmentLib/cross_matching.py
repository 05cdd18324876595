"""Dense matching between two patients: whole slices, features and body position, several reference slices at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .sphere import unit

STRIDE = 2  # matching runs on every second feature sample


class CrossMatcher(nn.Module):
    """Soft nearest-neighbour read-out of support masks for a query slice of another scan.

    ``score = cos(f, f')/temperature - gain·|x - x'|²`` with positions normalised to the body's box, so that a larger
    patient's liver is still looked for in the same part of the body.
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
    ) -> Tensor:
        """Look up.

        Args:
            query: (C, h, w) features; query_place: (2, h, w) positions in body coordinates.
            support: (M, C, H, W) features of reference slices; support_place: (M, 2, H, W).
            masks: (L, M, H, W) label probabilities of the reference slices.
            slot_bias: (M,) added to the scores of each reference slice; 0 if None.

        Returns:
            (L, h, w) probabilities.
        """

        def describe(features: Tensor, place: Tensor) -> Tensor:
            vectors = unit(features.flatten(2).transpose(1, 2)) * torch.exp(-self.log_temperature / 2)
            where = place.flatten(2).transpose(1, 2) * (self.log_position / 2).exp() * math.sqrt(2.0)
            return torch.cat([vectors, where], dim=-1)

        height, width = query.shape[-2:]
        asked = describe(query[None], query_place[None])[0]
        keys = describe(support, support_place).flatten(0, 1)
        # cosine parts have constant length, so only the positions need their norms
        bias = -0.5 * keys[:, -2:].square().sum(-1)
        if slot_bias is not None:
            bias = bias + slot_bias.repeat_interleave(support.shape[-2] * support.shape[-1])
        keys = torch.cat([keys, bias[:, None]], dim=-1)
        asked = torch.cat([asked, torch.ones_like(asked[:, :1])], dim=-1)
        values = masks.flatten(1).T
        scores = torch.softmax(asked @ keys.T, dim=-1)
        return (scores @ values).T.reshape(-1, height, width)


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

"""Dense matching: every pixel of a slice looks up the mask of the pixels it resembles in remembered slices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW_PIXELS = 80
MATCH_PIXELS = 40
SLOT_KINDS = 4


@dataclass
class MatchReadout:
    """Read-outs on the match grid, each (B, G, G) unless said otherwise.

    Attributes:
        probability: the remembered mask, averaged over the best-matching places of all slots.
        first, last: the same for the annotated slot and for the slice before alone.
        score: log-evidence of the best slot against "no match".
        intensity: the remembered intensity at the matches; far from the slice's own where a match is wrong.
        shift: (B, 2, G, G), displacement to the match in the slice before, in window sides (a soft optical flow).
    """

    probability: Tensor
    first: Tensor
    last: Tensor
    score: Tensor
    intensity: Tensor
    shift: Tensor


class DenseMatcher(nn.Module):
    """Similarity of appearance (learned), raw intensity patch and position, read out softly.

    The three parts are concatenated into one vector with learned gains, so that one matrix product gives
    ``-gain_e·|e - e'|² - gain_r·|patch - patch'|² - gain_p·|position - position'|²``.
    """

    def __init__(self, feature_width: int = 64, width: int = 32) -> None:
        super().__init__()
        self.raw = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.GroupNorm(4, 16),
            nn.ReLU(),
            nn.Conv2d(16, 24, 3, padding=1),
            nn.GroupNorm(4, 24),
            nn.ReLU(),
        )
        self.deep = nn.Conv2d(feature_width, 32, 1)
        self.embed = nn.Sequential(nn.GroupNorm(8, 56), nn.Conv2d(56, width, 1))
        self.log_appearance = nn.Parameter(torch.tensor(2.3))
        self.log_patch = nn.Parameter(torch.tensor(1.0))
        self.log_position = nn.Parameter(torch.tensor(4.4))
        self.slot_bias = nn.Parameter(torch.zeros(SLOT_KINDS))
        self.no_match = nn.Parameter(torch.tensor(-2.0))

    def describe(self, image: Tensor, features: Tensor) -> Tensor:
        """Vectors to compare: (B, 1, P, P) normalised window images and (B, C, G, G) features -> (B, G·G, D)."""
        deep = self.deep(features)
        appearance = F.normalize(self.embed(torch.cat([self.raw(image), deep], dim=1)), dim=1)
        smooth = F.avg_pool2d(image, 2)
        patch = F.unfold(F.pad(smooth, (1, 1, 1, 1), mode="replicate"), 3) / 3.0
        size = smooth.shape[-1]
        position = torch.stack(self._positions(size, image)).expand(len(image), -1, -1)
        parts = [
            appearance.flatten(2) * (self.log_appearance / 2).exp(),
            patch * (self.log_patch / 2).exp(),
            position * (self.log_position / 2).exp(),
        ]
        return torch.cat(parts, dim=1).transpose(1, 2)

    def forward(self, query: Tensor, memory: Tensor, masks: Tensor, images: Tensor, kinds: Tensor) -> MatchReadout:
        """Look up.

        Every slot also offers "no match" at a learned score; the weight it gets tells how well the slot fits, which
        weighs the slots against each other and is the confidence.

        Args:
            query: (B, G·G, D) described current windows.
            memory: (B, M, G·G, D) described remembered windows; slot 0 is annotated, slot M-1 the slice before.
            masks: (B, M, G·G) remembered masks in [0, 1].
            images: (B, M, G·G) remembered window intensities.
            kinds: (M,) index of each slot's learned bias.
        """
        batch, slots, places, _ = memory.shape
        size = round(places**0.5)
        bias = self.slot_bias[kinds][None, :, None] - memory.square().sum(-1)
        keys = torch.cat([memory, bias[..., None], torch.ones_like(bias)[..., None]], dim=-1)
        nothing = torch.zeros_like(keys[:, :, :1])
        nothing[..., -2] = self.no_match
        keys = torch.cat([keys, nothing], dim=2)
        asked = torch.cat([2.0 * query, torch.ones_like(query[..., :1]), -query.square().sum(-1, keepdim=True)], dim=-1)
        rows, columns = self._positions(size, query)
        values = torch.stack([masks, images, rows.expand_as(masks), columns.expand_as(masks)], dim=-1)
        # As wide as the keys: the fused attention kernels ask for it.
        values = F.pad(values, (0, keys.shape[-1] - 4, 0, 1))
        values[:, :, -1, 4] = 1.0
        read = F.scaled_dot_product_attention(asked[:, None].expand(-1, slots, -1, -1), keys, values, scale=1.0)
        unmatched = read[..., 4].clamp(1e-6, 1.0 - 1e-6)
        read = read[..., :4] / (1.0 - unmatched)[..., None]
        evidence = torch.log1p(-unmatched) - unmatched.log()
        joint = torch.softmax(evidence, dim=1)
        mean = (joint[..., None] * read).sum(1)

        def grid(values: Tensor) -> Tensor:
            return values.reshape(batch, size, size)

        last = read[:, -1]
        return MatchReadout(
            probability=grid(mean[..., 0].clamp(0.0, 1.0)),
            first=grid(read[:, 0, :, 0]),
            last=grid(last[..., 0]),
            score=grid(evidence.amax(1)),
            intensity=grid(mean[..., 1]),
            shift=torch.stack([grid(last[..., 2] - rows), grid(last[..., 3] - columns)], dim=1),
        )

    @staticmethod
    def _positions(size: int, like: Tensor) -> tuple[Tensor, Tensor]:
        steps = (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) / size
        rows, columns = torch.meshgrid(steps, steps, indexing="ij")
        return rows.flatten(), columns.flatten()

"""The learned decoder for another patient: weighs looked-up masks against prototypes, variant by variant."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .cross_matching import CrossReadout
from .similarity import SimilarityMaps

EVIDENCE = 7
PROTOTYPE_SHARE = 0.2  # of the prototypes in the blend that the decoder starts from
_WIDTH = 32
_PROJECTED = 16


class CrossDecoder(nn.Module):
    """From the evidence on a whole query slice to a foreground logit.

    The variants reach it one by one (the best, the worst and the spread), so it can learn when a hypothesis about the
    query's prototype is worth more than the support's own, and when their disagreement says to trust the look-up. Its
    last layer starts at zero: untrained, it returns a fixed blend of look-up and prototypes.
    """

    def __init__(self, feature_width: int = 64) -> None:
        super().__init__()
        self.project = nn.Conv2d(feature_width, _PROJECTED, 1)
        self.layers = nn.Sequential(
            nn.Conv2d(EVIDENCE + _PROJECTED, _WIDTH, 3, padding=1),
            nn.GroupNorm(4, _WIDTH),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=2, dilation=2),
            nn.GroupNorm(4, _WIDTH),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
            nn.ReLU(),
        )
        self.output = nn.Conv2d(_WIDTH, 1, 1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, read: CrossReadout, maps: SimilarityMaps, features: Tensor) -> Tensor:
        """Decode.

        Args:
            read: what was looked up, (B, h, w) each.
            maps: prototype similarity on the same grid, each (B, h, w).
            features: (B, C, h, w) of the query.

        Returns:
            (B, h, w) logits.
        """
        looked_up = torch.logit(read.probability.clamp(0.005, 0.995))
        logits = [value.clamp(-6.0, 6.0) for value in (maps.logit, maps.fused, maps.highest, maps.lowest)]
        spreads = [maps.spread * 4, read.spread * 4]
        evidence = torch.stack([looked_up / 3, *(value / 3 for value in logits), *spreads], dim=1)
        hidden = self.layers(torch.cat([evidence, self.project(F.normalize(features, dim=1) * 4)], dim=1))
        return blend(read.probability, maps) + self.output(hidden)[:, 0]


def blend(read: Tensor, maps: SimilarityMaps) -> Tensor:
    """The look-up's logit with a share of the prototypes'; (B, h, w) each."""
    looked_up = torch.logit(read.clamp(0.005, 0.995))
    return (1.0 - PROTOTYPE_SHARE) * looked_up + PROTOTYPE_SHARE * maps.logit.clamp(-6.0, 6.0)

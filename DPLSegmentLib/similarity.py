"""From prototypes and query features to a foreground logit and its spread over the variants."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .enhancement import EnhancedPrototypes
from .sphere import unit


@dataclass
class SimilarityMaps:
    """Per query slice: ``logit`` (B, H, W) and ``spread`` (B, H, W), the standard deviation over the variants of the
    foreground probability, in [0, 0.5]."""

    logit: Tensor
    spread: Tensor


class PrototypeSimilarity(nn.Module):
    """Cosine similarity to foreground and background prototypes, with learned temperature, gain and bias.

    The variants count non-linearly: the foreground evidence is the log-mean-exp over the fused prototypes and every
    set of variants, so that one variant that fits the query is enough (averaging would collapse them to z0).
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.05)))
        self.log_gain = nn.Parameter(torch.tensor(math.log(20.0)))
        self.bias = nn.Parameter(torch.tensor(0.0))

    def forward(self, features: Tensor, enhanced: EnhancedPrototypes, background: Tensor) -> SimilarityMaps:
        """Compare.

        Args:
            features: (B, C, H, W) query features.
            enhanced: foreground prototypes, (P, C) and (P, K, C).
            background: (Q, C) background prototypes.
        """
        batch, channels, height, width = features.shape
        pixels = unit(features.permute(0, 2, 3, 1).reshape(-1, channels))
        temperature, gain = self.log_temperature.exp(), self.log_gain.exp()

        sets = torch.cat([enhanced.fused[:, None], enhanced.variants], dim=1)
        foreground = torch.einsum("nc,pkc->nkp", pixels, sets)
        # log-sum-exp over local prototypes: the best-fitting part decides
        foreground = temperature * torch.logsumexp(foreground / temperature, dim=-1)
        outside = temperature * torch.logsumexp(pixels @ unit(background).T / temperature, dim=-1)
        logits = gain * (foreground - outside[:, None]) + self.bias
        combined = torch.logsumexp(logits, dim=1) - math.log(logits.shape[1])
        spread = logits[:, 1:].sigmoid().std(dim=1, correction=0) if logits.shape[1] > 1 else torch.zeros_like(combined)
        return SimilarityMaps(combined.view(batch, height, width), spread.view(batch, height, width))

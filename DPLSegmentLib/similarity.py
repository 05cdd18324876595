"""From prototypes and query features to a foreground logit and its spread over the variants."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from .enhancement import EnhancedPrototypes
from .sphere import unit


@dataclass
class SimilarityMaps:
    """What the prototypes say about query slices, (B, H, W) each.

    Attributes:
        logit: of the foreground, over the fused prototypes and all variants.
        spread: standard deviation over the variants of the foreground probability, in [0, 0.5].
        fused: logit of the fused prototypes alone.
        highest, lowest: largest and smallest logit of a variant; ``fused`` where there are none.
    """

    logit: Tensor
    spread: Tensor
    fused: Tensor
    highest: Tensor
    lowest: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> SimilarityMaps:
        """The same change made to each of them."""
        return SimilarityMaps(*(change(getattr(self, field.name)) for field in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[SimilarityMaps]) -> SimilarityMaps:
        """Parts one after the other along the first axis."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


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
        fused, variants = logits[:, 0], logits[:, 1:] if logits.shape[1] > 1 else logits
        spread = variants.sigmoid().std(dim=1, correction=0)
        maps = SimilarityMaps(combined, spread, fused, variants.amax(1), variants.amin(1))
        return maps.map(lambda values: values.view(batch, height, width))

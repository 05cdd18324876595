"""The learned decoder: fuses all evidence about one slice into a mask, and tells when the organ has ended."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EVIDENCE = 18
_WIDTHS = (16, 32, 48, 64)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.GroupNorm(4, outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.GroupNorm(4, outputs),
        nn.ReLU(),
    )


class EvidenceDecoder(nn.Module):
    """A small U-Net on the object's window.

    It sees evidence that does not depend on contrast or anatomy (matches, prototype similarity, intensities relative
    to the annotated object), so what it learns on one kind of scan holds on others. Its last layer starts at zero: an
    untrained decoder returns the matching read-out unchanged.
    """

    def __init__(self, feature_width: int = 64) -> None:
        super().__init__()
        a, b, c, d = _WIDTHS
        self.project = nn.Conv2d(feature_width, 16, 1)
        self.down0 = _block(EVIDENCE, a)
        self.down1 = _block(a + 16, b)
        self.down2 = _block(b, c)
        self.down3 = _block(c, d)
        self.up2 = _block(d + c, c)
        self.up1 = _block(c + b, b)
        self.up0 = _block(b + a, a)
        self.output = nn.Conv2d(a, 1, 1)
        self.prior_gain = nn.Parameter(torch.tensor(0.8))
        self.presence = nn.Sequential(nn.Linear(2 * d + 4, 64), nn.ReLU(), nn.Linear(64, 1))
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, evidence: Tensor, features: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            evidence: (B, EVIDENCE, P, P).
            features: (B, C, P/2, P/2) features of the current slice.
            prior: (B, P, P) foreground probability from matching.

        Returns:
            Mask logits (B, P, P) and presence logits (B,): is the object still in this slice?
        """
        x0 = self.down0(evidence)
        x1 = self.down1(torch.cat([F.max_pool2d(x0, 2), self.project(features)], dim=1))
        x2 = self.down2(F.max_pool2d(x1, 2))
        x3 = self.down3(F.max_pool2d(x2, 2))
        y2 = self.up2(torch.cat([F.interpolate(x3, scale_factor=2.0), x2], dim=1))
        y1 = self.up1(torch.cat([F.interpolate(y2, scale_factor=2.0), x1], dim=1))
        y0 = self.up0(torch.cat([F.interpolate(y1, scale_factor=2.0), x0], dim=1))
        logits = self.output(y0)[:, 0] + self.prior_gain * torch.logit(prior.clamp(0.01, 0.99))
        probability = logits.sigmoid()
        summary = torch.cat(
            [
                x3.mean((-2, -1)),
                x3.amax((-2, -1)),
                probability.mean((-2, -1))[:, None] * 4,
                probability.amax((-2, -1))[:, None],
                prior.mean((-2, -1))[:, None] * 4,
                prior.amax((-2, -1))[:, None],
            ],
            dim=1,
        )
        return logits, self.presence(summary)[:, 0]

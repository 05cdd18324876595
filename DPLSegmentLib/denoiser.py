"""D_theta: the reverse process's estimate of the clean prototype, a FiLM-conditioned MLP."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conditioning import GEOMETRY, STATISTICS


class FilmBlock(nn.Module):
    """A residual two-layer block whose hidden units are scaled and shifted by the condition."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width)
        self.film = nn.Linear(condition, 2 * width)
        self.second = nn.Linear(width, width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(condition).chunk(2, dim=-1)
        return x + self.second(F.silu(self.first(self.norm(x)) * (1.0 + scale) + shift))


def step_embedding(step: Tensor, width: int) -> Tensor:
    """Sinusoidal embedding of diffusion time in [0, 1]: (...,) -> (..., width)."""
    frequencies = torch.exp(torch.linspace(0.0, math.log(100.0), width // 2, device=step.device))
    angles = step[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Denoiser(nn.Module):
    """Predicts x0 from x_tau, tau and the condition, as a zero-initialised residual on the prototype itself.

    Untrained it returns the prototype unchanged, so enhancement starts as the identity.

    Attributes:
        kept: share of the forward noise that stays in the variants where there is evidence (``enhancement.py``); 0
            untrained.
    """

    def __init__(self, channels: int = 64, width: int = 192, blocks: int = 3, condition: int = 96) -> None:
        super().__init__()
        self.time_width = 32
        self.inputs = nn.Linear(2 * channels, width)
        self.seen = nn.Linear(channels, width, bias=False)
        self.seen_gain = nn.Parameter(torch.tensor(0.0))
        self.kept = nn.Parameter(torch.tensor(0.0))
        self.condition = nn.Sequential(
            nn.Linear(channels + STATISTICS + GEOMETRY + self.time_width, condition),
            nn.SiLU(),
            nn.Linear(condition, condition),
            nn.SiLU(),
        )
        self.blocks = nn.ModuleList(FilmBlock(width, condition) for _ in range(blocks))
        self.outputs = nn.Linear(width, channels)
        nn.init.zeros_(self.seen.weight)
        nn.init.zeros_(self.outputs.weight)
        nn.init.zeros_(self.outputs.bias)

    def forward(
        self,
        noisy: Tensor,
        clean: Tensor,
        time: float,
        statistics: Tensor,
        geometry: Tensor,
        seen: Tensor | None = None,
    ) -> Tensor:
        """The residual to add to the scaled prototype.

        Args:
            noisy: (P, K, C) x_tau.
            clean: (P, 1, C) x0 = √C·z0, of which a projection conditions the step.
            time: tau / T in [0, 1].
            statistics: (P, STATISTICS).
            geometry: (GEOMETRY,).
            seen: (P, 1, C), from the prototype to what a first look at the query found in its place, √C·(e - z0); None
                where there has been no look.

        Returns:
            (P, K, C).
        """
        count, variants, _ = noisy.shape
        moment = step_embedding(torch.tensor(time, device=noisy.device, dtype=noisy.dtype), self.time_width)
        described = torch.cat(
            [
                clean[:, 0],
                statistics,
                geometry.expand(count, -1),
                moment.expand(count, -1),
            ],
            dim=-1,
        )
        condition = self.condition(described)[:, None]
        x = self.inputs(torch.cat([noisy, clean.expand(-1, variants, -1)], dim=-1))
        if seen is not None:
            x = x + self.seen(seen)
        for block in self.blocks:
            x = block(x, condition)
        residual = self.outputs(F.silu(x))
        # A straight path, since a narrow network finds it hard to copy.
        return residual if seen is None else residual + self.seen_gain * seen

"""The cosine noise schedule of the forward process (Nichol & Dhariwal 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_OFFSET = 0.008


class CosineSchedule(nn.Module):
    """Cumulative signal fractions ``alpha_bar(tau)``, tau = 0 … T, from 1 down to almost 0.

    For a prototype scaled to norm √C and unit noise, ``E cos(x_tau, z0) ≈ sqrt(alpha_bar(tau))``: the step *is* the
    exploration angle.
    """

    alpha_bar: Tensor

    def __init__(self, steps: int = 100) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError("a schedule needs at least one step")
        self.steps = steps
        time = torch.arange(steps + 1, dtype=torch.float64) / steps
        curve = torch.cos((time + _OFFSET) / (1 + _OFFSET) * math.pi / 2).square()
        alpha_bar = (curve / curve[0]).clamp(min=1e-5)
        self.register_buffer("alpha_bar", alpha_bar.float(), persistent=False)

    def forward_noise(self, x0: Tensor, step: int, noise: Tensor) -> Tensor:
        """``x_tau = sqrt(alpha_bar)·x0 + sqrt(1 - alpha_bar)·noise``; shapes broadcast, last axis C."""
        alpha_bar = self.alpha_bar[step]
        return alpha_bar.sqrt() * x0 + (1.0 - alpha_bar).sqrt() * noise

    def ladder(self, start: int, count: int) -> list[int]:
        """``count`` strictly falling steps from ``start`` to the last one before 0 (fewer if ``start < count``)."""
        count = min(count, start)
        return [start - (start * index) // count for index in range(count)]

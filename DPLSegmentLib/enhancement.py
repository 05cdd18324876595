"""Diffusion-based prototype enhancement: the one ``enhance()`` that training and inference both run.

After "Diffusion Prototype Learning" (arXiv 2510.12159): a prototype is a distribution; forward noising and a learned
reverse process give K variants; conservative fusion blends them with the original.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .denoiser import Denoiser
from .fusion import conservative_fusion
from .schedule import CosineSchedule
from .sphere import clip_to_cone, unit


@dataclass(frozen=True)
class EnhancementConfig:
    """Settings of the enhancement; the defaults are those the bundled weights were trained with."""

    variants: int = 8  # K, even for antithetic noise
    start: int = 30  # tau, out of T
    steps: int = 4  # S, DDIM steps
    alpha: float = 0.7  # weight of the original prototype in the fusion
    beta: float = 5.0  # preference for variants near the original
    cap_degrees: float = 30.0  # phi, how far a variant may move
    clip: bool = True

    def __post_init__(self) -> None:
        if not 0.5 <= self.alpha <= 1.0:
            raise ValueError(f"alpha must lie in [0.5, 1], not {self.alpha}")
        if self.variants < 0 or self.steps < 1 or self.start < 1:
            raise ValueError("variants must be at least 0, steps and start at least 1")
        if not 0.0 < self.cap_degrees < 90.0:
            raise ValueError(f"the cap must lie between 0 and 90 degrees, not {self.cap_degrees}")

    @property
    def cap(self) -> float:
        """The cap in radians (a right angle, less a hair, without clipping)."""
        return math.radians(self.cap_degrees) if self.clip else math.pi / 2 - 1e-3


@dataclass
class EnhancedPrototypes:
    """What ``enhance`` returns: unit vectors.

    Attributes:
        original: (P, C) z0.
        fused: (P, C).
        variants: (P, K, C), each within the cap around its z0.
        free_cosine: (P, K) cosine to z0 before clipping (for the fidelity loss).
    """

    original: Tensor
    fused: Tensor
    variants: Tensor
    free_cosine: Tensor

    def moves(self) -> Tensor:
        """By how much the fused prototypes and each of the variants have moved, (P, 1 + K, C)."""
        return torch.cat([self.fused[:, None], self.variants], dim=1) - self.original[:, None]


def antithetic_noise(prototypes: int, variants: int, channels: int, generator: torch.Generator) -> Tensor:
    """Standard normal noise (P, K, C) on the CPU whose second half is the negative of the first.

    For odd K the last variant is its own, noise-free, mirror image, so that the mean is zero for every K.
    """
    device = generator.device
    half = torch.randn(prototypes, variants // 2, channels, generator=generator, device=device)
    middle = torch.zeros(prototypes, variants % 2, channels, device=device)
    return torch.cat([half, middle, -half], dim=1)


def enhance(
    prototypes: Tensor,
    statistics: Tensor,
    geometry: Tensor,
    noise: Tensor,
    denoiser: Denoiser,
    schedule: CosineSchedule,
    config: EnhancementConfig,
    seen: Tensor | None = None,
) -> EnhancedPrototypes:
    """Enhance foreground prototypes by diffusion.

    Args:
        prototypes: (P, C), not normalised.
        statistics: (P, STATISTICS), see ``conditioning``.
        geometry: (GEOMETRY,).
        noise: (P, K, C) standard normal, from an explicit generator; K = 0 switches enhancement off.
        denoiser: D_theta.
        schedule: the forward process.
        config: settings; ``config.variants`` is not read here, K is the noise's.
        seen: (P, C) unit vectors, what a first look at the query found in each prototype's place (``evidence.py``);
            None before there has been one.
    """
    channels = prototypes.shape[-1]
    z0 = unit(prototypes)
    if noise.shape[1] == 0:
        empty = noise.new_zeros(noise.shape)
        return EnhancedPrototypes(z0, z0, empty, empty[..., 0])
    scale = math.sqrt(channels)
    clean = scale * z0[:, None]
    noisy = x = schedule.forward_noise(clean, config.start, noise)
    residual = torch.zeros_like(x)
    offset = None if seen is None else scale * seen[:, None] - clean
    ladder = schedule.ladder(config.start, config.steps)
    for step, following in zip(ladder, [*ladder[1:], 0], strict=True):
        residual = denoiser(x, clean, step / schedule.steps, statistics, geometry, offset)
        if following == 0:
            break
        estimate = clean + residual
        here, there = schedule.alpha_bar[step], schedule.alpha_bar[following]
        direction = (x - here.sqrt() * estimate) / (1.0 - here).sqrt()
        x = there.sqrt() * estimate + (1.0 - there).sqrt() * direction
    if seen is not None:
        # Trained for the least expected error, the reverse process takes nearly all noise out and leaves K times almost
        # the same prototype; but hypotheses that a query place may match should differ.
        residual = residual + denoiser.kept * (noisy - clean)
    along = (residual * z0[:, None]).sum(-1, keepdim=True)
    across = residual - along * z0[:, None]
    variants, angle = clip_to_cone(across, scale + along, z0[:, None], config.cap)
    fused = conservative_fusion(z0, variants, config.alpha, config.beta)
    return EnhancedPrototypes(z0, fused, variants, angle.squeeze(-1).cos())

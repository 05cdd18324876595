"""Small real objects for the tests of the network: unit vectors, a denoiser that moves prototypes, a scan."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from DPLSegmentLib.conditioning import GEOMETRY, STATISTICS
from DPLSegmentLib.denoiser import Denoiser
from DPLSegmentLib.enhancement import EnhancedPrototypes, EnhancementConfig, antithetic_noise, enhance
from DPLSegmentLib.model import DPLModel
from DPLSegmentLib.preprocessing import neighbour_mix
from DPLSegmentLib.schedule import CosineSchedule
from DPLSegmentLib.similarity import SimilarityMaps
from DPLSegmentLib.sphere import unit
from DPLSegmentLib.step import EncodedScan


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def unit_vectors(*shape: int, seed: int = 0) -> Tensor:
    """Uniform on the sphere, float64."""
    return unit(torch.randn(*shape, generator=seeded(seed), dtype=torch.float64))


def in_cap(axis: Tensor, angle: Tensor, seed: int = 0) -> Tensor:
    """Unit vectors exactly ``angle`` (..., 1) radians from ``axis`` (..., C), in random directions."""
    random = torch.randn(torch.broadcast_shapes(axis.shape, angle.shape), generator=seeded(seed), dtype=axis.dtype)
    across = unit(random - (random * axis).sum(-1, keepdim=True) * axis)
    return angle.cos() * axis + angle.sin() * across


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """In radians; accurate near zero, where the arc cosine is not."""
    return 2.0 * torch.atan2((unit(a) - unit(b)).norm(dim=-1), (unit(a) + unit(b)).norm(dim=-1))


def moving_denoiser(channels: int, seed: int = 0, gain: float = 1.0) -> Denoiser:
    """A denoiser with random output weights: its residuals are as long as the prototypes themselves."""
    torch.manual_seed(seed)
    denoiser = Denoiser(channels).eval()
    torch.nn.init.normal_(denoiser.outputs.weight, std=gain)
    return denoiser


def enhanced(
    denoiser: Denoiser,
    prototypes: Tensor,
    config: EnhancementConfig | None = None,
    *,
    noise: Tensor | None = None,
    seed: int = 0,
    seen: Tensor | None = None,
) -> EnhancedPrototypes:
    """Run ``enhance`` with random conditions of the prototypes' seed."""
    config = config or EnhancementConfig()
    count, channels = prototypes.shape
    if noise is None:
        noise = antithetic_noise(count, config.variants, channels, seeded(seed))
    statistics = torch.randn(count, STATISTICS, generator=seeded(1))
    geometry = torch.randn(GEOMETRY, generator=seeded(2))
    with torch.no_grad():
        return enhance(prototypes, statistics, geometry, noise, denoiser, CosineSchedule(), config, seen)


def disc(size: int, centre: tuple[float, float], radius: float) -> Tensor:
    """(size, size) mask in {0, 1}."""
    steps = torch.arange(size, dtype=torch.float32)
    return ((steps[:, None] - centre[0]) ** 2 + (steps[None] - centre[1]) ** 2 <= radius**2).float()


def untrained_model(*, stays: bool = True) -> DPLModel:
    """Random weights, with the presence output set to "still there" or "gone"."""
    torch.manual_seed(0)
    model = DPLModel().eval()
    last = model.decoder.presence[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, 5.0 if stays else -5.0)
    return model


def encoded_scan(model: DPLModel, images: Tensor, slice_mm: float = 3.0) -> EncodedScan:
    with torch.inference_mode():
        return EncodedScan(images, model.encoder(neighbour_mix(images, slice_mm, 1.5)), 1.5, slice_mm)


def no_similarity(scan: EncodedScan) -> SimilarityMaps:
    nothing = torch.zeros(len(scan.images), *scan.features.shape[-2:])
    return SimilarityMaps(*(nothing for _ in fields(SimilarityMaps)))


def dice(a: Tensor, b: Tensor) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))

"""Random image contrasts: turns one CT into many modality-like pictures of the same shapes.

All functions take and return float32 tensors (slices, rows, columns) scaled to 0..1 and draw from an explicit
CPU ``torch.Generator``. Slices given together get the same contrast; noise differs per voxel.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

HU_WINDOWS = (
    (-1000.0, 1500.0),
    (-160.0, 240.0),
    (-500.0, 800.0),
    (-100.0, 300.0),
    (-30.0, 180.0),
    (-1000.0, 200.0),
)


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """One number between ``low`` and ``high``."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def random_window(hu: Tensor, generator: torch.Generator) -> Tensor:
    """Scale Hounsfield units to 0..1 with a random, slightly jittered window of ``HU_WINDOWS``."""
    low, high = HU_WINDOWS[int(torch.randint(len(HU_WINDOWS), (), generator=generator))]
    width = high - low
    low += uniform(generator, -0.1, 0.1) * width
    width *= uniform(generator, 0.85, 1.2)
    return ((hu.float() - low) / width).clamp(0, 1)


def random_lookup(image: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Random piecewise-linear, in general non-monotone intensity curve.

    ``strength`` 0 leaves the image, 1 forgets the original order of intensities.
    """
    knots = int(torch.randint(4, 10, (), generator=generator))
    places = torch.linspace(0, 1, knots)
    values = torch.rand(knots, generator=generator) * strength + places * (1 - strength)
    position = image.clamp(0, 1) * (knots - 1)
    index = position.floor().clamp(max=knots - 2).long()
    values = values.to(image.device)
    return torch.lerp(values[index], values[index + 1], position - index)


def region_shift(image: Tensor, groups: Tensor, generator: torch.Generator, strength: float = 0.3) -> Tensor:
    """Give each group of voxels its own intensity offset and texture gain.

    ``groups``: integer ids (slices, rows, columns), for example ``TrainingScan.group_labels``; id 0 is
    unchanged.
    """
    count = int(groups.max()) + 1
    offset = (torch.rand(count, generator=generator) * 2 - 1) * strength
    gain = 1 + (torch.rand(count, generator=generator) * 2 - 1) * 0.5 * strength
    mean = torch.zeros(count).index_add_(0, groups.flatten().long().cpu(), image.flatten().cpu())
    mean = mean / torch.bincount(groups.flatten().long().cpu(), minlength=count).clamp(min=1)
    offset[0], gain[0] = 0, 1
    base = (mean * (1 - gain) + offset).to(image.device)
    groups = groups.long()
    return (image * gain.to(image.device)[groups] + base[groups]).clamp(0, 1)


def bias_field(image: Tensor, generator: torch.Generator, strength: float = 0.4) -> Tensor:
    """Multiply with a smooth random field exp(b), |b| up to about ``strength``."""
    grid = torch.randn((1, 1, 2, 4, 4), generator=generator) * strength / 2
    field = F.interpolate(grid, size=tuple(image.shape), mode="trilinear", align_corners=True)[0, 0]
    return image * field.to(image.device).exp()


def gamma(image: Tensor, generator: torch.Generator, strength: float = 0.6) -> Tensor:
    """Power law with exponent exp(+-strength)."""
    return image.clamp(0, 1) ** math.exp(uniform(generator, -strength, strength))


def blur(image: Tensor, sigma: float) -> Tensor:
    """In-plane Gaussian blur, ``sigma`` in pixels."""
    radius = max(int(3 * sigma + 0.5), 1)
    x = torch.arange(-radius, radius + 1, dtype=torch.float32, device=image.device)
    kernel = torch.exp(-0.5 * (x / max(sigma, 1e-3)) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None], (radius, radius, radius, radius), mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, -1, 1))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1))[:, 0]


def gaussian_noise(image: Tensor, generator: torch.Generator, sigma: float) -> Tensor:
    """Additive noise of standard deviation ``sigma``."""
    return image + sigma * torch.randn(tuple(image.shape), generator=generator).to(image.device)


def rician_noise(image: Tensor, generator: torch.Generator, sigma: float) -> Tensor:
    """Magnitude of the image with complex Gaussian noise, as in MR: never negative, a floor in air."""
    real = gaussian_noise(image, generator, sigma)
    imaginary = sigma * torch.randn(tuple(image.shape), generator=generator).to(image.device)
    return torch.sqrt(real**2 + imaginary**2)


def low_resolution(image: Tensor, factor: float) -> Tensor:
    """Detail lost as if acquired with ``factor`` times larger in-plane pixels; same shape."""
    size = [max(round(n / factor), 2) for n in image.shape[1:]]
    small = F.interpolate(image[:, None], size=size, mode="bilinear", align_corners=False, antialias=True)
    return F.interpolate(small, size=tuple(image.shape[1:]), mode="bicubic", align_corners=False)[:, 0]


def robust_scale(image: Tensor) -> Tensor:
    """Scale the 0.5 and 99.5 percentiles of the non-air voxels to 0..1 and clip."""
    values = image[image > image.min() + 0.02 * (image.max() - image.min())]
    if values.numel() < 16:
        return image.clamp(0, 1)
    values = values[:: max(values.numel() // 100_000, 1)]
    low, high = torch.quantile(values, torch.tensor([0.005, 0.995], device=values.device))
    return ((image - low) / (high - low).clamp(min=1e-3)).clamp(0, 1)


def augment_contrast(
    image: Tensor, generator: torch.Generator, groups: Tensor | None = None, strength: float = 1.0
) -> Tensor:
    """A random contrast for the slices of one scan.

    ``image``: 0..1, for CT the output of ``random_window``. ``groups``: region ids of the same shape, 0
    outside of the body, or None. ``strength`` 0..1 scales how far the contrast may move away from the given
    one.
    """

    def chance(probability: float) -> bool:
        return uniform(generator, 0, 1) < probability * strength

    result = image.float()
    if chance(0.6):
        result = random_lookup(result, generator, uniform(generator, 0.2, 1.0) * strength)
    if groups is not None and chance(0.7):
        result = region_shift(result, groups, generator, uniform(generator, 0.05, 0.5) * strength)
    if groups is not None and chance(0.8):
        # A non-monotone curve may have made the air bright; no modality shows it so.
        result = torch.where(groups > 0, result, result.new_tensor(uniform(generator, 0.0, 0.03)))
    if chance(0.5):
        result = gamma(result, generator)
    if chance(0.5):
        result = bias_field(result, generator, uniform(generator, 0.1, 0.5))
    if chance(0.3):
        result = low_resolution(result, uniform(generator, 1.2, 2.5))
    if chance(0.3):
        result = blur(result, uniform(generator, 0.4, 1.2))
    if chance(0.6):
        noise = rician_noise if uniform(generator, 0, 1) < 0.5 else gaussian_noise
        result = noise(result, generator, uniform(generator, 0.005, 0.06))
    return robust_scale(result)

"""Scans and organs on the coarse grid on which one patient is looked up in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .cross_matching import STRIDE, body_coordinates
from .encoder import FEATURE_STRIDE
from .propagation import LabelResult
from .step import EncodedScan


def coarse(values: Tensor) -> Tensor:
    """(N, H, W) on the network grid -> the grid of the look-up."""
    return F.avg_pool2d(values[:, None], FEATURE_STRIDE * STRIDE)[:, 0]


def places(images: Tensor) -> Tensor:
    """Body coordinates (N, 2, h, w) of slices (N, H, W) on the grid of the look-up."""
    return torch.stack([coarse(body_coordinates(image)) for image in images])


@dataclass
class CoarseScan:
    """A scan on the grid of the look-up: features (N, C, h, w) and body coordinates (N, 2, h, w)."""

    features: Tensor
    places: Tensor
    slice_mm: float

    @classmethod
    def of(cls, scan: EncodedScan) -> CoarseScan:
        return cls(F.avg_pool2d(scan.features.float(), STRIDE), places(scan.images), scan.slice_mm)


@dataclass
class CoarseOrgans:
    """The labels of a support on the grid of the look-up, (L, N, h, w), in the order of ``labels``."""

    labels: list[int]
    masks: Tensor

    @classmethod
    def of(cls, masks: Mapping[int, LabelResult], scan: EncodedScan) -> CoarseOrgans:
        empty = torch.zeros(scan.images.shape[-2:], device=scan.images.device)
        stacks = []
        for result in masks.values():
            slices = [result.probability.get(n, empty).float() for n in range(len(scan.images))]
            stacks.append(coarse(torch.stack(slices)))
        return cls(list(masks), torch.stack(stacks))

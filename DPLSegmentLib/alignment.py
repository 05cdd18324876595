"""Aligning two scans along the slice axis: which slice of the support shows the anatomy of a query slice?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .cross_matching import body_coordinates
from .encoder import FEATURE_STRIDE
from .resampling import normalised
from .step import EncodedScan

CELLS = 8
MIN_SLICES_FOR_MEAN = 6
SCALES = np.exp(np.linspace(np.log(0.8), np.log(1.25), 9))
MIN_OVERLAP = 0.6  # of the shorter scan
_OUTSIDE = -0.05
SCALE_COST = 0.1


@dataclass(frozen=True)
class SliceAlignment:
    """``support position = scale·query position + shift``, positions in mm from each scan's first slice."""

    scale: float
    shift: float
    score: float

    def support_index(self, query_index: float, query: EncodedScan, support: EncodedScan) -> float:
        """Fractional support slice that corresponds to a query slice; may lie outside of the scan."""
        return (self.scale * query_index * query.slice_mm + self.shift) / support.slice_mm


def slice_contents(scan: EncodedScan) -> Tensor:
    """What each slice shows where in the body: features (N, CELLS², C) on a grid over the body's box."""
    steps = (torch.arange(CELLS, device=scan.images.device, dtype=torch.float32) + 0.5) / CELLS * 1.8 - 0.9
    places = []
    for image in scan.images:
        rows, columns = body_axes(image)
        places.append(torch.stack(torch.meshgrid(_place(rows, steps), _place(columns, steps), indexing="ij"), dim=-1))
    grid = torch.stack(places)  # (N, CELLS, CELLS, 2): row, column in pixels
    offset = (FEATURE_STRIDE - 1) / 2
    height, width = scan.features.shape[-2:]
    y = normalised((grid[..., 0] - offset) / FEATURE_STRIDE, height)
    x = normalised((grid[..., 1] - offset) / FEATURE_STRIDE, width)
    read = torch.nn.functional.grid_sample(
        scan.features.float(), torch.stack([x, y], dim=-1), padding_mode="border", align_corners=False
    )
    return read.flatten(2).transpose(1, 2)


def slice_descriptors(query: EncodedScan, support: EncodedScan) -> tuple[Tensor, Tensor]:
    """Contents of both scans' slices less what all slices share, unit length per cell.

    Each scan is compared with its own mean, which takes out its contrast; one that has too few slices for a mean of
    its own, with the support's.
    """
    contents = [slice_contents(query), slice_contents(support)]
    shared = contents[1].mean(dim=0, keepdim=True)
    means = [own.mean(dim=0, keepdim=True) if len(own) >= MIN_SLICES_FOR_MEAN else shared for own in contents]
    first, second = (
        torch.nn.functional.normalize(own - mean, dim=-1) for own, mean in zip(contents, means, strict=True)
    )
    return first, second


def body_axes(image: Tensor) -> tuple[tuple[float, float], tuple[float, float]]:
    """(centre, half size) in pixels of the body's box along rows and columns."""
    place = body_coordinates(image)
    rows, columns = place[0, :, 0], place[1, 0]
    result = []
    for axis in (rows, columns):
        half = 1.0 / float(axis[1] - axis[0])
        result.append((-float(axis[0]) * half, half))
    return result[0], result[1]


def _place(axis: tuple[float, float], steps: Tensor) -> Tensor:
    return axis[0] + steps * axis[1]


def align_slices(query: EncodedScan, support: EncodedScan) -> SliceAlignment:
    """The shift and scale along the slice axis under which the slices' descriptors agree best.

    Both scans' slices must run in the same canonical direction.
    """
    similarity = torch.einsum("qpc,spc->qs", *slice_descriptors(query, support))
    similarity = (similarity / CELLS**2).cpu().numpy()
    query_mm = np.arange(similarity.shape[0]) * query.slice_mm
    length_query, length_support = len(query_mm) * query.slice_mm, similarity.shape[1] * support.slice_mm
    best = SliceAlignment(1.0, 0.0, -np.inf)
    for scale in SCALES:
        for shift in np.arange(-scale * length_query, length_support, min(query.slice_mm, support.slice_mm) / 2):
            place = (scale * query_mm + shift) / support.slice_mm
            inside = (place >= -0.5) & (place <= similarity.shape[1] - 0.5)
            if inside.sum() * query.slice_mm < MIN_OVERLAP * min(length_query, length_support):
                continue
            place = np.clip(place[inside], 0, similarity.shape[1] - 1)
            low = np.floor(place).astype(int)
            high = np.minimum(low + 1, similarity.shape[1] - 1)
            rows = np.flatnonzero(inside)
            values = similarity[rows, low] * (1 - (place - low)) + similarity[rows, high] * (place - low)
            score = (values.sum() + _OUTSIDE * (~inside).sum()) / len(query_mm) - SCALE_COST * abs(np.log(scale))
            if score > best.score:
                best = SliceAlignment(float(scale), float(shift), float(score))
    return best

"""From a volume's array to network slices: intensities in [0, 1], in-plane pixels of the network's size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

NETWORK_SIDE = 256  # network pixels along the longer in-plane side
MAX_ENLARGEMENT = 2.2
MULTIPLE = 16  # the backbone's largest stride
_BINS = 512
_SLOPE_LIMIT = 6.0
_SAMPLES = 4_000_000


@dataclass(frozen=True)
class IntensityMap:
    """A monotone map from a volume's intensities to [0, 1]."""

    edges: np.ndarray
    values: np.ndarray

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Any real array -> float32 of the same shape."""
        return np.interp(array, self.edges, self.values).astype(np.float32)


def intensity_map(array: np.ndarray) -> IntensityMap:
    """Contrast-limited histogram equalisation of one volume.

    Half of the output range is linear between the 0.1 and 99.9 percentiles, half follows the cumulative histogram with
    limited slope. A CT then shows soft tissue as widely as a window would, an MR image keeps its looks, and nobody has
    to say which of the two it is or where the body begins.
    """
    step = max(1, array.size // _SAMPLES)
    sample = np.asarray(array.ravel()[::step], dtype=np.float64)
    low, high = np.percentile(sample, [0.1, 99.9])
    if not high > low:
        low, high = float(array.min()), float(array.max())
    counts, edges = np.histogram(np.clip(sample, low, high), bins=_BINS, range=(low, high))
    density = counts / counts.sum()
    limit = _SLOPE_LIMIT / _BINS
    for _ in range(8):  # what a clipped bin loses, the others share
        excess = np.clip(density - limit, 0, None).sum()
        if excess < 1e-6:
            break
        density = np.minimum(density, limit)
        density = density + excess / _BINS
    equalised = np.concatenate([[0.0], np.cumsum(density)])
    linear = np.linspace(0.0, 1.0, _BINS + 1)
    return IntensityMap(edges, 0.75 * equalised / equalised[-1] + 0.25 * linear)


@dataclass(frozen=True)
class NetworkGrid:
    """How (row, column) slices are brought to the network's pixels and back.

    The slice's *extent* is mapped, edge to edge, so nothing shifts by half a pixel; ``padded`` repeats
    the last row and column, so that the border of the scan makes no edge.
    """

    shape: tuple[int, int]
    resized: tuple[int, int]
    padded: tuple[int, int]
    pixel_mm: float

    def to_network(self, slices: Tensor) -> Tensor:
        """(B, rows, columns) -> (B, *padded)."""
        resized = F.interpolate(
            slices[:, None], size=self.resized, mode="bilinear", align_corners=False, antialias=True
        )[:, 0]
        bottom, right = self.padded[0] - self.resized[0], self.padded[1] - self.resized[1]
        return F.pad(resized[:, None], (0, right, 0, bottom), mode="replicate")[:, 0]

    def to_slices(self, maps: Tensor) -> Tensor:
        """(B, *padded) -> (B, rows, columns)."""
        inside = maps[:, None, : self.resized[0], : self.resized[1]]
        return F.interpolate(inside, size=self.shape, mode="bilinear", align_corners=False)[:, 0]


def network_grid(shape: tuple[int, int], spacing: tuple[float, float], pixel_mm: float | None = None) -> NetworkGrid:
    """The network grid of slices of ``shape`` (rows, columns) and ``spacing`` (mm).

    Without ``pixel_mm`` the longer side gets ``NETWORK_SIDE`` pixels, but pixels are never made smaller than
    1/``MAX_ENLARGEMENT`` of the scan's own. With it (another scan's pixel size) objects keep their size in pixels, as
    far as that leaves between a quarter of and twice ``NETWORK_SIDE`` pixels.
    """
    extent = (shape[0] * spacing[0], shape[1] * spacing[1])
    longest = max(extent)
    if pixel_mm is None:
        pixel_mm = max(longest / NETWORK_SIDE, min(spacing) / MAX_ENLARGEMENT)
    else:
        pixel_mm = float(np.clip(pixel_mm, longest / (2 * NETWORK_SIDE), longest / (NETWORK_SIDE / 4)))
    resized = tuple(max(1, round(length / pixel_mm)) for length in extent)
    padded = tuple(-(-size // MULTIPLE) * MULTIPLE for size in resized)
    return NetworkGrid(tuple(shape), resized, padded, pixel_mm)


def neighbour_mix(slices: Tensor, slice_mm: float, pixel_mm: float) -> Tensor:
    """The 2.5-D encoder input: each slice between what lies two pixels above and below it.

    The neighbours are read at a fixed distance in mm (linear between slices), so that thick and thin slices look alike
    to the encoder; the first and last slice repeat themselves.

    Args:
        slices: (N, H, W).

    Returns:
        (N, 3, H, W).
    """
    share = min(1.0, 2.0 * pixel_mm / slice_mm)
    before = torch.cat([slices[:1], slices[:-1]])
    after = torch.cat([slices[1:], slices[-1:]])
    return torch.stack([torch.lerp(slices, before, share), slices, torch.lerp(slices, after, share)], dim=1)

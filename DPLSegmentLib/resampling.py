"""Reading maps at other places: the only in-plane interpolation of the library, with pixel centres kept exactly.

Coordinates are pixel centres: pixel ``n`` of a map lies at coordinate ``n``; a map of stride ``s`` has its sample
``m`` at network pixel ``s·m + offset``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def normalised(coordinates: Tensor, size: int) -> Tensor:
    """Pixel coordinates to ``grid_sample``'s [-1, 1] with ``align_corners=False``."""
    return (2.0 * coordinates + 1.0) / size - 1.0


def read_grid(maps: Tensor, rows: Tensor, columns: Tensor, *, padding: str = "border") -> Tensor:
    """Bilinear read-out on the product grid of ``rows`` and ``columns``.

    Args:
        maps: (B, C, H, W).
        rows: (R,) row coordinates in the map's own pixels.
        columns: (Q,) column coordinates.
        padding: ``border`` (repeat the edge) or ``zeros``.

    Returns:
        (B, C, R, Q).
    """
    y = normalised(rows, maps.shape[-2]).to(maps)
    x = normalised(columns, maps.shape[-1]).to(maps)
    grid = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1)
    grid = grid.expand(maps.shape[0], *grid.shape)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def sample_level(level: Tensor, stride: int, output_stride: int, size: tuple[int, int]) -> Tensor:
    """Read a backbone level at the sample centres of a finer map.

    Args:
        level: (B, C, h, w) whose sample ``n`` lies at pixel ``stride·n + stride - 1`` (SAME padding, see encoder).
        stride: the level's stride in pixels.
        output_stride: stride of the wanted map, whose sample ``m`` lies at pixel ``stride·m + (stride - 1)/2``.
        size: (rows, columns) wanted.
    """

    def places(count: int) -> Tensor:
        pixels = torch.arange(count, device=level.device, dtype=torch.float32) * output_stride
        return (pixels + (output_stride - 1) / 2 - (stride - 1)) / stride

    return read_grid(level, places(size[0]), places(size[1]))

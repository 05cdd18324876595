"""Comparing voxel grids: is this the same grid, a part of it, or another one, and how does it differ."""

from __future__ import annotations

import numpy as np

from .errors import InputError
from .geometry import Volume

# Files round spacing and direction; a twentieth of a voxel at the far corner is no difference.
_TOLERANCE = 0.05


def lattice_offset(part: Volume, whole: Volume) -> tuple[int, int, int] | None:
    """Whole-voxel offset (i, j, k) of ``part`` in ``whole`` when both lie on one lattice, else None."""
    part_to_whole = np.linalg.inv(whole.ijk_to_world) @ part.ijk_to_world
    offset = np.round(part_to_whole[:3, 3])
    corners = np.array(np.meshgrid(*[(0, count - 1) for count in part.shape_ijk])).reshape(3, -1)
    placed = part_to_whole[:3, :3] @ corners + part_to_whole[:3, 3:]
    if np.abs(placed - corners - offset[:, None]).max() > _TOLERANCE:
        return None
    # A grid that is one voxel thick shows nothing of its third axis in its corners.
    if np.abs(part_to_whole[:3, :3] - np.eye(3)).max() > _TOLERANCE:
        return None
    i, j, k = offset.astype(int)
    return int(i), int(j), int(k)


def require_same_grid(other: Volume, reference: Volume, what: str) -> None:
    """Raise InputError naming what differs unless both volumes have the same voxels in the same places."""
    if other.shape_ijk != reference.shape_ijk or lattice_offset(other, reference) != (0, 0, 0):
        raise InputError(
            f"The {what} '{other.name}' is on another grid than the scan '{reference.name}': "
            f"{_difference(other, reference)}; save it on the grid of that scan."
        )


def place(mask: np.ndarray, part: Volume, whole: Volume) -> np.ndarray:
    """A mask (k, j, i) on the grid ``part`` put where it belongs in the grid ``whole``.

    Raises InputError when the grids do not share a lattice or marked voxels lie outside ``whole``.
    """
    offset = lattice_offset(part, whole)
    if offset is None:
        require_same_grid(part, whole, "annotation")
    if offset == (0, 0, 0) and part.shape_ijk == whole.shape_ijk:
        return mask
    placed = np.zeros(whole.array.shape, dtype=bool)
    source, target = [], []
    for start, count, room in zip(reversed(offset), mask.shape, placed.shape, strict=True):
        first, last = max(start, 0), max(min(start + count, room), max(start, 0))
        target.append(slice(first, last))
        source.append(slice(first - start, last - start))
    placed[tuple(target)] = mask[tuple(source)]
    if np.count_nonzero(placed) != np.count_nonzero(mask):
        raise InputError(
            f"The annotation '{part.name}' marks voxels outside the scan '{whole.name}'; annotate that scan."
        )
    return placed


def _difference(other: Volume, reference: Volume) -> str:
    if other.shape_ijk != reference.shape_ijk:
        return f"its size is {_numbers(other.shape_ijk)} instead of {_numbers(reference.shape_ijk)} voxels"
    if not np.allclose(other.spacing, reference.spacing, rtol=1e-4):
        return f"its spacing is {_numbers(other.spacing)} instead of {_numbers(reference.spacing)} mm"
    ours, theirs = (volume.ijk_to_world[:3, :3] / volume.spacing for volume in (reference, other))
    if not np.allclose(ours, theirs, atol=1e-4):
        return "its axes point in other directions"
    origins = (volume.ijk_to_world[:3, 3] for volume in (other, reference))
    return "its origin is {} instead of {} mm (RAS)".format(*(_numbers(origin) for origin in origins))


def _numbers(values: np.ndarray | tuple[int, ...]) -> str:
    return " x ".join(f"{value:.6g}" for value in values)

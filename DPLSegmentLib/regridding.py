"""Bringing masks that were drawn on another grid onto a scan's own, without losing or doubling a drawn slice.

Plain nearest neighbour is not enough for annotations. A painted slice of a finer grid may fall between two slices of
the scan and vanish; one of a coarser grid would appear on several. Here each drawn slice goes to the one slice of the
scan that it lies nearest to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from .errors import InputError

# Matrices pass through files in single precision: this many voxels, over the whole grid, are no difference.
_SAME_PLACE = 0.01
# A drawn slice may be this far from parallel to the scan's slices: its ends this many slices apart.
_FLAT = 1.0
_ROUNDING_DIGITS = 3


@dataclass(frozen=True, eq=False)
class PlacedMask:
    """A mask on part of a grid: ``array`` bool (k, j, i), its first voxel at ``start`` (k, j, i) of the grid."""

    array: np.ndarray
    start: tuple[int, int, int]

    @classmethod
    def crop(cls, mask: np.ndarray, start: Sequence[int] = (0, 0, 0)) -> PlacedMask:
        """The bounding box of what is set in ``mask``, copied; an empty mask gives an empty box."""
        mask, first = np.asarray(mask), [int(offset) for offset in start]
        for axis in range(3):  # each step looks at no more than the one before has left
            used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
            if not used.size:
                return cls(np.zeros((0, 0, 0), bool), (0, 0, 0))
            part = slice(int(used[0]), int(used[-1]) + 1)
            mask = mask[(*(slice(None),) * axis, part)]
            first[axis] += part.start
        return cls(mask != 0, (first[0], first[1], first[2]))

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where the mask lies in the whole grid."""
        k, j, i = (slice(first, first + count) for first, count in zip(self.start, self.array.shape, strict=True))
        return k, j, i

    def full(self, shape: Sequence[int]) -> np.ndarray:
        """The mask on the whole grid of this (k, j, i) shape, bool."""
        whole = np.zeros(tuple(shape), bool)
        whole[self.box] = self.array
        return whole


@dataclass(frozen=True, eq=False)
class Layer:
    """Masks that do not overlap, as one label map: ``array`` uint8 (k, j, i) whose first voxel is at ``start`` of the
    whole grid; ``values``: label -> its value there."""

    array: np.ndarray
    start: tuple[int, int, int]
    values: dict[int, int]


def stack_masks(masks: Mapping[int, PlacedMask]) -> list[Layer]:
    """As few layers as it takes when each mask goes to the first layer that has room for it."""
    parts = [mask for mask in masks.values() if mask.array.size]
    low = [min((part.start[n] for part in parts), default=0) for n in range(3)]
    high = [max((part.start[n] + part.array.shape[n] for part in parts), default=0) for n in range(3)]
    layers: list[Layer] = []
    for label, mask in masks.items():
        box = tuple(slice(a - b, a - b + c) for a, b, c in zip(mask.start, low, mask.array.shape, strict=True))
        for layer in layers:
            if len(layer.values) < 255 and not (mask.array.size and layer.array[box][mask.array].any()):
                break
        else:
            shape = [b - a for a, b in zip(low, high, strict=True)]
            layer = Layer(np.zeros(shape, np.uint8), (low[0], low[1], low[2]), {})
            layers.append(layer)
        layer.values[label] = len(layer.values) + 1
        if mask.array.size:
            layer.array[box][mask.array] = layer.values[label]
    return layers


@dataclass(frozen=True, eq=False)
class Drawing:
    """One structure drawn somewhere. ``to_grid`` (4, 4) maps (i, j, k, 1) of ``mask``'s own grid to (i, j, k, 1) of the
    scan's; ``name`` is used in messages."""

    mask: PlacedMask
    to_grid: np.ndarray
    name: str


def place_drawings(
    drawings: Mapping[int, Drawing], shape: Sequence[int], spacing: Sequence[float], scan_name: str
) -> dict[int, PlacedMask]:
    """Masks on a scan's own grid of what was drawn on any grids.

    On a grid that the scan shares, or one that is only cropped, flipped or stored in another order, every voxel is
    copied. Otherwise each drawn slice goes to the nearest slice of the scan (of several, the nearest one wins), and is
    sampled there by nearest neighbour. A drawing that is tilted to the scan's slices is sampled in 3-D if it is
    solid enough for that.

    Args:
        drawings: by label; none of them empty.
        shape: (k, j, i) of the scan. spacing: mm along its i, j, k.
        scan_name: used in messages.

    Raises:
        InputError: a drawing that lies outside the scan, or single slices drawn at an angle to the scan's.
    """
    placed = {label: _copied(drawing, shape) for label, drawing in drawings.items()}
    others = {label: drawing for label, drawing in drawings.items() if placed[label] is None}
    if others:
        axis = _slice_axis(others, spacing)
        for label, drawing in others.items():
            own_axis = _own_axes(drawing.to_grid, spacing)[axis]
            placed[label] = _resampled(drawing, axis, own_axis, shape, scan_name)
    for label, mask in placed.items():
        if not mask.array.size:
            raise InputError(
                f"The segment '{drawings[label].name}' lies outside the scan '{scan_name}'; "
                "check that both belong together and have the same transform."
            )
    return placed


def _copied(drawing: Drawing, shape: Sequence[int]) -> PlacedMask | None:
    """The drawing if its grid is the scan's, apart from order, direction and extent; None if it is not."""
    matrix = np.asarray(drawing.to_grid, np.float64)
    turn = np.round(matrix[:3, :3])
    if not (np.abs(turn).sum(axis=0) == 1).all() or not (np.abs(turn).sum(axis=1) == 1).all():
        return None
    exact = np.eye(4)
    exact[:3, :3] = turn
    corners = _corners(drawing.mask)
    offsets = (matrix @ corners - exact @ corners)[:3]
    exact[:3, 3] = np.round(offsets.mean(axis=1))
    if np.abs(matrix @ corners - exact @ corners).max() > _SAME_PLACE:
        return None
    array = drawing.mask.array
    sources = [int(np.flatnonzero(turn[axis])[0]) for axis in range(3)]  # IJK axis of the drawing, per axis of the scan
    array = np.transpose(array, [2 - sources[2 - n] for n in range(3)])
    array = np.flip(array, [n for n in range(3) if turn[2 - n, sources[2 - n]] < 0])
    first = np.round((exact @ corners)[:3].min(axis=1)).astype(int)[::-1]
    return _clipped(array, first, shape)


def _clipped(array: np.ndarray, start: Sequence[int], shape: Sequence[int]) -> PlacedMask:
    low = [max(0, -int(first)) for first in start]
    high = [min(size, int(whole) - int(first)) for size, first, whole in zip(array.shape, start, shape, strict=True)]
    inside = array[tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))]
    return PlacedMask.crop(inside, [int(first) + offset for first, offset in zip(start, low, strict=True)])


def _slice_axis(drawings: Mapping[int, Drawing], spacing: Sequence[float]) -> int:
    """IJK axis of the scan that is closest to the direction across which fewest slices were drawn."""
    counts = np.zeros(3)
    for drawing in drawings.values():
        for scan_axis, own_axis in enumerate(_own_axes(drawing.to_grid, spacing)):
            counts[scan_axis] += len(_drawn(drawing.mask, own_axis))
    return min(range(3), key=lambda axis: (counts[axis], -round(float(np.log(spacing[axis])), 3), -axis))


def _own_axes(to_grid: np.ndarray, spacing: Sequence[float]) -> tuple[int, int, int]:
    """For each axis of the scan, the axis of the drawing that runs most nearly along it, each once."""
    directions = to_grid[:3, :3] * np.asarray(spacing)[:, None]
    directions = np.abs(directions / np.linalg.norm(directions, axis=0))
    return max(permutations(range(3)), key=lambda order: sum(directions[row, own] for row, own in enumerate(order)))


def _drawn(mask: PlacedMask, ijk_axis: int) -> np.ndarray:
    """Indices along an IJK axis, in the drawing's whole grid, of the slices with anything on them."""
    others = tuple(axis for axis in range(3) if axis != 2 - ijk_axis)
    return np.flatnonzero(mask.array.any(axis=others)) + mask.start[2 - ijk_axis]


def _resampled(drawing: Drawing, axis: int, own_axis: int, shape: Sequence[int], scan_name: str) -> PlacedMask:
    matrix = np.asarray(drawing.to_grid, np.float64)
    from_grid = np.linalg.inv(matrix)
    slices = _drawn(drawing.mask, own_axis)
    spread = _spread(drawing.mask, matrix[axis, :3], own_axis)
    if spread > _FLAT:
        step = abs(matrix[axis, own_axis])
        runs = np.split(slices, np.flatnonzero(np.diff(slices) > 1) + 1)
        if min(len(run) for run in runs) * step < spread:
            raise InputError(
                f"The segment '{drawing.name}' was drawn at an angle to the slices of the scan '{scan_name}'; "
                "paint it on one of the scan's own slices."
            )
        return _sampled(drawing, from_grid, shape)
    nearest: dict[int, tuple[float, int]] = {}
    for index in slices.tolist():
        place = _height(drawing.mask, matrix, axis, own_axis, index)
        target = int(np.floor(round(place, _ROUNDING_DIGITS) + 0.5))
        if 0 <= target < shape[2 - axis]:
            candidate = (abs(place - target), index)
            nearest[target] = min(nearest.get(target, candidate), candidate)
    parts = [
        _one_slice(drawing, matrix, from_grid, axis, own_axis, index, target, shape)
        for target, (_, index) in nearest.items()
    ]
    return _joined([part for part in parts if part.array.size])


def _spread(mask: PlacedMask, row: np.ndarray, own_axis: int) -> float:
    """Over how many of the scan's slices the most extended drawn slice reaches. ``row``: the drawing's indices to the
    scan's slice index."""
    spread = 0.0
    across = [axis for axis in range(3) if axis != own_axis]
    for index in _drawn(mask, own_axis) - mask.start[2 - own_axis]:
        plane = np.take(mask.array, index, axis=2 - own_axis)  # numpy axes: the larger IJK axis first
        rows, columns = np.nonzero(plane)
        heights = rows * row[across[1]] + columns * row[across[0]]
        spread = max(spread, float(heights.max() - heights.min()))
    return spread


def _height(mask: PlacedMask, matrix: np.ndarray, axis: int, own_axis: int, index: int) -> float:
    """Fractional index along the scan's axis of the middle of what is drawn on one slice."""
    plane = np.take(mask.array, index - mask.start[2 - own_axis], axis=2 - own_axis)
    across = [a for a in range(3) if a != own_axis]
    rows, columns = np.nonzero(plane)
    point = np.ones(4)
    point[own_axis] = index
    point[across[1]] = (rows.min() + rows.max()) / 2 + mask.start[2 - across[1]]
    point[across[0]] = (columns.min() + columns.max()) / 2 + mask.start[2 - across[0]]
    return float(matrix[axis] @ point)


def _one_slice(
    drawing: Drawing,
    matrix: np.ndarray,
    from_grid: np.ndarray,
    axis: int,
    own_axis: int,
    index: int,
    target: int,
    shape: Sequence[int],
) -> PlacedMask:
    """What is drawn on slice ``index`` of the drawing, on slice ``target`` of the scan."""
    mask = drawing.mask
    chosen = [slice(None)] * 3
    offset = index - mask.start[2 - own_axis]
    chosen[2 - own_axis] = slice(offset, offset + 1)
    start = list(mask.start)
    start[2 - own_axis] = index
    slab = PlacedMask.crop(mask.array[tuple(chosen)], start)
    low, high = _reach(slab, matrix, shape)
    low[axis], high[axis] = target, target + 1
    grid = _grid(low, high)
    own = np.round(np.tensordot(from_grid[:3, :3], grid, 1) + from_grid[:3, 3][:, None, None, None], 3)
    own = np.floor(own + 0.5).astype(int)
    own[own_axis] = index  # seen along the drawing's own slice direction
    sampled = PlacedMask.crop(_looked_up(slab, own), low[::-1])
    if sampled.array.size:
        return sampled
    # Smaller than the scan's voxels: nothing was hit, so the voxels that it lies in are taken instead.
    points = np.argwhere(slab.array)[:, ::-1] + np.array(slab.start[::-1])
    voxels = np.floor(np.round(points @ matrix[:3, :3].T + matrix[:3, 3], 3) + 0.5).astype(int)
    voxels[:, axis] = target
    size = np.array(shape[::-1])
    voxels = voxels[((voxels >= 0) & (voxels < size)).all(axis=1)]
    if not len(voxels):
        return PlacedMask.crop(np.zeros((0, 0, 0)))
    first = voxels.min(axis=0)
    box = np.zeros((voxels.max(axis=0) - first + 1)[::-1], bool)
    box[tuple((voxels - first)[:, ::-1].T)] = True
    return PlacedMask.crop(box, first[::-1].tolist())


def _sampled(drawing: Drawing, from_grid: np.ndarray, shape: Sequence[int]) -> PlacedMask:
    """3-D nearest neighbour, slice by slice to save memory."""
    low, high = _reach(drawing.mask, np.linalg.inv(from_grid), shape)
    parts = []
    for k in range(low[2], high[2]):
        grid = _grid([low[0], low[1], k], [high[0], high[1], k + 1])
        own = np.round(np.tensordot(from_grid[:3, :3], grid, 1) + from_grid[:3, 3][:, None, None, None], 3)
        looked_up = _looked_up(drawing.mask, np.floor(own + 0.5).astype(int))
        parts.append(PlacedMask.crop(looked_up, (k, low[1], low[0])))
    return _joined([part for part in parts if part.array.size])


def _looked_up(mask: PlacedMask, own: np.ndarray) -> np.ndarray:
    """(3, ...) whole IJK indices into the drawing's grid -> what is drawn there."""
    k, j, i = (own[2 - n] - mask.start[n] for n in range(3))
    inside = np.ones(k.shape, bool)
    for part, count in zip((k, j, i), mask.array.shape, strict=True):
        inside &= (part >= 0) & (part < count)
    found = np.zeros(k.shape, bool)
    found[inside] = mask.array[k[inside], j[inside], i[inside]]
    return found


def _reach(mask: PlacedMask, matrix: np.ndarray, shape: Sequence[int]) -> tuple[list[int], list[int]]:
    """IJK bounds (first, one past the last) in the scan of the drawing's bounding box, with a margin."""
    corners = (matrix @ _corners(mask, margin=1.0))[:3]
    size = np.array(shape[::-1])
    low = np.clip(np.floor(corners.min(axis=1)).astype(int), 0, size)
    high = np.clip(np.ceil(corners.max(axis=1)).astype(int) + 1, low, size)
    return low.tolist(), high.tolist()


def _corners(mask: PlacedMask, margin: float = 0.0) -> np.ndarray:
    """(4, 8): the corner voxels as (i, j, k, 1)."""
    ranges = [
        (first - margin, first + count - 1 + margin) for first, count in zip(mask.start, mask.array.shape, strict=True)
    ]
    return np.array([[i, j, k, 1.0] for k in ranges[0] for j in ranges[1] for i in ranges[2]]).T


def _grid(low: Sequence[int], high: Sequence[int]) -> np.ndarray:
    """(3, k, j, i): the i, j, k of all voxels between the bounds."""
    k, j, i = np.meshgrid(*(np.arange(low[axis], high[axis]) for axis in (2, 1, 0)), indexing="ij")
    return np.stack([i, j, k]).astype(np.float64)


def _joined(parts: Sequence[PlacedMask]) -> PlacedMask:
    if not parts:
        return PlacedMask.crop(np.zeros((0, 0, 0)))
    low = [min(part.start[n] for part in parts) for n in range(3)]
    high = [max(part.start[n] + part.array.shape[n] for part in parts) for n in range(3)]
    whole = np.zeros([b - a for a, b in zip(low, high, strict=True)], bool)
    for part in parts:
        box = tuple(slice(s - a, s - a + c) for s, a, c in zip(part.start, low, part.array.shape, strict=True))
        whole[box] |= part.array
    return PlacedMask(whole, tuple(low))

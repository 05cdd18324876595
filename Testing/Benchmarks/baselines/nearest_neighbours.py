"""k nearest neighbours: each pixel takes the vote of the pixels it looks like, near its own position.

What a pixel looks like is its raw patch; the memory is the annotated slice (as the user drew it) and the
previous slice (as it was just segmented). The search is exact: all memory pixels within ``REACH`` mm of the
pixel are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from . import SlicesOfLabels
from .outward import outward, scaled

PATCH = 5  # pixels
REACH = 12.0  # mm
NEIGHBOURS = 9
# Squared distance in mm^2 that costs as much as a mean squared difference of 1 (the whole grey range) over
# the patch.
POSITION_SCALE = 120.0**2
UNLIKE = 0.03  # a neighbour that costs more says nothing: the pixel shows something the memory does not know


def scores(image: np.ndarray, spacing: Sequence[float], annotation: SlicesOfLabels) -> Iterator[tuple[int, np.ndarray]]:
    """Scores of each label; the call is described in :mod:`DPLSegmentLib.evaluation.plugins`."""
    pictures = scaled(image)
    pixel = np.asarray(spacing[1:], dtype=np.float64)
    reach = np.maximum(1, np.floor(REACH / pixel)).astype(int)
    offsets = [
        (row, column)
        for row in range(-reach[0], reach[0] + 1)
        for column in range(-reach[1], reach[1] + 1)
        if ((np.array((row, column)) * pixel) ** 2).sum() <= REACH**2
    ]
    border = reach + PATCH // 2
    wide = np.pad(pictures, [(0, 0), *((b, b) for b in border)], mode="edge")

    def scores_of(slices: Mapping[int, np.ndarray]) -> np.ndarray:
        drawn = {index: np.asarray(mask, np.float32) for index, mask in slices.items()}

        def step(previous: np.ndarray, source: int, target: int, annotated: int) -> np.ndarray:
            result = np.zeros_like(previous)
            if not (previous > 0.5).any():
                return result
            window = _window(previous > 0.5, reach)
            memory = [(source, (previous > 0.5).astype(np.float32))]
            if annotated != source:
                memory.append((annotated, drawn[annotated]))
            result[window] = _vote(wide, memory, target, window, border, offsets, pixel)
            return result

        return outward(image.shape, slices, step)

    for label, slices in annotation.items():
        yield label, scores_of(slices)


def _window(mask: np.ndarray, margin: np.ndarray) -> tuple[slice, slice]:
    """The bounding box of ``mask``, larger by ``margin`` pixels, inside the slice."""
    bounds = []
    for axis in range(2):
        inside = np.flatnonzero(mask.any(axis=1 - axis))
        start = max(0, int(inside[0] - margin[axis]))
        bounds.append(slice(start, min(mask.shape[axis], int(inside[-1] + margin[axis]) + 1)))
    return bounds[0], bounds[1]


def _vote(
    wide: np.ndarray,
    memory: Sequence[tuple[int, np.ndarray]],
    target: int,
    window: tuple[slice, slice],
    border: np.ndarray,
    offsets: Sequence[tuple[int, int]],
    pixel: np.ndarray,
) -> np.ndarray:
    """Share of object among the nearest memory pixels, for each pixel of ``window`` in slice ``target``."""
    half = PATCH // 2

    def patches(index: int, row: int, column: int) -> np.ndarray:
        """The window of a slice, shifted by an offset and wider by half a patch, from the padded volume."""
        rows = slice(window[0].start + border[0] + row - half, window[0].stop + border[0] + row + half)
        columns = slice(window[1].start + border[1] + column - half, window[1].stop + border[1] + column + half)
        return wide[index, rows, columns]

    query = patches(target, 0, 0)
    size = tuple(part.stop - part.start for part in window)
    costs = np.empty((len(memory) * len(offsets), *size), np.float32)
    votes = np.empty(costs.shape, bool)
    entry = 0
    for index, mask in memory:
        labels = np.pad(mask, [(b, b) for b in border])
        for row, column in offsets:
            difference = uniform_filter((query - patches(index, row, column)) ** 2, PATCH)[half:-half, half:-half]
            away = (row * pixel[0]) ** 2 + (column * pixel[1]) ** 2
            costs[entry] = difference + away / POSITION_SCALE
            top, left = window[0].start + border[0] + row, window[1].start + border[1] + column
            votes[entry] = labels[top : top + size[0], left : left + size[1]] > 0.5
            entry += 1
    nearest = np.argpartition(costs, NEIGHBOURS, axis=0)[:NEIGHBOURS]
    alike = np.take_along_axis(costs, nearest, axis=0) < UNLIKE
    return (np.take_along_axis(votes, nearest, axis=0) & alike).mean(axis=0, dtype=np.float32)

"""TV-L1 optical flow: the annotated mask, warped from slice to slice, outward both ways.

The bare flow carries every mask to the ends of the scan, since it has no notion of an organ that is no longer
there. So a pixel is dropped where the flow does not explain it: where the warped slice and the real one still
differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from scipy.ndimage import map_coordinates
from skimage.registration import optical_flow_tvl1

from . import SlicesOfLabels
from .outward import outward, scaled

UNEXPLAINED = 0.1  # share of the scan's grey range (1st to 99th percentile)


def scores(image: np.ndarray, spacing: Sequence[float], annotation: SlicesOfLabels) -> Iterator[tuple[int, np.ndarray]]:
    """Scores of each label; the call is described in :mod:`DPLSegmentLib.evaluation.plugins`.

    ``spacing`` is not used.
    """
    pictures = scaled(image)
    rows, columns = np.mgrid[: image.shape[1], : image.shape[2]].astype(np.float32)

    @cache
    def flow(target: int, source: int) -> np.ndarray:
        """(2, row, column): offset in slice ``source`` of each pixel of ``target``, shared by all labels."""
        return optical_flow_tvl1(pictures[target], pictures[source], dtype=np.float32)

    def step(previous: np.ndarray, source: int, target: int, _annotated: int) -> np.ndarray:
        if previous.max() < 0.5:
            return np.zeros_like(previous)
        shift = flow(target, source)
        came_from = [rows + shift[0], columns + shift[1]]
        warped = map_coordinates(previous, came_from, order=1, mode="constant")
        residual = np.abs(map_coordinates(pictures[source], came_from, order=1, mode="nearest") - pictures[target])
        warped[residual > UNEXPLAINED] = 0
        return warped

    for label, slices in annotation.items():
        yield label, outward(image.shape, slices, step)

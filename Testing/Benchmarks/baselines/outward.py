"""Propagation from the annotated slices to all others, shared by the slice-to-slice methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

SOFT_TISSUE = (-160.0, 240.0)  # HU
AIR = -500.0  # HU


def outward(
    shape: tuple[int, int, int],
    slices: Mapping[int, np.ndarray],
    step: Callable[[np.ndarray, int, int, int], np.ndarray],
) -> np.ndarray:
    """(slice, row, column) float32 scores: each slice is reached from the nearest annotated one.

    ``step(previous scores, source slice, target slice, annotated slice)`` returns the (row, column) scores of
    the target slice.
    """
    scores = np.zeros(shape, np.float32)
    annotated = np.array(sorted(slices))
    for index in annotated:
        scores[index] = slices[int(index)]
    nearest = annotated[np.abs(np.arange(shape[0])[:, None] - annotated).argmin(axis=1)]
    for start in annotated:
        for direction in (1, -1):
            target = start + direction
            while 0 <= target < shape[0] and nearest[target] == start:
                scores[target] = step(scores[target - direction], target - direction, target, start)
                target += direction
    return scores


def scaled(image: np.ndarray) -> np.ndarray:
    """Float32 image with its window mapped to 0 to 1 and clipped there.

    The window is the usual one for soft tissue on CT in HU (known by its air far below 0), where percentiles
    would leave organs hardly different from one another, and the 1st to 99th percentile on all other scans.
    """
    low, high = SOFT_TISSUE if image.min() <= AIR else np.percentile(image, (1, 99))
    return np.clip((image - low) / max(high - low, 1e-12), 0, 1).astype(np.float32)

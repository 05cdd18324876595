"""One label map out of one score volume per label."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from . import SlicesOfLabels


def resolve(
    shape: tuple[int, int, int], annotation: SlicesOfLabels, scores: Iterable[tuple[int, np.ndarray]]
) -> np.ndarray:
    """(slice, row, column) uint16 label map: voxels claimed by several go to the label annotated nearest.

    The farther from its annotation, the likelier a label has run past the end of its organ; equally near
    labels are told apart by their scores. ``scores`` yields (label, score volume of ``shape``) pairs and is
    consumed one by one, so many labels need no more memory than one.
    """
    labels = np.zeros(shape, np.uint16)
    best = np.full(shape, -np.inf, np.float32)
    for label, score in scores:
        away = np.min([np.abs(np.arange(shape[0]) - index) for index in annotation[label]], axis=0)
        priority = score - away[:, None, None].astype(np.float32)
        wins = (score > 0.5) & (priority > best)
        labels[wins], best[wins] = label, priority[wins]
    return labels

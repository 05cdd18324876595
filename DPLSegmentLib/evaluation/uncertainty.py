"""Does the uncertainty point at the errors? Voxels near the surface, and slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .metrics import dice, distance_to_surface

REACH_MM = 10.0
MOST_UNCERTAIN = 3
BASE_AREA_MM2 = 100.0


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive scores higher than a negative, ties counting half.

    ``scores`` (N,) and ``positive`` (N,) bool. Exact. NaN without positives or without negatives.
    """
    scores, positive = np.asarray(scores).ravel(), np.asarray(positive, bool).ravel()
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, level, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # mean rank, from 1, of each level
    return float((ranks[level.ravel()][positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def near_surface(found: np.ndarray, spacing: Sequence[float], reach: float = REACH_MM) -> np.ndarray:
    """(k, j, i) bool: voxels whose centre is within ``reach`` mm of the surface of the mask ``found``.

    ``spacing`` in mm along the mask's axes. Nothing is near the surface of an empty mask.
    """
    near = np.zeros(found.shape, bool)
    if not found.any():
        return near
    box = []
    for axis, step in enumerate(spacing):
        others = tuple(other for other in range(found.ndim) if other != axis)
        inside = np.flatnonzero(found.any(axis=others))
        margin = int(np.ceil(reach / step)) + 1
        box.append(slice(max(0, int(inside[0]) - margin), int(inside[-1]) + margin + 1))
    near[tuple(box)] = distance_to_surface(found[tuple(box)], spacing) <= reach * (1 + 1e-6)
    return near


@dataclass(frozen=True)
class ErrorRanking:
    """How well the uncertainty of one label's result ranks its errors; NaN where a measure is not defined.

    Attributes:
        auroc: of the uncertainty for wrong voxels, among those within 10 mm of the found surface.
        worst_found: 1.0 if the worst slice is among the three most uncertain ones, else 0.0.
        worst_at_ends: the same for a rule that never looks at the uncertainty: the two slices just beyond the found
            ends, and the smallest found one. What ``worst_found`` is worth shows against it.
    """

    auroc: float
    worst_found: float
    worst_at_ends: float


def rank_errors(
    found: np.ndarray, truth: np.ndarray, uncertainty: np.ndarray, spacing: Sequence[float], scored: np.ndarray
) -> ErrorRanking:
    """All measures of one label.

    The worst slice has the lowest Dice of the scored slices that show the label, in truth or as found; of equally bad
    ones any will do. The three most uncertain are chosen among all scored slices, without knowing the truth, by
    :func:`slice_uncertainty`; of equally uncertain ones the first. Both slice measures are NaN for a label of three
    slices or fewer.

    Args:
        found, truth: (k, j, i) bool masks of the label.
        uncertainty: (k, j, i).
        spacing: mm along k, j, i.
        scored: (k,) bool, the slices that count.
    """
    near = near_surface(found, spacing) & scored[:, None, None]
    curve = auroc(uncertainty[near], (found != truth)[near])
    places = np.flatnonzero((found | truth).any(axis=(1, 2)) & scored)
    if len(places) <= MOST_UNCERTAIN:
        return ErrorRanking(curve, float("nan"), float("nan"))
    scores = np.array([dice(found[n : n + 1], truth[n : n + 1]) for n in places])
    worst = places[scores <= scores.min() + 1e-9]
    doubt = slice_uncertainty(found, near, uncertainty, spacing)
    candidates = np.flatnonzero(scored)
    hits = [
        float(np.isin(worst, candidates[np.argsort(-value[candidates], kind="stable")[:MOST_UNCERTAIN]]).any())
        for value in (doubt, _at_ends(found))
    ]
    return ErrorRanking(curve, *hits)


def slice_uncertainty(
    found: np.ndarray, near: np.ndarray, uncertainty: np.ndarray, spacing: Sequence[float]
) -> np.ndarray:
    """(k,) uncertain area of each slice's object and its surroundings (``near``), over its found area and 1 cm2.

    Relative to the object, because an uncertain rim says more about a small slice than about a large one; and not to
    the object alone, or a trace of uncertainty in an empty slice would outweigh everything.
    """
    pixel = float(spacing[1] * spacing[2])
    uncertain = np.where(near | found, uncertainty, 0.0).sum(axis=(1, 2)) * pixel
    return uncertain / (found.sum(axis=(1, 2)) * pixel + BASE_AREA_MM2)


def _at_ends(found: np.ndarray) -> np.ndarray:
    """(k,) 2 just beyond the found ends, 1 / area on found slices, else 0."""
    area = np.count_nonzero(found, axis=(1, 2)).astype(float)
    shown = np.flatnonzero(area)
    value = np.divide(1.0, area, out=np.zeros_like(area), where=area > 0)
    if len(shown):
        value[[n for n in (shown[0] - 1, shown[-1] + 1) if 0 <= n < len(area)]] = 2.0
    return value

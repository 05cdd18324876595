"""Dice, 95th percentile Hausdorff distance and surface Dice of two 3-D masks.

Masks are numpy arrays in any one axis order; ``spacing`` is the voxel size in mm along the same axes
(``volume.spacing[::-1]`` for a (k, j, i) array). Distances are in mm between surfaces made of voxel faces,
each face placed at its centre and weighted by its area, so anisotropic voxels count by what they cover and
not by how many they are (after Nikolov et al., "Deep learning to achieve clinically applicable segmentation
of head and neck anatomy", 2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import SimpleITK as sitk

from ..errors import InputError

# Distances (mm) and areas (mm^2) of the faces of either mask.
Directed = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def dice(prediction: np.ndarray, truth: np.ndarray, excluded_slices: Iterable[int] = (), slice_axis: int = 0) -> float:
    """2|A n B| / (|A| + |B|) over all voxels outside the excluded slices.

    ``prediction`` and ``truth`` are masks of one shape (anything non-zero is inside); ``excluded_slices`` are
    indices along numpy axis ``slice_axis``, typically the slices that the user annotated. Two empty masks
    agree: 1.0. Raises InputError for masks of different shapes, IndexError for a slice that is not there.
    """
    a, b = _masks(prediction, truth)
    kept = np.ones(a.shape[slice_axis], bool)
    kept[list(excluded_slices)] = False
    a, b = np.compress(kept, a, axis=slice_axis), np.compress(kept, b, axis=slice_axis)
    total = int(a.sum()) + int(b.sum())
    return 1.0 if total == 0 else 2.0 * int((a & b).sum()) / total


def hausdorff95(prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> float:
    """95th percentile Hausdorff distance in mm: the larger of the two directed, area-weighted percentiles.

    ``prediction`` and ``truth`` are 3-D masks of one shape, ``spacing`` mm along their axes. Two empty masks
    are 0 mm apart, an empty and a filled one infinitely far. Raises InputError for masks or spacing that do
    not fit.
    """
    a, b = _masks(prediction, truth)
    steps = _checked_spacing(a, spacing)
    if not a.any() or not b.any():
        return 0.0 if a.any() == b.any() else float("inf")
    return _hausdorff95(_surface_distances(a, b, steps))


def surface_dice(prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float], tolerance: float = 2.0) -> float:
    """Share of both surfaces, by area, that lies within ``tolerance`` mm of the other surface.

    ``prediction`` and ``truth`` are 3-D masks of one shape, ``spacing`` mm along their axes. Two empty masks
    agree: 1.0; an empty and a filled one do not at all: 0.0. Raises InputError for masks, spacing or
    tolerance that do not fit.
    """
    if not tolerance >= 0:
        raise InputError(f"The tolerance of surface Dice is {tolerance} mm; give zero or more.")
    a, b = _masks(prediction, truth)
    steps = _checked_spacing(a, spacing)
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    return _surface_dice(_surface_distances(a, b, steps), tolerance)


def surface_scores(
    prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float], tolerance: float
) -> tuple[float, float]:
    """(:func:`hausdorff95` in mm, :func:`surface_dice` at ``tolerance`` mm), for the work of one of them."""
    if not tolerance >= 0:
        raise InputError(f"The tolerance of surface Dice is {tolerance} mm; give zero or more.")
    a, b = _masks(prediction, truth)
    steps = _checked_spacing(a, spacing)
    if not a.any() or not b.any():
        alike = a.any() == b.any()
        return 0.0 if alike else float("inf"), float(alike)
    directed = _surface_distances(a, b, steps)
    return _hausdorff95(directed), _surface_dice(directed, tolerance)


def distance_to_surface(mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance in mm from every voxel's centre to the nearest face centre of the surface of a 3-D mask that is not
    empty, float32 of the mask's shape."""
    steps = _checked_spacing(mask, spacing)
    return _distance_to(_face_areas(np.asarray(mask) != 0, steps) > 0, steps)[1::2, 1::2, 1::2]


def _masks(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(prediction) != 0, np.asarray(truth) != 0
    if a.shape != b.shape or a.ndim != 3:
        raise InputError(
            f"Masks of shapes {a.shape} and {b.shape} cannot be compared; give two 3-D masks of one shape."
        )
    return a, b


def _checked_spacing(mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    steps = np.asarray(spacing, dtype=np.float64)
    if steps.shape != (mask.ndim,) or not np.isfinite(steps).all() or (steps <= 0).any():
        raise InputError(f"The spacing {spacing} is not usable; give {mask.ndim} positive numbers in mm.")
    return steps


def _hausdorff95(directed: Directed) -> float:
    return max(_percentile95(*one) for one in directed)


def _surface_dice(directed: Directed, tolerance: float) -> float:
    # Distances come in single precision: a surface at exactly the tolerance must still count.
    slack = 1e-5 * max(1.0, tolerance)
    within = sum(areas[distances <= tolerance + slack].sum() for distances, areas in directed)
    return float(within / sum(areas.sum() for _, areas in directed))


def _surface_distances(a: np.ndarray, b: np.ndarray, spacing: np.ndarray) -> Directed:
    """((distance of each face of ``a`` to ``b``, its area), (the same of ``b``'s to ``a``)), mm and mm^2."""
    occupied = np.nonzero(a | b)
    box = tuple(slice(int(index.min()), int(index.max()) + 1) for index in occupied)
    areas_a, areas_b = _face_areas(a[box], spacing), _face_areas(b[box], spacing)
    on_a, on_b = areas_a > 0, areas_b > 0
    return (_distance_to(on_b, spacing)[on_a], areas_a[on_a]), (
        _distance_to(on_a, spacing)[on_b],
        areas_b[on_b],
    )


def _face_areas(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Area in mm^2 of every boundary face, on a grid of half voxels (2n + 1 along each axis).

    Voxel centres lie at odd positions of that grid; the face between two neighbours along an axis is at an
    even position along it and at odd positions along the others. The outside of the array is empty.
    """
    areas = np.zeros([2 * size + 1 for size in mask.shape], np.float32)
    for axis in range(mask.ndim):
        padded = np.pad(mask, [(1, 1) if other == axis else (0, 0) for other in range(mask.ndim)])
        index = [slice(1, None, 2)] * mask.ndim
        index[axis] = slice(0, None, 2)
        areas[tuple(index)] = np.diff(padded.astype(np.int8), axis=axis) != 0
        areas[tuple(index)] *= spacing.prod() / spacing[axis]
    return areas


def _distance_to(points: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Euclidean distance in mm from every position of the half-voxel grid to the nearest marked one."""
    image = sitk.GetImageFromArray(points.astype(np.uint8))
    image.SetSpacing((spacing[::-1] / 2).tolist())
    distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return np.abs(sitk.GetArrayFromImage(distance))


def _percentile95(distances: np.ndarray, areas: np.ndarray) -> float:
    """The smallest distance that covers 95 % of the area."""
    order = np.argsort(distances)
    covered = np.cumsum(areas[order], dtype=np.float64)
    return float(distances[order][np.searchsorted(covered, 0.95 * covered[-1])])

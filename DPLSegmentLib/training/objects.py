"""Pseudo-objects: segments of an unlabelled scan that stand in for organs during training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..errors import InputError
from .merging import merge_hierarchy

WATERSHED_LEVEL = 0.002
DEFAULT_LEVELS = (0.07, 0.11, 0.17, 0.25)
FAINT_LEVELS = (0.1, 0.16, 0.23, 0.33)  # without an intensity scale, contrast is stretched, and so are differences


@dataclass(frozen=True, eq=False)
class PseudoObjects:
    """A fine partition of the body and a nested hierarchy of groups of its regions.

    ``regions`` (slice, row, column) int32 covers the whole body with ids 1..R, 0 is outside. ``groups``
    (levels, R + 1) int32, fine to coarse: ``groups[t][regions]`` is the whole partition of level t.
    ``objects`` is the same with 0 for segments that do not look like an object (touching the skin, too small,
    too thin); the ids of the others agree with ``groups``.
    """

    regions: np.ndarray
    groups: np.ndarray
    objects: np.ndarray

    def labels(self, level: int) -> np.ndarray:
        """Label volume (slice, row, column) int32 of one level, objects only."""
        return self.objects[level][self.regions]

    def volumes(self) -> list[np.ndarray]:
        """Label volumes of all levels, fine to coarse."""
        return [self.labels(level) for level in range(len(self.objects))]


def pseudo_objects(
    image: np.ndarray,
    spacing: Sequence[float],
    body: np.ndarray,
    thresholds: Sequence[float] = DEFAULT_LEVELS,
    min_ml: float = 0.4,
    min_slices: int = 3,
) -> PseudoObjects:
    """Nested pseudo-objects of a scan.

    ``image`` (slice, row, column): intensity scaled so that the range of interest is 0..1; ``spacing`` mm per
    axis; ``body`` bool of the same shape; ``thresholds``: increasing merge costs, see ``merge_hierarchy``.
    Segments smaller than ``min_ml`` millilitres, on fewer than ``min_slices`` slices, or touching the outside
    of the body within a slice are no objects.
    """
    if image.shape != body.shape or image.ndim != 3:
        raise InputError("The image and the body mask must be 3-D arrays of one shape.")
    spacing = tuple(float(value) for value in spacing)
    smooth = _smooth(image, spacing)
    # Per voxel rather than per mm: thick slices would otherwise never form a border along z.
    steps = np.asarray(spacing) / min(spacing)
    edge = np.sqrt(sum((g / np.sqrt(s)) ** 2 for g, s in zip(np.gradient(smooth), steps, strict=True))).astype(
        np.float32
    )
    basins = sitk.GetArrayFromImage(
        sitk.MorphologicalWatershed(sitk.GetImageFromArray(edge), level=WATERSHED_LEVEL, markWatershedLine=False)
    )
    basins[~body] = 0
    _, regions = np.unique(basins, return_inverse=True)
    regions = regions.reshape(basins.shape).astype(np.int32)
    if body.all():
        regions += 1
    voxel_ml = float(np.prod(spacing)) / 1000
    merged = merge_hierarchy(regions, smooth, edge, thresholds, reference_voxels=10 / voxel_ml)
    groups = np.stack([np.unique(table, return_inverse=True)[1].astype(np.int32) for table in merged])
    objects = [np.where(_is_object(t[regions], body, min_ml / voxel_ml, min_slices)[t], t, 0) for t in groups]
    return PseudoObjects(regions, groups, np.stack(objects))


def _smooth(image: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Edge-preserving smoothing in mm space."""
    picture = sitk.GetImageFromArray(image.astype(np.float32))
    picture.SetSpacing([s / min(spacing) for s in spacing[::-1]])
    picture = sitk.CurvatureAnisotropicDiffusion(
        picture,
        timeStep=0.06,
        conductanceParameter=1.5,
        conductanceScalingUpdateInterval=1,
        numberOfIterations=8,
    )
    return sitk.GetArrayFromImage(picture)


def _is_object(labels: np.ndarray, body: np.ndarray, min_voxels: float, min_slices: int) -> np.ndarray:
    """Which of the ids 0..labels.max() may serve as objects; bool."""
    count = int(labels.max()) + 1
    size = np.bincount(labels.ravel(), minlength=count)
    inside = ndimage.binary_erosion(body, np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool), border_value=1)
    touching = np.bincount(labels[body & ~inside], minlength=count)
    slices = np.zeros(count, np.int64)
    for plane in labels:
        slices[np.unique(plane)] += 1
    # A few rim voxels are body-mask noise; a skin or fat layer has them in proportion to its surface.
    good = (size >= min_voxels) & (slices >= min_slices) & (touching <= 0.02 * size)
    good[0] = False
    return good

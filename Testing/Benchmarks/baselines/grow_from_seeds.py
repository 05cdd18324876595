"""Slicer's "Grow from seeds": its own filter, run on the annotated slices as seeds.

As in the effect, seeds of the object compete with seeds of its background. Three things differ, all in the
method's favour: the volume is padded by a slice at each end, because the filter grows nothing from seeds on a
border of its input; the seed locality is 0.1, not 0; and the region of interest is the whole scan, because
the effect's own (the seeds' bounding box and a fifth more, at least three voxels) would end three slices from
the only seeded one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from slicer import vtkImageGrowCutSegment
from vtk import VTK_SHORT, vtkImageData
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from . import SlicesOfLabels

OBJECT, BACKGROUND = 1, 2
DISTANCE_PENALTY = 0.1


def scores(image: np.ndarray, spacing: Sequence[float], annotation: SlicesOfLabels) -> Iterator[tuple[int, np.ndarray]]:
    """Scores of each label, 0 or 1; the call is described in :mod:`DPLSegmentLib.evaluation.plugins`."""
    padded = np.pad(image, ((1, 1), (0, 0), (0, 0)), mode="edge")
    intensity = _vtk_image(_as_short(padded), spacing)
    for label, slices in annotation.items():
        seeds = np.zeros(padded.shape, np.int16)
        for index, mask in slices.items():
            seeds[index + 1] = np.where(mask, OBJECT, BACKGROUND)
        yield label, (_grow(intensity, seeds, spacing)[1:-1] == OBJECT).astype(np.float32)


def _grow(intensity: vtkImageData, seeds: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """(slice, row, column) labels of every voxel, grown from ``seeds`` (0 = no seed)."""
    grower = vtkImageGrowCutSegment()
    grower.SetDistancePenalty(DISTANCE_PENALTY)
    grower.SetIntensityVolume(intensity)
    grower.SetSeedLabelVolume(_vtk_image(seeds, spacing))
    grower.Update()
    return vtk_to_numpy(grower.GetOutput().GetPointData().GetScalars()).reshape(seeds.shape)


def _as_short(image: np.ndarray) -> np.ndarray:
    """The image as int16, which the filter wants; floating point scans keep a fine enough scale."""
    low, high = float(image.min()), float(image.max())
    if image.dtype.kind in "iu" and low >= -32768 and high <= 32767:
        return image.astype(np.int16)
    return np.rint((image - low) * (4095.0 / max(high - low, 1e-12))).astype(np.int16)


def _vtk_image(array: np.ndarray, spacing: Sequence[float]) -> vtkImageData:
    picture = vtkImageData()
    picture.SetDimensions(*array.shape[::-1])
    picture.SetSpacing(*(float(step) for step in spacing[::-1]))
    picture.GetPointData().SetScalars(numpy_to_vtk(array.ravel(), deep=True, array_type=VTK_SHORT))
    return picture

"""Segments as what was drawn: a mask in the segment's own geometry. Nothing in the scene is changed or created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

if TYPE_CHECKING:
    import numpy as np

    from DPLSegmentLib.regridding import Drawing, PlacedMask

LABELMAP = "Binary labelmap"  # Slicer's names of representations; they are stored in files
REFERENCE_GEOMETRY = "Reference image geometry"


def isEmpty(segmentationNode: Any, segmentID: str) -> bool:
    """Whether nothing is drawn in a segment."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentID)
    labelmap = segment.GetRepresentation(LABELMAP)
    if labelmap is None:
        surface = segment.GetRepresentation(segmentationNode.GetSegmentation().GetSourceRepresentationName())
        return surface is None or surface.GetNumberOfCells() == 0
    return not _usedPlanes(labelmapArray(labelmap), segment.GetLabelValue())


def readDrawing(segmentationNode: Any, segmentID: str, volumeNode: Any, localToIJK: np.ndarray) -> Drawing:
    """What is drawn in a segment.

    Args:
        volumeNode: the scan; segments stored as surfaces are drawn with its voxels.
        localToIJK: (4, 4) from the segmentation's own coordinates to the scan's IJK.
    """
    from DPLSegmentLib.errors import InputError
    from DPLSegmentLib.regridding import Drawing

    segmentation = segmentationNode.GetSegmentation()
    segment = segmentation.GetSegment(segmentID)
    labelmap, value = segment.GetRepresentation(LABELMAP), segment.GetLabelValue()
    if labelmap is None:
        labelmap, value = _fromSurface(segmentation, segmentID, volumeNode, localToIJK)
    mask = segmentMask(labelmap, value)
    if not mask.array.size:
        raise InputError(
            _("The segment '{name}' is too thin for the voxels of the volume '{volume}'; paint it on a slice.").format(
                name=segment.GetName(), volume=volumeNode.GetName()
            )
        )
    return Drawing(mask, localToIJK @ labelmapMatrix(labelmap), segment.GetName())


def segmentMask(labelmap: Any, value: int) -> PlacedMask:
    """Where a label map, which segments may share, has this value; indices are those of its extent."""
    from DPLSegmentLib.regridding import PlacedMask

    array = labelmapArray(labelmap)
    used = _usedPlanes(array, value)
    if not used:
        return PlacedMask.crop([[[]]])
    extent = labelmap.GetExtent()
    return PlacedMask.crop(array[used] == value, (extent[4] + used.start, extent[2], extent[0]))


def _usedPlanes(array: np.ndarray | None, value: int) -> slice | None:
    """The planes from the first to the last with this value; None if there are none. One by one: label maps are large
    and annotations small."""
    planes = [] if array is None else [k for k, plane in enumerate(array) if (plane == value).any()]
    return slice(planes[0], planes[-1] + 1) if planes else None


def labelmapArray(labelmap: Any) -> np.ndarray | None:
    """The voxels (k, j, i) of an oriented image, not copied; None if it has none."""
    scalars = labelmap.GetPointData().GetScalars()
    if scalars is None or scalars.GetNumberOfTuples() == 0:
        return None
    return vtk_to_numpy(scalars).reshape(tuple(reversed(labelmap.GetDimensions())))


def labelmapMatrix(labelmap: Any) -> np.ndarray:
    """(4, 4) from an oriented image's IJK to the coordinates of its segmentation."""
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _fromSurface(segmentation: Any, segmentID: str, volumeNode: Any, localToIJK: np.ndarray) -> tuple[Any, int]:
    import numpy as np

    apart = slicer.vtkSegmentation()
    apart.SetSourceRepresentationName(segmentation.GetSourceRepresentationName())
    apart.CopySegmentFromSegmentation(segmentation, segmentID)
    matrix = np.linalg.inv(localToIJK)
    i, j, k = volumeNode.GetImageData().GetDimensions()
    numbers = [*matrix.ravel().tolist(), 0, i - 1, 0, j - 1, 0, k - 1]
    apart.SetConversionParameter(REFERENCE_GEOMETRY, "".join(f"{number!r};" for number in numbers))
    apart.CreateRepresentation(LABELMAP)
    segment = apart.GetSegment(segmentID)
    return segment.GetRepresentation(LABELMAP), segment.GetLabelValue()

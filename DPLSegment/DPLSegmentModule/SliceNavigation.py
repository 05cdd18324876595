"""Moving slice views to what the user wants to see, and showing a scan only where none of its kind is shown yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
import vtk


def slicePoint(
    volumeNode: Any, sliceAxis: int, sliceIndex: int, near: Sequence[float] | None = None
) -> tuple[float, float, float]:
    """A point on a slice of a scan, in world RAS mm, wherever the scan's parent transforms put it.

    Args:
        volumeNode: the scan.
        sliceAxis: IJK axis (0 = i, 1 = j, 2 = k) across which slices are counted.
        sliceIndex: of the slice, along that axis.
        near: world point; its place within the slice is kept. The middle of the scan if None.
    """
    toWorld = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(volumeNode.GetParentTransformNode(), None, toWorld)
    ijkToRAS = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(ijkToRAS)
    # IJK first, the parent transforms after it.
    toWorld.PreMultiply()
    toWorld.Concatenate(ijkToRAS)
    if near is None:
        point = [(size - 1) / 2 for size in volumeNode.GetImageData().GetDimensions()]
    else:
        point = list(toWorld.GetInverse().TransformPoint(near))
    point[sliceAxis] = sliceIndex
    return tuple(toWorld.TransformPoint(point))


def jumpToSlice(volumeNode: Any, sliceAxis: int, sliceIndex: int, near: Sequence[float] | None = None) -> None:
    """Move every slice view to a slice of a scan; arguments as in :func:`slicePoint`."""
    point = slicePoint(volumeNode, sliceAxis, sliceIndex, near)
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *point, slicer.vtkMRMLSliceNode.CenteredJumpSlice)


def isShown(volumeNode: Any) -> bool:
    """Whether any slice view shows the scan."""
    return any(
        volumeNode.GetID() in (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID())
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    )


def showVolume(volumeNode: Any) -> None:
    """Show the scan in the background of the slice views, unless it is shown already."""
    if slicer.app.layoutManager() is not None and not isShown(volumeNode):
        slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)


def firstShownVolume() -> Any:
    """The scan in the background of a slice view, else the first in the scene, else None."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        node = slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
        if node is not None and node.GetClassName() == "vtkMRMLScalarVolumeNode":
            return node
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not node.GetHideFromEditors():
            return node
    return None

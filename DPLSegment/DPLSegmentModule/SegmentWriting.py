"""Putting masks into segmentations by segment ID, so that no other segment changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from DPLSegmentModule.SegmentDrawings import LABELMAP, labelmapMatrix, segmentMask
from DPLSegmentModule.SegmentStyle import SegmentStyle

if TYPE_CHECKING:
    from DPLSegmentLib.regridding import Layer, PlacedMask


def makeLabelmap(part: PlacedMask | Layer, ijkToLocal: np.ndarray) -> Any:
    """An oriented image with 1 in a mask, or the values of a layer. ``ijkToLocal``: (4, 4), IJK of the whole grid to
    the segmentation's own coordinates in mm."""
    labelmap = slicer.vtkOrientedImageData()
    depth, rows, columns = part.array.shape
    k, j, i = part.start
    labelmap.SetExtent(i, i + columns - 1, j, j + rows - 1, k, k + depth - 1)
    labelmap.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(ijkToLocal))
    voxels = np.ascontiguousarray(part.array, np.uint8).ravel()
    scalars = numpy_to_vtk(voxels, deep=True, array_type=vtk.VTK_UNSIGNED_CHAR)
    scalars.SetName("ImageScalars")
    labelmap.GetPointData().SetScalars(scalars)
    return labelmap


def addSegments(
    segmentationNode: Any, styles: Mapping[int, SegmentStyle], masks: Mapping[int, PlacedMask], ijkToLocal: np.ndarray
) -> None:
    """Fill a segmentation without segments, those that do not overlap in one label map: little memory, small files.

    Raises RuntimeError if Slicer refuses.
    """
    from DPLSegmentLib.regridding import stack_masks

    shared = {}
    for layer in stack_masks(masks):
        labelmap = makeLabelmap(layer, ijkToLocal)
        shared |= {label: (labelmap, value) for label, value in layer.values.items()}
    for label in masks:
        _addSegment(segmentationNode.GetSegmentation(), styles[label], *shared[label])


def _addSegment(segmentation: Any, style: SegmentStyle, labelmap: Any, value: int) -> None:
    segment = slicer.vtkSegment()
    segment.DeepCopyMetadata(style.metadata)
    segment.SetLabelValue(value)
    segment.AddRepresentation(LABELMAP, labelmap)
    if not segmentation.AddSegment(segment, style.segmentID):
        raise RuntimeError(f"The segment {style.segmentID} could not be added.")


def putSegment(segmentationNode: Any, style: SegmentStyle, labelmap: Any) -> None:
    """Give a segment this style and these voxels, and make it first if there is none with its ID.

    Raises RuntimeError if Slicer refuses.
    """
    segmentation = segmentationNode.GetSegmentation()
    segment = segmentation.GetSegment(style.segmentID)
    if segment is None:
        _addSegment(segmentation, style, labelmap, 1)
        return
    # First out of the label map that it may share with others: these would be resampled to a new geometry with it.
    segmentation.SeparateSegmentLabelmap(style.segmentID)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    # Makes the surface again, too, if there is one.
    if not logic.SetBinaryLabelmapToSegment(labelmap, segmentationNode, style.segmentID, logic.MODE_REPLACE):
        raise RuntimeError(f"The segment {style.segmentID} could not be written.")
    value = segment.GetLabelValue()  # belongs to the voxels, but is copied with the style
    segment.DeepCopyMetadata(style.metadata)
    segment.SetLabelValue(value)


@dataclass
class SegmentBackup:
    """One segment as it was: its style, voxels and their geometry."""

    style: SegmentStyle
    mask: PlacedMask
    ijkToLocal: np.ndarray

    @classmethod
    def of(cls, segmentationNode: Any, segmentID: str) -> SegmentBackup | None:
        """None if there is no such segment."""
        segment = segmentationNode.GetSegmentation().GetSegment(segmentID)
        if segment is None:
            return None
        labelmap = segment.GetRepresentation(LABELMAP)
        mask = segmentMask(labelmap, segment.GetLabelValue())
        return cls(SegmentStyle.of(segmentID, segment), mask, labelmapMatrix(labelmap))

    def restore(self, segmentationNode: Any) -> None:
        """Put it back."""
        putSegment(segmentationNode, self.style, makeLabelmap(self.mask, self.ijkToLocal))


@dataclass
class NodeChanges:
    """How to take back what was done to a node, last thing first."""

    node: Any
    steps: list[Callable[[], None]] = field(default_factory=list)

    @property
    def isPossible(self) -> bool:
        """Whether the node is still in the scene."""
        return bool(slicer.mrmlScene.IsNodePresent(self.node))

    def undo(self) -> None:
        """Take everything back, once; nothing happens if the node is gone."""
        steps, self.steps = self.steps, []
        if self.isPossible:
            for step in reversed(steps):
                step()


def removeNode(node: Any) -> None:
    """Remove a node together with its display and storage nodes."""
    scene = node.GetScene()
    if scene is None:
        return
    helpers = []
    if node.IsA("vtkMRMLDisplayableNode"):
        helpers += [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        helpers += [node.GetNthStorageNode(index) for index in range(node.GetNumberOfStorageNodes())]
    scene.RemoveNode(node)
    for helper in helpers:
        if helper is not None and scene.IsNodePresent(helper):
            scene.RemoveNode(helper)

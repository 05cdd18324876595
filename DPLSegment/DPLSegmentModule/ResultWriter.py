"""Results into the scene: all of them or none, in one step that can be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from DPLSegmentModule import Messages
from DPLSegmentModule.SegmentationJob import QueryResult
from DPLSegmentModule.SegmentStyle import SegmentStyle, readStyles
from DPLSegmentModule.SegmentWriting import (
    NodeChanges,
    SegmentBackup,
    addSegments,
    makeLabelmap,
    putSegment,
    removeNode,
)
from DPLSegmentModule.UncertaintyVolume import writeUncertainty
from DPLSegmentModule.VolumeReader import ijkToRASMatrix, ijkToWorldMatrix, parentToWorldMatrix

__all__ = ["AppliedResult", "SegmentStyle", "applyResults", "readStyles"]

SURFACE = "Closed surface"
FILL_OPACITY = 0.35


@dataclass
class AppliedResult:
    """The nodes of one result.

    ``changes`` is for :class:`ResultHistory`; ``doubts`` and ``labels`` (by segment ID) are what
    :class:`SegmentUncertainty` makes maps of single segments from.
    """

    queryNode: Any
    segmentationNode: Any
    uncertaintyNode: Any
    report: dict[str, Any]
    changes: list[NodeChanges] = field(default_factory=list)
    doubts: Any = None
    labels: dict[str, int] = field(default_factory=dict)


def applyResults(
    results: Sequence[QueryResult],
    styles: Mapping[int, SegmentStyle],
    outputSegmentationNode: Any = None,
    outputUncertaintyNode: Any = None,
) -> list[AppliedResult]:
    """Write results into the scene; main thread only.

    Without an output node each scan gets a new segmentation beside it in the subject hierarchy, under its transform and
    with its geometry. In a given one the segments of the run are replaced by ID and all others are left as they are.
    If it holds no others, it moves to the scan's transform and geometry.

    Args:
        results: one per scan.
        styles: by label, of every label in ``results``.
        outputSegmentationNode, outputUncertaintyNode: nodes to write to, for a single result.

    Raises:
        InputError: a scan or an output that is gone or no longer fits. Then, and after any other error, the scene is as
            it was.
    """
    queryNodes = [_queryNode(result) for result in results]
    _checkOutputs(results, queryNodes, styles, outputSegmentationNode, outputUncertaintyNode)
    applied: list[AppliedResult] = []
    with slicer.util.RenderBlocker():
        try:
            for result, queryNode in zip(results, queryNodes, strict=True):
                labels = {styles[label].segmentID: label for label in result.masks}
                applied.append(AppliedResult(queryNode, None, None, result.report, [], result.doubts, labels))
                _apply(applied[-1], result, styles, outputSegmentationNode, outputUncertaintyNode)
        except BaseException:
            undoChanges(applied)
            raise
    return applied


def undoChanges(applied: Sequence[AppliedResult]) -> None:
    """Take back what was written, the last thing first."""
    for result in reversed(applied):
        for changes in reversed(result.changes):
            changes.undo()


def _queryNode(result: QueryResult) -> Any:
    from DPLSegmentLib.errors import InputError

    node = slicer.mrmlScene.GetNodeByID(result.query.nodeID)
    if node is None or not node.IsA("vtkMRMLScalarVolumeNode"):
        raise InputError(Messages.QUERY_GONE.format(name=result.query.name))
    image = node.GetImageData()
    volume = result.query.volume
    known = volume.array.shape if volume is not None else None
    if result.uncertainty is not None:
        known = result.uncertainty.shape
    size = None if image is None else tuple(reversed(image.GetDimensions()))
    fits = size is not None and (known is None or tuple(known) == size)
    for mask in result.masks.values():
        fits = fits and all(part.stop <= count for part, count in zip(mask.box, size, strict=True))
    if not fits:
        raise InputError(Messages.QUERY_CHANGED.format(name=node.GetName()))
    return node


def _checkOutputs(
    results: Sequence[QueryResult],
    queryNodes: Sequence[Any],
    styles: Mapping[int, SegmentStyle],
    segmentationNode: Any,
    uncertaintyNode: Any,
) -> None:
    from DPLSegmentLib.errors import InputError

    given = [node for node in (segmentationNode, uncertaintyNode) if node is not None]
    if given and len(results) > 1:
        raise InputError(Messages.ONE_OUTPUT_FOR_SEVERAL)
    for node in given:
        if not slicer.mrmlScene.IsNodePresent(node):
            raise InputError(Messages.NODE_NOT_IN_SCENE.format(name=node.GetName()))
    if segmentationNode is not None:
        checkOutputSegmentation(segmentationNode, [style.segmentID for style in styles.values()])
    if uncertaintyNode is not None:
        checkOutputVolume(uncertaintyNode, queryNodes)
    for queryNode in queryNodes:
        parentToWorldMatrix(queryNode)


def checkOutputSegmentation(node: Any, segmentIDs: Sequence[str]) -> None:
    """Raise InputError unless segments with these IDs can be written into a node."""
    from DPLSegmentLib.errors import InputError

    if not node.IsA("vtkMRMLSegmentationNode"):
        raise InputError(Messages.OUTPUT_NOT_A_SEGMENTATION.format(name=node.GetName()))
    segmentation = node.GetSegmentation()
    if segmentation.GetNumberOfSegments() and not segmentation.IsSourceRepresentationImageData():
        raise InputError(
            _("The output segmentation '{name}' is stored as surfaces; choose another one.").format(name=node.GetName())
        )
    if _otherSegments(node, segmentIDs):
        parentToWorldMatrix(node)


def checkOutputVolume(node: Any, inputNodes: Sequence[Any]) -> None:
    """Raise InputError unless uncertainty can be written into a node."""
    from DPLSegmentLib.errors import InputError

    if not node.IsA("vtkMRMLScalarVolumeNode") or node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError(Messages.OUTPUT_NOT_A_VOLUME.format(name=node.GetName()))
    if any(node is inputNode for inputNode in inputNodes):
        raise InputError(Messages.OUTPUT_IS_INPUT_VOLUME.format(name=node.GetName()))


def _apply(
    applied: AppliedResult,
    result: QueryResult,
    styles: Mapping[int, SegmentStyle],
    segmentationNode: Any,
    uncertaintyNode: Any,
) -> None:
    queryNode = applied.queryNode
    if segmentationNode is None:
        name = uniqueName(_("{name} segmentation").format(name=queryNode.GetName()))
        segmentationNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        changes = NodeChanges(segmentationNode, [lambda: _removeCreated(segmentationNode, styles)])
        isNew = True
    else:
        changes = NodeChanges(segmentationNode)
        isNew = False
    applied.changes.append(changes)
    applied.segmentationNode = segmentationNode
    _writeSegments(changes, result, queryNode, styles)
    if isNew:
        del changes.steps[1:]  # taking the whole node away is enough
        placeBeside(segmentationNode, queryNode)
    if result.uncertainty is None:
        return
    uncertaintyChanges = None if uncertaintyNode is None else NodeChanges(uncertaintyNode)
    if uncertaintyChanges is not None:
        applied.changes.append(uncertaintyChanges)
    name = uniqueName(_("{name} uncertainty").format(name=queryNode.GetName()))
    written = writeUncertainty(queryNode, result.uncertainty, name, uncertaintyChanges)
    if uncertaintyChanges is None:
        applied.changes.append(written)
        placeBeside(written.node, queryNode)
    applied.uncertaintyNode = written.node


def _writeSegments(
    changes: NodeChanges, result: QueryResult, queryNode: Any, styles: Mapping[int, SegmentStyle]
) -> None:
    node = changes.node
    segmentation = node.GetSegmentation()
    mixed = bool(_otherSegments(node, [style.segmentID for style in styles.values()]))
    # In a segmentation of the user's, surfaces that were not wanted before are not wanted now.
    withSurfaces = not mixed or segmentation.ContainsRepresentation(SURFACE)
    wasModifying = node.StartModify()
    try:
        if not segmentation.GetNumberOfSegments():
            segmentation.SetSourceRepresentationName("Binary labelmap")
        if not mixed:
            changes.steps.append(_placeBackup(node))
            node.SetAndObserveTransformNodeID(queryNode.GetTransformNodeID())
            node.SetReferenceImageGeometryParameterFromVolumeNode(queryNode)
        if node.GetDisplayNode() is None:
            _createDisplay(node)
        toLocal = _ijkToLocal(queryNode, node)
        isEmpty = not segmentation.GetNumberOfSegments()
        for label in result.masks:
            changes.steps.append(_segmentBackup(node, styles[label].segmentID))
        if isEmpty:
            addSegments(node, styles, result.masks, toLocal)
        else:
            for label, mask in result.masks.items():
                putSegment(node, styles[label], makeLabelmap(mask, toLocal))
        if withSurfaces:
            node.CreateClosedSurfaceRepresentation()
    finally:
        node.EndModify(wasModifying)


def placeBeside(node: Any, queryNode: Any) -> None:
    """Put a node right after a scan in the subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    queryItem = hierarchy.GetItemByDataNode(queryNode) if hierarchy is not None else 0
    if not queryItem:
        return
    parent = hierarchy.GetItemParent(queryItem)
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        item = hierarchy.CreateItem(parent, node)
    following = hierarchy.GetItemByPositionUnderParent(parent, hierarchy.GetItemPositionUnderParent(queryItem) + 1)
    if following and following != item:
        hierarchy.MoveItem(item, following)


def _otherSegments(segmentationNode: Any, written: Sequence[str]) -> list[str]:
    """IDs of the segments that a run that writes these IDs leaves alone."""
    return [segmentID for segmentID in segmentationNode.GetSegmentation().GetSegmentIDs() if segmentID not in written]


def _ijkToLocal(queryNode: Any, segmentationNode: Any) -> np.ndarray:
    """(4, 4) from the scan's IJK to the segmentation's own coordinates."""
    if segmentationNode.GetTransformNodeID() == queryNode.GetTransformNodeID():
        return ijkToRASMatrix(queryNode)  # exactly, without the rounding of going to the world and back
    return np.linalg.inv(parentToWorldMatrix(segmentationNode)) @ ijkToWorldMatrix(queryNode)


def _createDisplay(segmentationNode: Any) -> None:
    segmentationNode.CreateDefaultDisplayNodes()
    display = segmentationNode.GetDisplayNode()
    display.SetOpacity2DFill(FILL_OPACITY)
    display.SetOpacity2DOutline(1.0)


def _removeCreated(segmentationNode: Any, styles: Mapping[int, SegmentStyle]) -> None:
    """Remove a segmentation that a run made; the user's own additions to it are kept."""
    written = [style.segmentID for style in styles.values()]
    if _otherSegments(segmentationNode, written):
        for segmentID in written:
            segmentationNode.GetSegmentation().RemoveSegment(segmentID)
    else:
        removeNode(segmentationNode)


def uniqueName(name: str) -> str:
    """This name, with a number if the scene has it already."""
    return slicer.mrmlScene.GenerateUniqueName(name) if slicer.mrmlScene.GetFirstNodeByName(name) else name


def _segmentBackup(node: Any, segmentID: str) -> Any:
    backup = SegmentBackup.of(node, segmentID)

    def restore() -> None:
        if backup is not None:
            backup.restore(node)
        elif node.GetSegmentation().GetSegment(segmentID) is not None:
            node.GetSegmentation().RemoveSegment(segmentID)

    return restore


def _placeBackup(node: Any) -> Any:
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    transformID, referenceID = node.GetTransformNodeID(), node.GetNodeReferenceID(role)
    segmentation = node.GetSegmentation()
    parameter = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    geometry = segmentation.GetConversionParameter(parameter)

    def restore() -> None:
        node.SetAndObserveTransformNodeID(transformID)
        node.SetNodeReferenceID(role, referenceID)
        segmentation.SetConversionParameter(parameter, geometry)

    return restore

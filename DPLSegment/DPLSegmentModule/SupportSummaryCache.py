"""What was found in the annotation, computed again only when annotation, scan or their places have changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer
import vtk

from DPLSegmentModule import Messages
from DPLSegmentModule.SupportReader import SupportSummary, summarizeSupport


class SupportSummaryCache:
    """Remembers the latest summary, or why there is none."""

    def __init__(self, summarize: Callable[..., SupportSummary] = summarizeSupport) -> None:
        self._summarize = summarize
        self._key: tuple | None = None
        self._summary: SupportSummary | None = None
        self._problem = ""

    def get(self, volumeNode: Any, segmentationNode: Any, segmentIDs: Sequence[str] | None = None) -> SupportSummary:
        """The summary. Raises InputError as ``summarizeSupport`` does."""
        from DPLSegmentLib.errors import InputError

        key = _stateOf(volumeNode, segmentationNode, segmentIDs)
        if key != self._key:
            self._key, self._summary, self._problem = key, None, ""
            try:
                self._summary = self._summarize(volumeNode, segmentationNode, segmentIDs)
            except InputError as error:
                self._problem = str(error)
            except Exception:
                self._key = None
                raise
        if self._summary is None:
            raise InputError(self._problem)
        return self._summary

    def text(self, volumeNode: Any, segmentationNode: Any) -> str:
        """One line about the annotation: what was found, or what is missing."""
        from DPLSegmentLib.errors import InputError

        if volumeNode is None:
            return Messages.NO_SUPPORT_VOLUME
        if segmentationNode is None:
            return Messages.NO_SUPPORT_SEGMENTATION
        try:
            return self.get(volumeNode, segmentationNode).text
        except InputError as error:
            return str(error)

    def clear(self) -> None:
        """Forget the summary."""
        self._key = self._summary = None


def _stateOf(volumeNode: Any, annotationNode: Any, segmentIDs: Sequence[str] | None) -> tuple:
    matrix = vtk.vtkMatrix4x4()
    # Only where the two lie relative to each other matters. (0: no matrix leads from one to the other.)
    linear = slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
        annotationNode.GetParentTransformNode(), volumeNode.GetParentTransformNode(), matrix
    )
    place = tuple(matrix.GetElement(row, column) for row in range(4) for column in range(4))
    return (
        volumeNode.GetID(),
        volumeNode.GetMTime(),
        annotationNode.GetID(),
        annotationNode.GetMTime(),
        _segmentsOf(annotationNode),
        bool(linear),
        place,
        None if segmentIDs is None else tuple(segmentIDs),
    )


def _segmentsOf(annotationNode: Any) -> tuple:
    if not annotationNode.IsA("vtkMRMLSegmentationNode"):  # a label map volume
        image = annotationNode.GetImageData()
        return (image.GetMTime() if image is not None else 0,)
    segmentation, display = annotationNode.GetSegmentation(), annotationNode.GetDisplayNode()
    representation = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    state = [segmentation.GetMTime(), display.GetMTime() if display is not None else 0]
    for segmentID in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segmentID)
        labelmap = segment.GetRepresentation(representation)
        # Painting changes a layer, which has no part in the modified time of its segmentation.
        state += [segmentID, segment.GetMTime(), labelmap.GetMTime() if labelmap is not None else 0]
    return tuple(state)

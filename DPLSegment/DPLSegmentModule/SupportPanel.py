"""Choosing the annotated scan, painting on it, and saying what was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from DPLSegmentModule.EmbeddedSegmentEditor import EmbeddedSegmentEditor

# While painting, changes come with every mouse move; the line is brought up to date so often at most.
UPDATE_MILLISECONDS = 250


class SupportPanel(VTKObservationMixin):
    """The support section of the panel."""

    def __init__(self, ui: Any, logic: Any, onSummaryChanged: Callable[[], None]) -> None:
        """
        Args:
            ui: the widgets of the panel.
            logic: summarizes annotations.
            onSummaryChanged: called when the annotation may have become usable, or unusable.
        """
        VTKObservationMixin.__init__(self)
        self.editor = EmbeddedSegmentEditor(ui.segmentEditor)
        self._logic = logic
        self._onSummaryChanged = onSummaryChanged
        self._summary = ui.supportSummaryLabel
        self._segmentationSelector = ui.supportSegmentationSelector
        self._newButton = ui.newAnnotationButton
        self._parameters = None
        self._watched: tuple[Any, Any] = (None, None)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(UPDATE_MILLISECONDS)
        self._timer.connect("timeout()", self.updateSummary)
        self._newButton.connect("clicked(bool)", self.createAnnotation)
        self._segmentationSelector.connect("nodeAddedByUser(vtkMRMLNode*)", self._onSegmentationCreated)

    def setParameters(self, parameters: Any) -> None:
        """Show these parameters; None: the scene is closing."""
        self._parameters = parameters
        self.update()
        self.updateSummary()

    def update(self) -> None:
        """Edit and watch the chosen nodes."""
        if self._parameters is None:
            self._watch(None, None)
            self._timer.stop()
            return
        volume, segmentation = self._parameters.supportVolume, self._parameters.supportSegmentation
        self._newButton.enabled = volume is not None
        self.editor.setNodes(segmentation, volume)
        if (volume, segmentation) != self._watched:
            self._watch(volume, segmentation)
            self.updateSummary()

    def updateSummary(self) -> None:
        """Say what was found, now."""
        if self._parameters is None:
            return
        self._summary.text = self._logic.supportText(
            self._parameters.supportVolume, self._parameters.supportSegmentation
        )
        self._onSummaryChanged()

    def createAnnotation(self) -> None:
        """Make a segmentation for the chosen scan, with one segment, ready to be painted."""
        if self._parameters is None or self._parameters.supportVolume is None:
            return
        name = slicer.mrmlScene.GenerateUniqueName(self._annotationName())
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        self._prepareAnnotation(segmentation)
        self._parameters.supportSegmentation = segmentation
        self.editor.setNodes(segmentation, self._parameters.supportVolume)
        self.editor.startPainting(segmentation.GetSegmentation().GetNthSegmentID(0))

    def cleanup(self) -> None:
        """Let go of the widgets and the scene."""
        self._timer.stop()
        self._timer.disconnect("timeout()", self.updateSummary)
        self._newButton.disconnect("clicked(bool)", self.createAnnotation)
        self._segmentationSelector.disconnect("nodeAddedByUser(vtkMRMLNode*)", self._onSegmentationCreated)
        self._watch(None, None)
        self._parameters = None
        self.editor.cleanup()

    def _onSegmentationCreated(self, segmentation: Any) -> None:
        if self._parameters is None or segmentation is None:
            return
        if self._parameters.supportVolume is not None:
            segmentation.SetName(slicer.mrmlScene.GenerateUniqueName(self._annotationName()))
        self._prepareAnnotation(segmentation)

    def _annotationName(self) -> str:
        return _("{scan} annotation").format(scan=self._parameters.supportVolume.GetName())

    def _prepareAnnotation(self, segmentation: Any) -> None:
        volume = self._parameters.supportVolume
        segmentation.CreateDefaultDisplayNodes()
        if volume is not None:
            # On the scan's own grid and under its transform: what is painted lies where it is seen.
            segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
            segmentation.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        segmentation.GetSegmentation().AddEmptySegment()

    def _watch(self, volume: Any, segmentation: Any) -> None:
        self.removeObservers(self._onChanged)
        self._watched = (volume, segmentation)
        if segmentation is not None:
            for event in (
                slicer.vtkSegmentation.SourceRepresentationModified,
                slicer.vtkSegmentation.SegmentAdded,
                slicer.vtkSegmentation.SegmentRemoved,
                slicer.vtkSegmentation.SegmentModified,
                slicer.vtkSegmentation.SegmentsOrderModified,
                slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent,  # hidden segments are left out
                slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
            ):
                self.addObserver(segmentation, event, self._onChanged)
        if volume is not None:
            self.addObserver(volume, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, self._onChanged)
            self.addObserver(volume, slicer.vtkMRMLTransformableNode.TransformModifiedEvent, self._onChanged)

    def _onChanged(self, caller: Any = None, event: Any = None) -> None:
        # Not restarted by the next change: the line also follows while the brush keeps moving.
        if not self._timer.active:
            self._timer.start()

"""Slicer's Segment Editor inside the panel, with a parameter node of its own."""

from __future__ import annotations

from typing import Any

import slicer

# Another tag than Slicer's own module uses: the two editors do not take each other's segmentation or effect.
SINGLETON_TAG = "DPLSegment"
# Tools that change the slice in view. Thresholds, margins and the like work on all slices at once, and every slice with
# a voxel in it counts as annotated.
EFFECTS = ("Paint", "Draw", "Erase", "Level tracing", "Scissors")
UNDO_STATES = 10


class EmbeddedSegmentEditor:
    """Keeps a ``qMRMLSegmentEditorWidget`` in step with the module it is embedded in.

    The embedding module calls :meth:`enter`, :meth:`exit`, :meth:`sceneAboutToClose`, :meth:`sceneChanged` and
    :meth:`cleanup` at the events of these names; view observations and keyboard shortcuts exist only while the module
    is shown, so that no other module is painted over.
    """

    def __init__(self, editorWidget: Any) -> None:
        self._editor = editorWidget
        self._editorNode = None
        self._editor.setMaximumNumberOfUndoStates(UNDO_STATES)
        self._editor.setEffectNameOrder(list(EFFECTS))
        self._editor.unorderedEffectsVisible = False
        self._editor.setSegmentationNodeSelectorVisible(False)
        self._editor.setSourceVolumeNodeSelectorVisible(False)
        self._editor.setSwitchToSegmentationsButtonVisible(False)
        # The editor stores the selections it makes when it gets its scene, so its node comes first.
        self._selectEditorNode()
        self._editor.setMRMLScene(slicer.mrmlScene)

    def setNodes(self, segmentationNode: Any, volumeNode: Any) -> None:
        """Edit this segmentation on this volume; either may be None."""
        if self._editorNode is None:
            return
        self._editor.setSegmentationNode(segmentationNode)
        if segmentationNode is not None and volumeNode is not None:
            # Without a segmentation the editor has nothing to remember the volume for.
            self._editor.setSourceVolumeNode(volumeNode)
        self._editor.enabled = segmentationNode is not None and volumeNode is not None

    def startPainting(self, segmentID: str) -> None:
        """Select the segment and take the brush."""
        self._editor.setCurrentSegmentID(segmentID)
        self._editor.setActiveEffectByName("Paint")

    def enter(self) -> None:
        """The module is shown."""
        # Effects of other extensions may have been registered since.
        self._editor.updateEffectList()
        # Painting is not possible in views that show several slices.
        self._editor.turnOffLightboxes()
        self._editor.installKeyboardShortcuts()
        self.sceneChanged()

    def exit(self) -> None:
        """Another module is shown."""
        self._editor.setActiveEffect(None)
        self._editor.uninstallKeyboardShortcuts()
        self._editor.removeViewObservations()

    def sceneAboutToClose(self) -> None:
        """The editor lets go of nodes that are about to be deleted."""
        self._editor.setActiveEffect(None)
        self._editor.setSegmentationNode(None)
        self._editor.removeViewObservations()
        self._editorNode = None

    def sceneChanged(self) -> None:
        """After closing or loading a scene: use the editor node it holds, or make one."""
        self._selectEditorNode()
        self._editor.updateWidgetFromMRML()

    def cleanup(self) -> None:
        """The module's widget is about to be destroyed."""
        self.exit()
        self._editor.setSegmentationNode(None)

    def _selectEditorNode(self) -> None:
        node = slicer.mrmlScene.GetSingletonNode(SINGLETON_TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = slicer.vtkMRMLSegmentEditorNode()
            node.SetSingletonTag(SINGLETON_TAG)
            node = slicer.mrmlScene.AddNode(node)
        if node is not self._editorNode:
            self._editorNode = node
            self._editor.setMRMLSegmentEditorNode(node)

"""How uncertainty is shown: over the scan, with a colour map that is even to the eye, and with a legend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer
from slicer.i18n import tr as _

# Slicer's perceptually even maps, then what every Slicer has.
COLOR_MAPS = ("Inferno", "Magma", "Plasma", "Viridis", "Iron", "Grey")
# What is surer than this stays clear, so that the scan can be seen.
CLEAR_BELOW = 0.05
BRIGHTEST = 0.5  # as likely wrong as right
LEGEND_SIZE = (0.1, 0.4)  # width and height as shares of the view; Slicer's default hides much of the scan


def setUpDisplay(uncertaintyNode: Any) -> None:
    """Give an uncertainty volume its colour map and window, unless it has been displayed before."""
    if uncertaintyNode.GetDisplayNode() is not None:
        return
    uncertaintyNode.CreateDefaultDisplayNodes()
    display = uncertaintyNode.GetDisplayNode()
    color = _colorMap()
    with slicer.util.NodeModify(display):
        if color is not None:
            display.SetAndObserveColorNodeID(color.GetID())
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(0.0, BRIGHTEST)
        display.SetAutoThreshold(False)
        display.SetThreshold(CLEAR_BELOW, 1.0)
        display.SetApplyThreshold(True)
        display.SetInterpolate(True)


def _colorMap() -> Any:
    nodes = slicer.util.getNodesByClass("vtkMRMLColorNode")
    for name in COLOR_MAPS:
        for node in nodes:
            if node.GetName() == name:
                return node
    return None


@dataclass
class _Foreground:
    """What one slice view showed in front before."""

    composite: Any
    volumeID: str | None
    opacity: float


class UncertaintyDisplay:
    """Shows one uncertainty volume at a time as the foreground of all slice views; backgrounds stay as they are."""

    def __init__(self) -> None:
        self._shown: Any = None
        self._before: list[_Foreground] = []

    def show(self, uncertaintyNode: Any, opacity: float = 0.5) -> None:
        """Show it with a legend; ``opacity`` in [0, 1]. Shown already: only the opacity changes."""
        isNew = not self.isShown(uncertaintyNode)
        if isNew:
            self.hide()
            self._shown = uncertaintyNode
            takeAway(uncertaintyNode)
            self._before = [
                _Foreground(composite, composite.GetForegroundVolumeID(), composite.GetForegroundOpacity())
                for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
            ]
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            with slicer.util.NodeModify(composite):
                composite.SetForegroundVolumeID(uncertaintyNode.GetID())
                composite.SetForegroundOpacity(opacity)
        if isNew:
            # Last: a legend looks only when it is made, or changed, which views show its volume.
            self._addLegend(uncertaintyNode)

    def hide(self, uncertaintyNode: Any = None) -> None:
        """Take it away with its legend and bring back what was there before. None: whichever is shown."""
        shown = self._shown
        if uncertaintyNode is not None and uncertaintyNode is not shown:
            takeAway(uncertaintyNode)
            return
        if shown is None:
            return
        removeLegend(shown)
        for before in self._before:
            composite = before.composite
            # The user may have chosen something else for a view meanwhile; that is left alone.
            if not slicer.mrmlScene.IsNodePresent(composite) or composite.GetForegroundVolumeID() not in (
                shown.GetID(),
                None,
            ):
                continue
            known = before.volumeID is not None and slicer.mrmlScene.GetNodeByID(before.volumeID) is not None
            with slicer.util.NodeModify(composite):
                composite.SetForegroundVolumeID(before.volumeID if known else None)
                composite.SetForegroundOpacity(before.opacity)
        self.forget()

    def isShown(self, uncertaintyNode: Any) -> bool:
        """Whether this volume is being shown."""
        return (
            uncertaintyNode is not None
            and uncertaintyNode is self._shown
            and bool(slicer.mrmlScene.IsNodePresent(uncertaintyNode))
        )

    def forget(self) -> None:
        """The scene is closing: remember nothing of it."""
        self._shown, self._before = None, []

    def _addLegend(self, uncertaintyNode: Any) -> None:
        legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(uncertaintyNode)
        if legend is None:
            return
        with slicer.util.NodeModify(legend):
            legend.SetTitleText(_("Uncertainty"))
            legend.SetLabelFormat("%.1f")
            legend.SetNumberOfLabels(6)  # 0.0, 0.1 and so on to 0.5
            legend.SetSize(*LEGEND_SIZE)
            legend.SetVisibility(True)


def takeAway(uncertaintyNode: Any) -> None:
    """Hide a volume that something else shows: a scene that was saved with it, or the module before it was reloaded."""
    if uncertaintyNode.GetScene() is None:
        return
    removeLegend(uncertaintyNode)
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if composite.GetForegroundVolumeID() == uncertaintyNode.GetID():
            with slicer.util.NodeModify(composite):
                composite.SetForegroundVolumeID(None)
                composite.SetForegroundOpacity(0.0)


def removeLegend(uncertaintyNode: Any) -> None:
    """Remove the legend of a volume that is in the scene, if it has one."""
    if uncertaintyNode.GetScene() is None:
        return
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(uncertaintyNode)
    if legend is not None:
        slicer.mrmlScene.RemoveNode(legend)

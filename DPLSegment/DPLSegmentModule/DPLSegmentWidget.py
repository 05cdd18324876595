"""The module's panel: puts its parts together and passes the events of the application on to them."""

from __future__ import annotations

import sys
from typing import Any

import slicer
import vtk
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from DPLSegmentModule import Paths, SliceNavigation
from DPLSegmentModule.AdvancedPanel import AdvancedPanel
from DPLSegmentModule.DPLSegmentLogic import DPLSegmentLogic
from DPLSegmentModule.DPLSegmentParameters import DPLSegmentParameters
from DPLSegmentModule.ParameterBinding import ParameterBinding
from DPLSegmentModule.QueryPanel import QueryPanel
from DPLSegmentModule.ResultPanel import ResultPanel
from DPLSegmentModule.RunPanel import RunPanel
from DPLSegmentModule.SupportPanel import SupportPanel

# Called after every other observer of the scene, when node selectors are complete again.
LAST = -1.0


class DPLSegmentWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel; everything it knows is in the parameter node, everything it can is in the logic."""

    def __init__(self, parent: Any = None, logic: Any = None) -> None:
        """
        Args:
            parent: the widget that holds the panel; a window of its own if None.
            logic: a ``DPLSegmentLogic`` or a replacement; a new one if None.
        """
        self.logic = DPLSegmentLogic() if logic is None else logic
        self.parameters: Any = None
        VTKObservationMixin.__init__(self)
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def resourcePath(self, filename: str) -> str:
        """Resources lie elsewhere in a source checkout than where Slicer expects them."""
        return Paths.resourcePath(filename)

    def setup(self) -> None:
        """Build the panel; called once."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/DPLSegment.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        self.supportPanel = SupportPanel(self.ui, self.logic, self.updateReason)
        self.queryPanel = QueryPanel(self.ui)
        self.runPanel = RunPanel(self.ui, self.logic, self._inputs, self._onResults)
        self.resultPanel = ResultPanel(self.ui, self.logic)
        self.advancedPanel = AdvancedPanel(self.ui, self.logic.dependencies)
        self.binding = ParameterBinding(self.ui)
        self.logic.onHistoryChanged = self.resultPanel.update
        self._panels = (self.binding, self.supportPanel, self.queryPanel, self.resultPanel, self.advancedPanel)
        panel.setMRMLScene(slicer.mrmlScene)

        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneAboutToClose)
        self.addObserver(scene, scene.StartImportEvent, self._onSceneAboutToChange)
        self.addObserver(scene, scene.StartBatchProcessEvent, self._onBatchStarted)
        self.addObserver(scene, scene.EndBatchProcessEvent, self._onBatchEnded, priority=LAST)
        self.addObserver(scene, scene.NodeRemovedEvent, self._onNodeRemoved, priority=LAST)
        self.setParameterNode(self.logic.getParameterNode())

    def enter(self) -> None:
        """The user opens the module."""
        self.supportPanel.editor.enter()
        self.setParameterNode(self.logic.getParameterNode())
        # Scans and outputs may have been changed in other modules.
        self._onParametersChanged()

    def exit(self) -> None:
        """The user opens another module; a run goes on."""
        self.supportPanel.editor.exit()

    def cleanup(self) -> None:
        """The panel is about to be destroyed."""
        self.runPanel.cleanup()
        self.logic.onHistoryChanged = None
        self.setParameterNode(None)
        self.removeObservers()
        for panel in self._panels:
            panel.cleanup()

    def onReload(self) -> None:
        """Reload the module with all its files, not only the first (developer mode)."""
        for name in list(sys.modules):
            if name.partition(".")[0] == "DPLSegmentModule":
                del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def setParameterNode(self, node: Any) -> None:
        """Show this parameter node, and keep its values up to date with the panel; None: none."""
        if self.parameters is not None:
            if node is self.parameters.parameterNode:
                return
            self.removeObserver(self.parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersChanged)
        self.parameters = None
        parameters = DPLSegmentParameters(node) if node is not None else None
        if parameters is not None:
            if parameters.supportVolume is None:
                parameters.supportVolume = SliceNavigation.firstShownVolume()
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._onParametersChanged)
        self.parameters = parameters
        for panel in self._panels:
            panel.setParameters(parameters)
        self.updateReason()

    def updateReason(self) -> None:
        """Enable the button if, and only if, a click would succeed."""
        if self.parameters is None:
            return
        chosen = self.parameters
        volume, segmentation = chosen.supportVolume, chosen.supportSegmentation
        if volume is None:
            # The logic would find one; on the panel the user is to see which.
            reason = self.logic.supportText(volume, segmentation)
        else:
            queries = self.queryPanel.queryVolumes()
            reason = self.logic.reasonNotReady(
                volume, segmentation, queries, chosen.outputSegmentation, weightsPath=chosen.weightsPath
            )
        self.runPanel.setReason(reason)

    def _inputs(self) -> dict[str, Any]:
        chosen = self.parameters
        queries = self.queryPanel.queryVolumes()
        return {
            "queryVolumeNode": queries if len(queries) > 1 else queries[0],
            "supportVolumeNode": chosen.supportVolume,
            "supportSegmentationNode": chosen.supportSegmentation,
            "outputSegmentationNode": chosen.outputSegmentation,
            "createUncertainty": chosen.uncertainty,
            "device": chosen.device,
            "seed": chosen.seed,
            "variants": chosen.variants or None,
            "weightsPath": chosen.weightsPath or None,
        }

    def _onResults(self, prepared: Any, applied: list[Any]) -> None:
        self.resultPanel.showResults(prepared, applied)
        # Only now is it known which devices there are.
        self.advancedPanel.refreshDevices()

    def _onParametersChanged(self, caller: Any = None, event: Any = None) -> None:
        if self.parameters is None:
            return
        for panel in self._panels:
            panel.update()
        self.updateReason()

    def _onSceneAboutToClose(self, caller: Any = None, event: Any = None) -> None:
        self.setParameterNode(None)
        self.supportPanel.editor.sceneAboutToClose()
        self.runPanel.showMessage("")

    def _onSceneAboutToChange(self, caller: Any = None, event: Any = None) -> None:
        self.setParameterNode(None)

    def _onBatchStarted(self, caller: Any = None, event: Any = None) -> None:
        self.binding.suspend()
        self.queryPanel.suspend()

    def _onBatchEnded(self, caller: Any = None, event: Any = None) -> None:
        # Closing and loading scenes end here, too; in between, nodes come and go.
        self.binding.resume()
        self.queryPanel.resume()
        if self.parameters is not None:
            self._onParametersChanged()
        elif getattr(self.parent, "isEntered", True):  # a window of its own is never entered, but always shown
            self.supportPanel.editor.sceneChanged()
            self.setParameterNode(self.logic.getParameterNode())
        elif self.runPanel.isRunning:
            # The user waits for a result elsewhere, and it needs a place to be remembered in.
            self.setParameterNode(self.logic.getParameterNode())

    def _onNodeRemoved(self, caller: Any = None, event: Any = None) -> None:
        if not slicer.mrmlScene.IsBatchProcessing():
            self._onParametersChanged()

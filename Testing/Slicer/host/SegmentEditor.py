"""qMRMLSegmentEditorWidget: the editor's interface over the real vtkSlicerSegmentEditorLogic.

Effects are Paint and Erase only; names of Slicer's other effects are accepted where an order is asked for.
"""

from __future__ import annotations

from PySide6.QtCore import Property, Signal

from .Observations import Observations
from .PaintEffect import PaintEffect
from .PythonQt import slicerWidget
from .SegmentEditorPanel import SegmentEditorPanel

_EFFECT_NAMES = (
    "Threshold", "Paint", "Draw", "Erase", "Level tracing", "Grow from seeds", "Fill between slices", "Margin",
    "Hollow", "Smoothing", "Scissors", "Islands", "Logical operators", "Mask volume",
)  # fmt: skip


@slicerWidget(
    "sourceVolumeNodeChanged(vtkMRMLVolumeNode*)",
    "segmentationNodeChanged(vtkMRMLSegmentationNode*)",
)
class qMRMLSegmentEditorWidget(SegmentEditorPanel):
    """Segment list, effects, undo. The parameter node has to be set before nodes are, as in Slicer."""

    currentSegmentIDChanged = Signal(str)
    sourceVolumeNodeChanged = Signal(object)
    segmentationNodeChanged = Signal(object)

    _flags = {
        "autoShowSourceVolumeNode": True, "readOnly": False, "unorderedEffectsVisible": True,
        "maskingSectionVisible": True, "jumpToSelectedSegmentEnabled": False, "effectColumnCount": 2,
        "defaultTerminologyEntry": "", "defaultTerminologyEntrySettingsKey": "",
    }  # fmt: skip

    def __init__(self, parent=None):
        super().__init__(parent)
        import slicer

        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        self._values = dict(self._flags)
        self._effectOrder = []
        self._activeEffect = None
        self._lastSegmentID = ""
        self._observations = Observations(self)
        self._views = {}
        self._shortcuts = False
        self._effects = {
            "Paint": PaintEffect("Paint", self, self._logic.ModificationModeAdd),
            "Erase": PaintEffect("Erase", self, self._logic.ModificationModeRemove),
        }
        self._connectPanel()

    def _connectPanel(self) -> None:
        self._segmentationBox.connect("currentNodeChanged(vtkMRMLNode*)", self.setSegmentationNode)
        self._volumeBox.connect("currentNodeChanged(vtkMRMLNode*)", self.setSourceVolumeNode)
        self._buttons["Add"].connect("clicked()", self._addSegment)
        self._buttons["Remove"].connect("clicked()", self._logic.RemoveSelectedSegment)
        self._buttons["Show 3D"].connect("toggled(bool)", self._show3D)
        for name, button in self._effectButtons.items():
            button.connect("clicked()", lambda name=name: self.setActiveEffectByName(name))
        self._undo.connect("clicked()", self.undo)
        self._redo.connect("clicked()", self.redo)
        self._diameter.connect("valueChanged(double)", self._onDiameter)
        self._list.itemSelectionChanged.connect(self._onListSelection)
        self._list.segmentsChanged.connect(self.updateWidgetFromMRML)

    # Nodes

    def setMRMLScene(self, scene) -> None:
        super().setMRMLScene(scene)
        self._logic.SetMRMLScene(scene)
        self._segmentationBox.setMRMLScene(scene)
        self._volumeBox.setMRMLScene(scene)

    def setMRMLSegmentEditorNode(self, node) -> None:
        self._logic.SetSegmentEditorNode(node)
        self.updateWidgetFromMRML()

    def mrmlSegmentEditorNode(self):
        return self._logic.GetSegmentEditorNode()

    def editorLogic(self):
        return self._logic

    def segmentationNode(self):
        return self._logic.GetSegmentationNode()

    def segmentationNodeID(self) -> str:
        return self.segmentationNode().GetID() if self.segmentationNode() else ""

    def setSegmentationNode(self, node) -> None:
        if node is self.segmentationNode() and node is self._list.segmentationNode():
            return
        self._logic.SetSegmentationNode(node)
        if node is not None:
            node.CreateDefaultDisplayNodes()
        self.updateWidgetFromMRML()
        self.segmentationNodeChanged.emit(node)

    def setSegmentationNodeID(self, nodeID: str) -> None:
        self.setSegmentationNode(self.mrmlScene().GetNodeByID(nodeID))

    def sourceVolumeNode(self):
        return self._logic.GetSourceVolumeNode()

    def sourceVolumeNodeID(self) -> str:
        return self.sourceVolumeNode().GetID() if self.sourceVolumeNode() else ""

    def setSourceVolumeNode(self, node) -> None:
        if node is self.sourceVolumeNode():
            return
        self._logic.SetSourceVolumeNode(node)
        segmentation = self.segmentationNode()
        if node is not None and segmentation is not None:
            role = segmentation.GetReferenceImageGeometryReferenceRole()
            if segmentation.GetNodeReference(role) is None:
                segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
        if node is not None and self.autoShowSourceVolumeNode:
            self.showSourceVolumeInSliceViewers(True, False)
        self.updateWidgetFromMRML()
        self.sourceVolumeNodeChanged.emit(node)

    def setSourceVolumeNodeID(self, nodeID: str) -> None:
        self.setSourceVolumeNode(self.mrmlScene().GetNodeByID(nodeID))

    def showSourceVolumeInSliceViewers(self, forceShowInBackground=False, fitSlice=False) -> None:
        import slicer

        slicer.util.setSliceViewerLayers(background=self.sourceVolumeNode(), foreground=None, label=None, fit=fitSlice)

    # Segments

    def currentSegmentID(self) -> str:
        return self._logic.GetCurrentSegmentID() or ""

    def setCurrentSegmentID(self, segmentID: str) -> None:
        self._logic.SetCurrentSegmentID(segmentID)
        self.updateWidgetFromMRML()

    def _addSegment(self) -> None:
        self._logic.AddEmptySegment()
        self.updateWidgetFromMRML()

    def _onListSelection(self) -> None:
        self.setCurrentSegmentID(next(iter(self._list.selectedIDs()), ""))

    def _show3D(self, show: bool) -> None:
        node = self.segmentationNode()
        if node is not None and show:
            node.CreateClosedSurfaceRepresentation()
        elif node is not None:
            node.RemoveClosedSurfaceRepresentation()

    def updateWidgetFromMRML(self) -> None:
        segmentation = self.segmentationNode()
        if self._list.segmentationNode() is not segmentation:
            self._list.setSegmentationNode(segmentation)
        if self.mrmlSegmentEditorNode() is not None:
            self._segmentationBox.setCurrentNode(segmentation)
            self._volumeBox.setCurrentNode(self.sourceVolumeNode())
        segmentID = self.currentSegmentID()
        self._list.select([segmentID])
        ready = segmentation is not None and self.sourceVolumeNode() is not None
        self._buttons["Add"].enabled = ready
        self._buttons["Remove"].enabled = bool(segmentID)
        for name, button in self._effectButtons.items():
            button.enabled = ready and bool(segmentID)
            button.checked = name == (self._activeEffect.name if self._activeEffect else "None")
        self._undo.enabled, self._redo.enabled = self._logic.CanUndo(), self._logic.CanRedo()
        if segmentID != self._lastSegmentID:
            self._lastSegmentID = segmentID
            self.currentSegmentIDChanged.emit(segmentID)

    # Effects

    def availableEffectNames(self) -> list[str]:
        return list(_EFFECT_NAMES)

    def setEffectNameOrder(self, names) -> None:
        unknown = set(names) - set(_EFFECT_NAMES)
        if unknown:
            raise ValueError(f"Slicer has no segment editor effects named {sorted(unknown)}.")
        self._effectOrder = list(names)

    def effectNameOrder(self) -> list[str]:
        return list(self._effectOrder)

    def updateEffectList(self) -> None:
        """Shows the buttons of the effects that were asked for."""
        for name, button in self._effectButtons.items():
            button.visible = name == "None" or self.unorderedEffectsVisible or name in self._effectOrder

    def effectByName(self, name: str):
        return self._effects.get(name)

    def activeEffect(self):
        return self._activeEffect

    def setActiveEffect(self, effect) -> None:
        self._activeEffect = effect
        if self.mrmlSegmentEditorNode() is not None:
            self.mrmlSegmentEditorNode().SetActiveEffectName(effect.name if effect else "")
        if effect is not None and not self._observations:
            self.setupViewObservations()
        self.updateWidgetFromMRML()

    def setActiveEffectByName(self, name: str) -> None:
        if name not in ("", "None", *self._effects):
            raise LookupError(f"The test host has no segment editor effect {name!r}.")
        self.setActiveEffect(self._effects.get(name))

    def _onDiameter(self, value: float) -> None:
        for effect in self._effects.values():
            effect.setParameter("BrushAbsoluteDiameter", value)

    # Undo

    def saveStateForUndo(self) -> None:
        self._logic.SaveStateForUndo()
        self.updateWidgetFromMRML()

    def undo(self) -> None:
        self._logic.Undo()
        self.updateWidgetFromMRML()

    def redo(self) -> None:
        self._logic.Redo()
        self.updateWidgetFromMRML()

    # Views

    def setupViewObservations(self) -> None:
        import slicer

        self.removeViewObservations()
        manager = slicer.app.layoutManager()
        for name in manager.sliceViewNames():
            view = manager.sliceWidget(name).sliceView()
            self._views[view.interactor()] = view
            for event in ("LeftButtonPressEvent", "MouseMoveEvent", "LeftButtonReleaseEvent"):
                self._observations.add(view.interactor(), event, self._onMouse, priority=10.0)

    def _onMouse(self, interactor, event: str) -> None:
        """Gives the mouse to the active effect, before the view moves or windows the picture with it."""
        ready = self._activeEffect is not None and self.segmentationNode() is not None and self.currentSegmentID()
        if not ready or self.sourceVolumeNode() is None or self.readOnly:
            return
        steps = {"LeftButtonPressEvent": "begin", "MouseMoveEvent": "move", "LeftButtonReleaseEvent": "end"}
        getattr(self._activeEffect, steps[event])(self._views[interactor], interactor.GetEventPosition())
        self.updateWidgetFromMRML()
        self._observations.abort(interactor)

    def removeViewObservations(self) -> None:
        self._observations.clear()
        self._views.clear()

    def viewsAreObserved(self) -> bool:
        """For tests: whether setupViewObservations is in effect."""
        return bool(self._observations)

    def installKeyboardShortcuts(self, parent=None) -> None:
        self._shortcuts = True

    def uninstallKeyboardShortcuts(self) -> None:
        self._shortcuts = False

    def shortcutsAreInstalled(self) -> bool:
        """For tests: whether installKeyboardShortcuts is in effect."""
        return self._shortcuts

    def turnOffLightboxes(self) -> bool:
        """Whether there were views of several slices; the host has none."""
        return False

    def hideLabelLayer(self) -> None:
        import slicer

        slicer.util.setSliceViewerLayers(label=None)

    def selectNextSegment(self) -> None:
        self._logic.SelectNextSegment()
        self.updateWidgetFromMRML()

    def selectPreviousSegment(self) -> None:
        self._logic.SelectPreviousSegment()
        self.updateWidgetFromMRML()

    def rotateSliceViewsToSegmentation(self) -> None:
        import slicer

        manager = slicer.app.layoutManager()
        for name in manager.sliceViewNames():
            manager.sliceWidget(name).mrmlSliceNode().RotateToVolumePlane(self.sourceVolumeNode())

    # Properties

    def _flag(name, kind=bool):
        return Property(
            kind, lambda self: self._values[name], lambda self, value: self._values.update({name: kind(value)})
        )

    autoShowSourceVolumeNode = _flag("autoShowSourceVolumeNode")
    readOnly = _flag("readOnly")
    unorderedEffectsVisible = _flag("unorderedEffectsVisible")
    maskingSectionVisible = _flag("maskingSectionVisible")
    jumpToSelectedSegmentEnabled = _flag("jumpToSelectedSegmentEnabled")
    effectColumnCount = _flag("effectColumnCount", int)
    defaultTerminologyEntry = _flag("defaultTerminologyEntry", str)
    defaultTerminologyEntrySettingsKey = _flag("defaultTerminologyEntrySettingsKey", str)
    del _flag

    def _visibility(widgetsOf):
        def show(self, visible):
            for widget in widgetsOf(self):
                widget.setVisible(visible)

        return Property(bool, lambda self: not widgetsOf(self)[0].isHidden(), show)

    segmentationNodeSelectorVisible = _visibility(lambda self: [self._segmentationBox, self._boxLabels[0]])
    sourceVolumeNodeSelectorVisible = _visibility(lambda self: [self._volumeBox, self._boxLabels[1]])
    addRemoveSegmentButtonsVisible = _visibility(lambda self: [self._buttons["Add"], self._buttons["Remove"]])
    show3DButtonVisible = _visibility(lambda self: [self._buttons["Show 3D"]])
    switchToSegmentationsButtonVisible = _visibility(lambda self: [self._segmentations])
    specifyGeometryButtonVisible = _visibility(lambda self: [self._geometry])
    undoEnabled = _visibility(lambda self: [self._undo, self._redo])
    del _visibility

    maximumNumberOfUndoStates = Property(
        int,
        lambda self: self._logic.GetMaximumNumberOfUndoStates(),
        lambda self, value: self._logic.SetMaximumNumberOfUndoStates(value),
    )


def _addSetters(widgetClass) -> None:
    """setX(value) for every property x, as the C++ class has them."""
    for name, attribute in list(vars(widgetClass).items()):
        setter = "set" + name[0].upper() + name[1:]
        if isinstance(attribute, Property) and not hasattr(widgetClass, setter):
            setattr(widgetClass, setter, lambda self, value, name=name: setattr(self, name, value))


_addSetters(qMRMLSegmentEditorWidget)

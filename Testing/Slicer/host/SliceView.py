"""Slice views: the real slice logic and the real displayable managers in an offscreen render window."""

from __future__ import annotations

import vtk
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from .PythonQt import slicerWidget
from .RenderedView import RenderedView, registerDisplayableManagers

_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)


@slicerWidget()
class qMRMLSliceView(RenderedView):
    """The picture of one slice."""

    def __init__(self, logic):
        super().__init__()
        import slicer

        self._logic = logic
        camera = self._renderer.GetActiveCamera()
        camera.ParallelProjectionOn()
        # The slice has to be added before the managers' actors: it would hide them otherwise.
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(actor)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(logic.GetMRMLApplicationLogic())
        registerDisplayableManagers(factory, _MANAGERS)
        self._group = factory.InstantiateDisplayableManagers(self._renderer)
        self._group.SetMRMLDisplayableNode(logic.GetSliceNode())
        logic.SetDisplayableManagerGroup(self._group)
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetSliceLogic(logic)
        self._style.SetDisplayableManagers(self._group)
        self._style.SetInteractor(self._interactor)

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()

    def displayableManagerByClassName(self, name: str):
        return self._group.GetDisplayableManagerByClassName(name)

    def resizeEvent(self, event):
        super().resizeEvent(event)
        self._logic.ResizeSliceNode(event.size().width(), event.size().height())

    def _beforeRender(self) -> None:
        connection = self._logic.GetImageDataConnection()
        if connection is None:
            self._mapper.RemoveAllInputConnections(0)
            self._mapper.SetInputData(vtk.vtkImageData())
        else:
            self._mapper.SetInputConnection(connection)


@slicerWidget()
class qMRMLSliceWidget(QWidget):
    """A slice view with its controller bar (name, offset slider)."""

    _ORIENTATIONS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
    _COLORS = {"Red": "#f34a33", "Green": "#6eb04b", "Yellow": "#edd54c"}

    def __init__(self, name: str, applicationLogic, scene):
        super().__init__()
        import slicer

        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(applicationLogic)
        self._logic.SetMRMLScene(scene)
        self._name = name
        self.addNodes()
        applicationLogic.GetSliceLogics().AddItem(self._logic)
        self._view = qMRMLSliceView(self._logic)
        self._bar = QLabel(name[0])
        self._bar.alignment = Qt.AlignCenter
        self._bar.styleSheet = f"background: {self._COLORS[name]}; color: black;"
        self._slider = QSlider(Qt.Horizontal)
        self._slider.setRange(0, 1000)
        self._slider.sliderMoved.connect(self._onSlider)
        bar = QHBoxLayout()
        bar.addWidget(self._bar)
        bar.addWidget(self._slider)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(1, 1, 1, 1)
        layout.setSpacing(1)
        layout.addLayout(bar)
        layout.addWidget(self._view, 1)
        self._logic.GetSliceNode().AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._showOffset())

    def addNodes(self) -> None:
        """The slice node and the composite node; again after they went with a closed scene."""
        if self._logic.GetSliceNode() is None or self._logic.GetSliceNode().GetScene() is None:
            node = self._logic.AddSliceNode(self._name)
            node.SetOrientation(self._ORIENTATIONS[self._name])

    def sliceView(self):
        return self._view

    def sliceLogic(self):
        return self._logic

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        return self._logic.GetSliceCompositeNode()

    def sliceController(self):
        return self

    def interactorStyle(self):
        return self._view.interactorStyle()

    def setSliceOffsetValue(self, offset: float) -> None:
        self._logic.SetSliceOffset(offset)

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()

    def _range(self) -> tuple[float, float]:
        bounds = [0.0] * 6
        self._logic.GetLowestVolumeSliceBounds(bounds)
        return bounds[4], bounds[5]

    def _onSlider(self, position: int) -> None:
        low, high = self._range()
        self._logic.SetSliceOffset(low + (high - low) * position / 1000)

    def _showOffset(self) -> None:
        low, high = self._range()
        if high > low:
            self._slider.value = round(1000 * (self._logic.GetSliceOffset() - low) / (high - low))
        self._view.update()

"""The 3-D view: a real view node with the real displayable managers."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from .PythonQt import slicerWidget
from .RenderedView import RenderedView, registerDisplayableManagers

_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLColorLegendDisplayableManager",
)


@slicerWidget()
class qMRMLThreeDView(RenderedView):
    """The picture of the 3-D scene."""

    def __init__(self, applicationLogic, scene):
        super().__init__()
        import slicer

        self._logic = slicer.vtkMRMLViewLogic()
        self._logic.SetMRMLApplicationLogic(applicationLogic)
        self._logic.SetMRMLScene(scene)
        self._node = None
        self._factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        self._factory.SetMRMLApplicationLogic(applicationLogic)
        registerDisplayableManagers(self._factory, _MANAGERS)
        self.addNodes()
        self._group = self._factory.InstantiateDisplayableManagers(self._renderer)
        self._group.SetMRMLDisplayableNode(self._node)
        self._style = slicer.vtkMRMLThreeDViewInteractorStyle()
        self._style.SetInteractor(self._interactor)

    def addNodes(self) -> None:
        """The view node; again after it went with a closed scene. Without box and labels, for plain pictures."""
        if self._node is None or self._node.GetScene() is None:
            self._node = self._logic.AddViewNode("1")
        self._node.SetBoxVisible(False)
        self._node.SetAxisLabelsVisible(False)

    def viewLogic(self):
        return self._logic

    def mrmlViewNode(self):
        return self._node

    def resetFocalPoint(self) -> None:
        self._renderWindow.SetSize(self.width, self.height)
        self._renderer.ResetCamera()

    def resetCamera(self) -> None:
        self.resetFocalPoint()

    def _beforeRender(self) -> None:
        self._renderer.ResetCameraClippingRange()


@slicerWidget()
class qMRMLThreeDWidget(QWidget):
    """A 3-D view in its frame."""

    def __init__(self, applicationLogic, scene):
        super().__init__()
        self._view = qMRMLThreeDView(applicationLogic, scene)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(1, 1, 1, 1)
        layout.addWidget(self._view)

    def threeDView(self):
        return self._view

    def threeDController(self):
        return self

    def mrmlViewNode(self):
        return self._view.mrmlViewNode()

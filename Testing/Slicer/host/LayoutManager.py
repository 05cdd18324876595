"""slicer.app.layoutManager(): three slice views and one 3-D view in the four-up layout."""

from __future__ import annotations

import vtk
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from .PythonQt import slicerWidget
from .SliceView import qMRMLSliceWidget
from .ThreeDView import qMRMLThreeDWidget

FOUR_UP = 3  # vtkMRMLLayoutNode.SlicerLayoutFourUpView


@slicerWidget()
class qSlicerLayoutManager(QWidget):
    """The views, as the widget that holds them and the object that modules ask for them."""

    layoutChanged = Signal(int)

    def __init__(self, applicationLogic, scene):
        super().__init__()
        self._applicationLogic = applicationLogic
        self._layout = FOUR_UP
        # Known to the application before the views exist: color legends look up here, once, which slice is theirs.
        self._sliceLogics = vtk.vtkCollection()
        applicationLogic.SetSliceLogics(self._sliceLogics)
        names = ("Red", "Green", "Yellow")
        self._slices = {name: qMRMLSliceWidget(name, applicationLogic, scene) for name in names}
        self._threeD = qMRMLThreeDWidget(applicationLogic, scene)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(1)
        for widget, row, column in (
            (self._slices["Red"], 0, 0),
            (self._threeD, 0, 1),
            (self._slices["Green"], 1, 0),
            (self._slices["Yellow"], 1, 1),
        ):
            grid.addWidget(widget, row, column)
        self._viewLogics = vtk.vtkCollection()
        self._viewLogics.AddItem(self._threeD.threeDView().viewLogic())
        applicationLogic.SetViewLogics(self._viewLogics)

    threeDViewCount = property(lambda self: 1)
    tableViewCount = property(lambda self: 0)
    plotViewCount = property(lambda self: 0)

    def _setLayout(self, layout: int) -> None:
        self._layout = layout
        self.layoutChanged.emit(layout)

    layout = property(lambda self: self._layout, _setLayout)

    def setLayout(self, layout) -> None:
        self._setLayout(layout)

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._slices)

    def sliceWidget(self, name: str):
        return self._slices.get(name)

    def threeDWidget(self, _index: int):
        return self._threeD

    def mrmlSliceLogics(self):
        return self._sliceLogics

    def resetSliceViews(self) -> None:
        for widget in self._slices.values():
            widget.fitSliceToBackground()

    def resetThreeDViews(self) -> None:
        self._threeD.threeDView().resetFocalPoint()

    def addNodes(self) -> None:
        """The view nodes, after a scene was closed."""
        for widget in self._slices.values():
            widget.addNodes()
        self._threeD.threeDView().addNodes()

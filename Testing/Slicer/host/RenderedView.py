"""A widget that shows what VTK renders offscreen, and hands the mouse on to VTK."""

from __future__ import annotations

import numpy as np
import vtk
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QWidget
from vtk.util.numpy_support import vtk_to_numpy

from . import canRender

_BUTTONS = {Qt.LeftButton: "LeftButton", Qt.MiddleButton: "MiddleButton", Qt.RightButton: "RightButton"}


class RenderedView(QWidget):
    """Base of the slice and 3-D views. Subclasses fill `_renderer` and override `_beforeRender`.

    Rendering happens when the widget is painted, so ``grab()`` always shows the present state.
    """

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setMinimumSize(120, 120)
        self.setMouseTracking(True)
        self._renderWindow = vtk.vtkRenderWindow()
        self._renderWindow.SetOffScreenRendering(1)
        self._renderWindow.SetMultiSamples(0)
        self._renderWindow.SetDPI(96)  # as on an ordinary screen
        self._renderWindow.SetAlphaBitPlanes(1)
        self._renderer = vtk.vtkRenderer()
        self._renderWindow.AddRenderer(self._renderer)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._renderWindow)
        self._style = None

    def renderWindow(self):
        return self._renderWindow

    def interactor(self):
        return self._interactor

    def interactorStyle(self):
        return self._style

    def forceRender(self) -> None:
        self.repaint()

    def scheduleRender(self) -> None:
        self.update()

    def _beforeRender(self) -> None:
        """Brings the VTK pipeline up to date."""

    def picture(self) -> np.ndarray:
        """What the view shows now: (height, width, 3) uint8, first row on top."""
        if not canRender():
            raise RuntimeError("VTK cannot draw here: install libegl1 or libosmesa6, or start with a display.")
        width, height = self.width, self.height
        self._renderWindow.SetSize(width, height)
        self._beforeRender()
        self._renderWindow.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self._renderWindow)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        image = grabber.GetOutput()
        shape = image.GetDimensions()[1::-1]
        pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(*shape, 3)
        return np.ascontiguousarray(pixels[::-1])

    def paintEvent(self, _event):
        pixels = self.picture()
        height, width, _ = pixels.shape
        painter = QPainter(self)
        painter.drawImage(self.rect, QImage(pixels.data, width, height, 3 * width, QImage.Format_RGB888))
        painter.end()

    def _forward(self, event, vtkEvent: str) -> None:
        position, keys = event.position(), event.modifiers()
        self._interactor.SetSize(self.width, self.height)
        self._interactor.SetEventInformation(
            int(position.x()),
            self.height - 1 - int(position.y()),
            int(bool(keys & Qt.ControlModifier)),
            int(bool(keys & Qt.ShiftModifier)),
        )
        self._interactor.InvokeEvent(vtkEvent)
        self.update()

    def mousePressEvent(self, event):
        self._forward(event, _BUTTONS.get(event.button(), "LeftButton") + "PressEvent")

    def mouseReleaseEvent(self, event):
        self._forward(event, _BUTTONS.get(event.button(), "LeftButton") + "ReleaseEvent")

    def mouseMoveEvent(self, event):
        self._forward(event, "MouseMoveEvent")

    def wheelEvent(self, event):
        forward = event.angleDelta().y() > 0
        self._forward(event, "MouseWheelForwardEvent" if forward else "MouseWheelBackwardEvent")


def registerDisplayableManagers(factory, names) -> None:
    for name in names:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)

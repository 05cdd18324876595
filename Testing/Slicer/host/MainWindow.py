"""The main window: module panel on the left, views on the right."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow, QScrollArea

from .PythonQt import slicerWidget

MINIMUM_WIDTH = 400  # of the module panel, pixels


class ModuleSelector:
    """slicer.util.selectModule and selectedModule."""

    def __init__(self, window):
        self._window = window
        self.selectedModule = ""

    def selectModule(self, name: str) -> None:
        """Leaves the present module and enters another; modules without a panel here only get selected."""
        import slicer

        manager = slicer.app.moduleManager()
        present, module = manager.module(self.selectedModule), manager.module(name)
        if hasattr(present, "exit"):
            present.exit()
        self.selectedModule = name
        if hasattr(module, "enter"):
            self._window.setModulePanel(module.widgetRepresentation(), module.title)
            module.enter()


@slicerWidget()
class qSlicerMainWindow(QMainWindow):
    """What slicer.util.mainWindow() finds."""

    def __init__(self, layoutManager):
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._selector = ModuleSelector(self)
        self._dock = QDockWidget("Module", self)
        self._dock.setFeatures(QDockWidget.NoDockWidgetFeatures)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        self._scroll.setMinimumWidth(MINIMUM_WIDTH)
        self._dock.setWidget(self._scroll)
        self.addDockWidget(Qt.LeftDockWidgetArea, self._dock)
        self.setCentralWidget(layoutManager)
        self.statusBar()

    def moduleSelector(self):
        return self._selector

    def setModulePanel(self, panel, title: str = "") -> None:
        self._scroll.takeWidget()
        self._dock.windowTitle = title
        if panel is not None:
            self._scroll.setWidget(panel)
            panel.show()
            # As in Slicer, the panel is never cut off at its side, not even beside a scroll bar.
            bar = self._scroll.verticalScrollBar().sizeHint.width()
            self._scroll.setMinimumWidth(max(MINIMUM_WIDTH, panel.minimumSizeHint.width() + bar + 2))

"""The running host: puts the Slicer-like Python modules in place and offers what tests need."""

from __future__ import annotations

import gc
import sys
import threading
import time
import types

import slicer
import slicer.util
from PySide6 import QtCore

from . import (
    CtkWidgets,
    NodeWidgets,
    ParameterNode,
    PythonQt,
    ScriptedModule,
    SegmentEditor,
    SegmentWidgets,
    SmallModules,
    UiLoader,
)
from .Application import qSlicerApplication
from .FileManager import FileManager
from .MainWindow import qSlicerMainWindow
from .Messages import Messages
from .MrmlScene import MrmlScene


class CoreModule:
    """slicer.modules.<x> of a C++ module: its name and its real logic."""

    def __init__(self, name: str, logic):
        self.name = name
        self._logic = logic

    def logic(self):
        return self._logic


class Host:
    """Everything between a test and the module under test.

    messages: what the user would have seen (`Messages`); messages.answers: what the user will answer.
    errors: exceptions raised in slots and observers, (type, value) each; a test that expects one takes it out
    with `takeErrors`, all others fail at the end.
    """

    def __init__(self):
        self.qt = PythonQt.buildQtModule(UiLoader.QUiLoader, None)
        self.ctk = CtkWidgets.buildCtkModule()
        sys.modules.update({"qt": self.qt, "ctk": self.ctk})
        self.app = slicer.app = qSlicerApplication()
        self.mrml = MrmlScene()
        self.app._parts.update(
            scene=self.mrml.scene,
            applicationLogic=self.mrml.applicationLogic,
            coreIOManager=FileManager(self.mrml),
        )
        self._addModules()
        self._addWidgets()
        self.messages = Messages()
        self.messages.install()
        self.errors = []
        self._threadsBefore = set()
        self._loaded = []
        self._window = None

    def _addModules(self) -> None:
        slicer.selfTests = {}
        slicer.modules = types.SimpleNamespace(sampleDataSources={})
        for name in self.mrml.names():
            module = CoreModule(name, self.mrml.logic(name))
            setattr(slicer.modules, name.lower(), module)
            self.app.moduleManager().addModule(name, module)
        parts = {
            "i18n": SmallModules.buildTranslation(),
            "packaging": SmallModules.buildPackaging(),
            "ScriptedLoadableModule": ScriptedModule.buildScriptedModule(),
            "parameterNodeWrapper": ParameterNode.buildParameterNodeWrapper(),
        }
        for name, module in parts.items():
            setattr(slicer, name, module)
            sys.modules[f"slicer.{name}"] = module
        sys.modules["SampleData"] = SmallModules.buildSampleData()
        slicer.qSlicerScriptedLoadableModule = ScriptedModule.qSlicerScriptedLoadableModule
        slicer.qSlicerScriptedLoadableModuleWidget = ScriptedModule.qSlicerScriptedLoadableModuleWidget

    def _addWidgets(self) -> None:
        sources = (NodeWidgets, SegmentWidgets, SegmentEditor)
        named = {name: item for source in sources for name, item in vars(source).items() if name.startswith("qMRML")}
        mrmlWidgets = list(named.values())
        UiLoader.CUSTOM_WIDGETS[:] = [*CtkWidgets.WIDGETS, *mrmlWidgets]
        for widget in mrmlWidgets:
            setattr(slicer, widget.__name__, widget)

    def loadModule(self, path) -> ScriptedModule.qSlicerScriptedLoadableModule:
        """Loads a scripted module; it is unloaded at the end of the test."""
        module = ScriptedModule.loadModule(str(path))
        self._loaded.append(module)
        return module

    def mainWindow(self, modulePanel=None, width: int = 1280, height: int = 800):
        """The main window with the views, shown; `grab()` gives its picture.

        modulePanel: the widget on the left, usually ``module.widgetRepresentation()``; None leaves it as it is.
        """
        if self._window is None:
            self._window = qSlicerMainWindow(self.app.layoutManager())
        if modulePanel is not None:
            self._window.setModulePanel(modulePanel)
        self._window.resize(width, height)
        self._window.show()
        self.processEvents()
        return self._window

    def sliceView(self, name: str = "Red"):
        """The picture of a slice view in the main window, for mouse events (``drag``) and `picture()`."""
        self.mainWindow()
        return self.app.layoutManager().sliceWidget(name).sliceView()

    def drag(self, view, *points) -> None:
        """Presses the left mouse button at the first point, moves through the others and releases it at the last.

        points: (x, y) in pixels of the widget, y downwards.
        """
        from PySide6.QtCore import QPoint, Qt
        from PySide6.QtTest import QTest

        points = [QPoint(round(x), round(y)) for x, y in points]
        QTest.mousePress(view, Qt.LeftButton, Qt.NoModifier, points[0])
        for point in points[1:]:
            QTest.mouseMove(view, point)
        QTest.mouseRelease(view, Qt.LeftButton, Qt.NoModifier, points[-1])
        self.processEvents()

    def pixelOf(self, view, ras) -> tuple[float, float]:
        """Where a point (RAS, mm) is in a slice view, in pixels of the widget, y downwards."""
        import vtk

        rasToXY = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(view.mrmlSliceNode().GetXYToRAS(), rasToXY)
        x, y, _, _ = rasToXY.MultiplyPoint([*ras, 1])
        return x, view.height - 1 - y

    def processEvents(self, seconds: float = 0.0) -> None:
        """Runs the event loop, for at least this long."""
        end = time.monotonic() + seconds
        self.app.processEvents()
        while time.monotonic() < end:
            time.sleep(0.005)
            self.app.processEvents()

    def waitUntil(self, condition, seconds: float = 30.0) -> None:
        """Runs the event loop until condition() is true; AssertionError after this long."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"Nothing happened within {seconds:g} seconds.")
            self.processEvents(0.005)

    def takeErrors(self) -> list:
        """The exceptions recorded so far, which no longer fail the test."""
        taken, self.errors[:] = list(self.errors), []
        return taken

    def setTestingMode(self, enabled: bool) -> None:
        """Whether slicer.app.testingEnabled() is true; false at the start of each test, as for a user."""
        self.app._testing = enabled

    def beginTest(self) -> None:
        """An empty scene, no messages, and a record of the threads that run already."""
        sys.excepthook = self._recordError
        self.messages.clear()
        self.errors.clear()
        self.setTestingMode(False)
        self.closeScene()
        self.app.userSettings().clear()
        slicer.packaging.requested.clear()
        self._threadsBefore = set(threading.enumerate())

    def endTest(self) -> None:
        """Unloads modules and closes the scene; AssertionError when something the test started goes on."""
        try:
            if self._window is not None:
                self._window.setModulePanel(None)
                self._window.moduleSelector().selectedModule = ""
                self._window.hide()
            while self._loaded:
                self._loaded.pop().unload()
            self.closeScene()
            self.processEvents()
            self.checkNothingRuns()
            assert not self.errors, f"Exceptions in slots or observers: {self.errors}"
        finally:
            sys.excepthook = sys.__excepthook__

    def closeScene(self) -> None:
        """File > Close Scene."""
        self.mrml.scene.Clear(False)
        self.mrml.addDefaultNodes()
        if "layoutManager" in self.app._parts:
            self.app.layoutManager().addNodes()
        self.processEvents()

    def activeTimers(self) -> list:
        """Running timers of the process, but for single-shot ones with no interval."""
        timers = [o for o in gc.get_objects() if issubclass(type(o), QtCore.QTimer)]
        return [t for t in timers if t.isActive() and not (t.singleShot and t.interval == 0)]

    def checkNothingRuns(self, seconds: float = 5.0) -> None:
        """AssertionError when a thread that the test started, or any timer, runs on after this long."""
        end = time.monotonic() + seconds
        while self._runningThreads() and time.monotonic() < end:
            self.processEvents(0.02)
        assert not self._runningThreads(), f"Threads still run: {self._runningThreads()}"
        assert not self.activeTimers(), f"Timers still run: {self.activeTimers()}"

    def _runningThreads(self) -> list:
        return [thread for thread in threading.enumerate() if thread not in self._threadsBefore]

    def _recordError(self, kind, value, trace) -> None:
        self.errors.append((kind, value))
        sys.__excepthook__(kind, value, trace)

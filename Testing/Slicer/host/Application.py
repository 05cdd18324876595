"""slicer.app: one QApplication with the parts of qSlicerApplication that a scripted module uses."""

from __future__ import annotations

import sys
import tempfile
import types

from PySide6 import QtCore, QtWidgets

from .PythonQt import slicerWidget


def _showQtMessage(_kind, _context, text: str) -> None:
    if "propagateSizeHints" not in text:  # said by the windowless platform for every window
        print(text, file=sys.stderr)


@slicerWidget()
class qSlicerModuleManager(QtCore.QObject):
    """Names to loaded modules; announces when one is unloaded."""

    moduleAboutToBeUnloaded = QtCore.Signal(str)

    def __init__(self):
        super().__init__()
        self._modules = {}

    def addModule(self, name: str, module) -> None:
        self._modules[name.lower()] = module

    def removeModule(self, name: str) -> None:
        self._modules.pop(name.lower(), None)

    def module(self, name: str):
        return self._modules.get(name.lower())

    def modulesNames(self) -> list[str]:
        return [module.name for module in self._modules.values()]

    def factoryManager(self):
        return types.SimpleNamespace(loadedModuleNames=self.modulesNames)


@slicerWidget()
class qSlicerApplication(QtWidgets.QApplication):
    """slicer.app. The host fills in the MRML scene, the input/output manager and the layout manager."""

    majorVersion = property(lambda self: 5)
    minorVersion = property(lambda self: 12)
    temporaryPath = property(lambda self: self._temporaryFolder.name)
    startupCompleted = QtCore.Signal()

    def __init__(self):
        super().__init__(["Slicer"])
        QtCore.qInstallMessageHandler(_showQtMessage)
        self.applicationName = "Slicer"
        self.organizationName = "SlicerTestHost"
        self._temporaryFolder = tempfile.TemporaryDirectory(prefix="slicer-host-")
        settingsPath = self._temporaryFolder.name + "/Slicer.ini"
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, self._temporaryFolder.name)
        self._settings = QtCore.QSettings(settingsPath, QtCore.QSettings.IniFormat)
        self._moduleManager = qSlicerModuleManager()
        self._parts = {}
        self._testing = False
        self._pausedRenders = 0

    def applicationLogic(self):
        return self._parts["applicationLogic"]

    def coreIOManager(self):
        return self._parts["coreIOManager"]

    ioManager = coreIOManager

    def mrmlScene(self):
        return self._parts["scene"]

    def layoutManager(self):
        """The views; created when they are first asked for."""
        if "layoutManager" not in self._parts:
            from .LayoutManager import qSlicerLayoutManager

            self._parts["layoutManager"] = qSlicerLayoutManager(self.applicationLogic(), self.mrmlScene())
        return self._parts["layoutManager"]

    def moduleManager(self):
        return self._moduleManager

    def userSettings(self):
        return self._settings

    settings = revisionUserSettings = userSettings

    def translate(self, context: str, text: str) -> str:
        """As with the English user interface."""
        return text

    def testingEnabled(self) -> bool:
        return self._testing

    def commandOptions(self):
        return types.SimpleNamespace(noMainWindow=False, testingEnabled=self._testing, runPythonAndExit=False)

    def pauseRender(self) -> None:
        self._pausedRenders += 1

    def resumeRender(self) -> None:
        self._pausedRenders -= 1

    def setRenderPaused(self, paused: bool) -> None:
        self.pauseRender() if paused else self.resumeRender()

"""Scripted loadable modules: the base classes a module derives from, and what Slicer does to load one."""

from __future__ import annotations

import importlib.util
import os
import sys
import types
import unittest

from PySide6 import QtCore, QtWidgets

from .NodeWidgets import qMRMLWidget
from .PythonQt import slicerWidget


class ScriptedLoadableModule:
    """Description of a module: its subclass writes title, categories and texts into `parent`."""

    def __init__(self, parent):
        import slicer

        self.parent = parent
        self.moduleName = type(self).__name__
        parent.contributors = ["Anonymous"]
        icon = os.path.join(os.path.dirname(parent.path), "Resources", "Icons", f"{self.moduleName}.png")
        if os.path.exists(icon):
            import qt

            parent.icon = qt.QIcon(icon)
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename: str) -> str:
        return os.path.join(os.path.dirname(self.parent.path), "Resources", filename)

    def getDefaultModuleDocumentationLink(self, docPage=None) -> str:
        return f"<p>For more information see the documentation of {docPage or self.moduleName}.</p>"

    def runTest(self, msec=100, **_options):
        test = getattr(sys.modules[self.moduleName], self.moduleName + "Test")()
        test.messageDelay = msec
        test.runTest()


class ScriptedLoadableModuleWidget:
    """The panel of a module. `parent` is the qMRMLWidget that holds it, `layout` its vertical layout."""

    def __init__(self, parent=None):
        import slicer

        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = slicer.util.settingsValue(
            "Developer/DeveloperMode", False, converter=slicer.util.toBool, settings=slicer.app.userSettings()
        )
        standalone = parent is None
        if standalone:
            parent = qMRMLWidget()
            parent.setLayout(QtWidgets.QVBoxLayout())
            parent.setMRMLScene(slicer.mrmlScene)
        self.parent = parent
        self.layout = parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)
        if standalone:
            self.setup()
            parent.show()

    def resourcePath(self, filename: str) -> str:
        import slicer

        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", filename)

    def _onModuleAboutToBeUnloaded(self, moduleName):
        import slicer

        if moduleName == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def setup(self):
        self.setupDeveloperSection()

    def setupDeveloperSection(self):
        if not self.developerMode:
            return
        import qt

        self.reloadButton = qt.QPushButton("Reload")
        self.reloadButton.name = "ScriptedLoadableModuleTemplate Reload"
        self.reloadButton.connect("clicked()", self.onReload)
        self.layout.addWidget(self.reloadButton)

    def cleanup(self):
        """Called when the widget is destroyed."""

    def enter(self):
        """Called when the user opens the module."""

    def exit(self):
        """Called when the user leaves the module."""

    def onReload(self):
        import slicer

        return slicer.util.reloadScriptedModule(self.moduleName)


class ScriptedLoadableModuleLogic:
    """Computation of a module, usable without its widget; owns the module's parameter node."""

    def __init__(self, parent=None):
        self.mrmlScene = None
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def createParameterNode(self):
        import slicer

        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node

    def getAllParameterNodes(self):
        import slicer

        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def getParameterNode(self):
        import slicer

        existing = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if not self.isSingletonParameterNode:
            existing = next(iter(self.getAllParameterNodes()), None)
        return existing or slicer.mrmlScene.AddNode(self.createParameterNode())


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of self-tests that run inside the application."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.messageDelay = 0

    def delayDisplay(self, message, requestedDelay=None, msec=None):
        import slicer

        slicer.util.delayDisplay(message, 0)

    def takeScreenshot(self, name, description, type=-1):
        """Nothing to compare with in the host."""

    def runTest(self):
        """Overridden by the module's test."""


class ModuleDescription:
    """The C++ module object that a ScriptedLoadableModule describes; unknown attributes raise, as there."""

    _fields = {
        "title": "", "categories": [], "dependencies": [], "contributors": [], "helpText": "", "icon": None,
        "acknowledgementText": "", "hidden": False, "associatedNodeTypes": [], "extensions": [],
        "widgetRepresentationCreationEnabled": True,
    }  # fmt: skip

    def __init__(self, name: str, path: str):
        self.__dict__.update(
            {key: value.copy() if isinstance(value, list) else value for key, value in self._fields.items()}
        )
        self.__dict__.update(name=name, path=path, title=name)

    def __setattr__(self, name, value):
        if name not in self._fields:
            raise AttributeError(f"Attribute '{name}' of qSlicerScriptedLoadableModule does not exist.")
        self.__dict__[name] = value


class qSlicerScriptedLoadableModule:
    """A loaded module as slicer.modules.<name>: creates its widget on demand, enters and leaves it."""

    def __init__(self, name: str, path: str):
        self.name = name
        self.path = path
        self.description = ModuleDescription(name, path)
        self.instance = getattr(sys.modules[name], name)(self.description)
        self._representation = None

    title = property(lambda self: self.description.title)
    hidden = property(lambda self: self.description.hidden)

    def self(self):
        return self.instance

    def logic(self):
        return None

    def createNewWidgetRepresentation(self):
        return qSlicerScriptedLoadableModuleWidget(self)

    def widgetRepresentation(self):
        if self._representation is None:
            self._representation = self.createNewWidgetRepresentation()
        return self._representation

    @property
    def widget(self):
        """The module's own widget object; created, with setup(), at the first use."""
        return self.widgetRepresentation().self()

    def enter(self):
        """The user opens the module. Returns its widget object."""
        representation = self.widgetRepresentation()
        representation.setEntered(True)
        representation.self().enter()
        return representation.self()

    def exit(self):
        """The user goes to another module."""
        self.widgetRepresentation().setEntered(False)
        self.widgetRepresentation().self().exit()

    def unload(self) -> None:
        """What happens to the module when the application quits; afterwards the module can be loaded afresh."""
        import slicer

        if self._representation is not None and self._representation.isEntered:
            self.exit()
        slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(self.name)
        if self._representation is not None:
            self._representation.deleteLater()
            QtCore.QCoreApplication.sendPostedEvents(self._representation, QtCore.QEvent.DeferredDelete)
            self._representation = None
        slicer.app.moduleManager().removeModule(self.name)
        for attribute in (self.name.lower(), f"{self.name}Instance", f"{self.name}Widget"):
            slicer.modules.__dict__.pop(attribute, None)
        sys.modules.pop(self.name, None)


@slicerWidget()
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The widget in the module panel; the Python widget of the module lays its contents out in it."""

    def __init__(self, module: qSlicerScriptedLoadableModule):
        super().__init__()
        import slicer

        self._module = module
        self._entered = False
        self.setLayout(QtWidgets.QVBoxLayout())
        self.setMRMLScene(slicer.mrmlScene)
        self.reload()

    moduleName = property(lambda self: self._module.name)
    isEntered = property(lambda self: self._entered)

    def setEntered(self, entered: bool) -> None:
        self._entered = entered

    def self(self):
        return self._widget

    def reload(self):
        """Creates the Python widget from the module's current source; leaves the old one to the caller."""
        import slicer

        name = self._module.name
        self._widget = getattr(sys.modules[name], name + "Widget")(self)
        setattr(slicer.modules, name + "Widget", self._widget)
        self._widget.setup()


def buildScriptedModule() -> types.ModuleType:
    module = types.ModuleType("slicer.ScriptedLoadableModule")
    classes = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    )
    for cls in classes:
        setattr(module, cls.__name__, cls)
    module.__all__ = [cls.__name__ for cls in classes]
    return module


def loadModule(path: str) -> qSlicerScriptedLoadableModule:
    """Loads a scripted module from its .py file as Slicer does at start-up. Its widget is not created yet."""
    import slicer

    path = os.path.abspath(path)
    name = os.path.splitext(os.path.basename(path))[0]
    if os.path.dirname(path) not in sys.path:
        sys.path.insert(0, os.path.dirname(path))
    specification = importlib.util.spec_from_file_location(name, path)
    source = importlib.util.module_from_spec(specification)
    sys.modules[name] = source
    specification.loader.exec_module(source)
    module = qSlicerScriptedLoadableModule(name, path)
    setattr(slicer.modules, name.lower(), module)
    setattr(slicer.modules, name + "Instance", module.instance)
    slicer.app.moduleManager().addModule(name, module)
    slicer.app.startupCompleted.emit()
    return module

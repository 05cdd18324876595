"""Widgets that show MRML nodes: qMRMLWidget, qMRMLNodeComboBox and its checkable form."""

from __future__ import annotations

import vtk
from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget

from .Observations import Observations
from .PythonQt import slicerWidget


@slicerWidget("mrmlSceneChanged(vtkMRMLScene*)")
class qMRMLWidget(QWidget):
    """A widget with a scene, which it hands on to whatever its mrmlSceneChanged is connected to."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


def nodeTypeLabel(className: str) -> str:
    return className.removeprefix("vtkMRML").removesuffix("Node")


@slicerWidget(
    "currentNodeChanged(vtkMRMLNode*)",
    "nodeActivated(vtkMRMLNode*)",
    "nodeAdded(vtkMRMLNode*)",
    "nodeAddedByUser(vtkMRMLNode*)",
    "nodeAboutToBeRemoved(vtkMRMLNode*)",
)
class qMRMLNodeComboBox(QWidget):
    """The nodes of some classes in the scene, with None where enabled and the actions create, rename and delete."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAboutToBeRemoved = Signal(object)

    _defaults = {
        "nodeTypes": [], "showHidden": False, "showChildNodeTypes": True, "noneEnabled": False, "addEnabled": True,
        "removeEnabled": True, "editEnabled": False, "renameEnabled": False, "noneDisplay": "None", "baseName": "",
        "selectNodeUponCreation": True, "interactionNodeSingletonTag": "",
    }  # fmt: skip

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None
        self._sceneObservations = Observations(self)
        self._nodeObservations = Observations(self)
        self._values = dict(self._defaults)
        self._attributes = []
        self._nodeIDs = []
        self._currentID = None
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._comboBox = QComboBox()
        layout.addWidget(self._comboBox)
        self._comboBox.activated.connect(self._onActivated)

    def _stored(name, kind):
        def write(self, value):
            self._values[name] = value
            self._refresh()

        return Property(kind, lambda self: self._values[name], write)

    nodeTypes = _stored("nodeTypes", "QStringList")
    showHidden = _stored("showHidden", bool)
    showChildNodeTypes = _stored("showChildNodeTypes", bool)
    noneEnabled = _stored("noneEnabled", bool)
    addEnabled = _stored("addEnabled", bool)
    removeEnabled = _stored("removeEnabled", bool)
    editEnabled = _stored("editEnabled", bool)
    renameEnabled = _stored("renameEnabled", bool)
    noneDisplay = _stored("noneDisplay", str)
    baseName = _stored("baseName", str)
    selectNodeUponCreation = _stored("selectNodeUponCreation", bool)
    interactionNodeSingletonTag = _stored("interactionNodeSingletonTag", str)
    del _stored

    def setCurrentNodeID(self, nodeID) -> None:
        self._select(nodeID if nodeID in self._nodeIDs else None)

    currentNodeID = Property(str, lambda self: self._currentID or "", setCurrentNodeID)

    def currentNode(self):
        return self._scene.GetNodeByID(self._currentID) if self._scene is not None and self._currentID else None

    def setCurrentNode(self, node) -> None:
        self.setCurrentNodeID(node if isinstance(node, str) or node is None else node.GetID())

    def setBaseName(self, name: str, nodeType: str = "") -> None:
        self.baseName = name

    def addAttribute(self, nodeType: str, attribute: str, value=None) -> None:
        self._attributes.append((nodeType, attribute, value))
        self._refresh()

    def nodeCount(self) -> int:
        return len(self._nodes())

    def nodeFromIndex(self, index: int):
        return self._nodes()[index] if 0 <= index < self.nodeCount() else None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        self._sceneObservations.clear()
        self._scene = scene
        events = ("NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent", "EndImportEvent", "EndBatchProcessEvent")
        if scene is not None:
            for event in events:
                self._sceneObservations.add(scene, getattr(scene, event), self._refresh)
            self._sceneObservations.add(scene, scene.NodeAboutToBeRemovedEvent, self._onAboutToBeRemoved, True)
        self._refresh()

    def addNode(self, className: str | None = None):
        """Creates a node as the user's "Create new" action does."""
        className = className or self.nodeTypes[0]
        name = self._scene.GenerateUniqueName(self.baseName or nodeTypeLabel(className))
        node = self._scene.CreateNodeByClass(className)
        node.UnRegister(None)
        node.SetName(name)
        for nodeType, attribute, value in self._attributes:
            if nodeType == className:
                node.SetAttribute(attribute, "" if value is None else str(value))
        self._scene.AddNode(node)
        self.nodeAddedByUser.emit(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node

    def removeCurrentNode(self) -> None:
        self._scene.RemoveNode(self.currentNode())

    def _onAboutToBeRemoved(self, _scene, _event, node):
        if node is not None and node.GetID() in self._nodeIDs:
            self.nodeAboutToBeRemoved.emit(node)

    def _accepts(self, node) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        for nodeType in self.nodeTypes:
            if node.IsA(nodeType) if self.showChildNodeTypes else node.GetClassName() == nodeType:
                wanted = [(a, v) for t, a, v in self._attributes if t == nodeType]
                return all(node.GetAttribute(a) is not None and v in (None, node.GetAttribute(a)) for a, v in wanted)
        return False

    def _nodes(self) -> list:
        if self._scene is None:
            return []
        everything = [self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes())]
        return [node for node in everything if self._accepts(node)]

    def _itemText(self, node) -> str:
        return node.GetName() or ""

    def _refresh(self, *_) -> None:
        if self._scene is not None and self._scene.IsBatchProcessing():
            return
        nodes = self._nodes()
        self._nodeObservations.clear()
        for node in nodes:
            self._nodeObservations.add(node, vtk.vtkCommand.ModifiedEvent, self._onNodeModified)
        hadNodes = any(self._nodeIDs)
        self._nodeIDs = ([None] if self.noneEnabled else []) + [node.GetID() for node in nodes]
        self._fill(nodes)
        if self._currentID in self._nodeIDs and (self._currentID or hadNodes or self.noneEnabled):
            self._showCurrent()
        else:  # gone, or the first node of a box that does not offer None
            self._select(self._nodeIDs[0] if self._nodeIDs else None)

    def _fill(self, nodes: list) -> None:
        box = self._comboBox
        box.clear()
        if self.noneEnabled:
            box.addItem(self.noneDisplay)
        for node in nodes:
            box.addItem(self._itemText(node))
        label = nodeTypeLabel(self.nodeTypes[0]) if self.nodeTypes else "node"
        actions = [("add", f"Create new {label}"), ("rename", f"Rename current {label}")]
        actions += [("remove", f"Delete current {label}")]
        self._actions = [(key, text) for key, text in actions if self._values[f"{key}Enabled"]]
        if self._actions:
            box.insertSeparator(box.count)
        for _, text in self._actions:
            box.addItem(text)

    def _onNodeModified(self, node, _event) -> None:
        if node.GetID() in self._nodeIDs:
            self._comboBox.setItemText(self._nodeIDs.index(node.GetID()), self._itemText(node))

    def _showCurrent(self) -> None:
        known = self._currentID in self._nodeIDs
        self._comboBox.currentIndex = self._nodeIDs.index(self._currentID) if known else -1

    def _select(self, nodeID) -> None:
        changed = nodeID != self._currentID
        self._currentID = nodeID
        self._showCurrent()
        if changed:
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(nodeID or "")

    def _onActivated(self, index: int) -> None:
        if index < len(self._nodeIDs):
            self._select(self._nodeIDs[index])
            self.nodeActivated.emit(self.currentNode())
            return
        action = self._actions[index - len(self._nodeIDs) - 1][0]
        self._showCurrent()
        if action == "add":
            self.addNode()
        elif action == "remove" and self.currentNode() is not None:
            self.removeCurrentNode()

    def activate(self, text: str) -> None:
        """For tests: the user picks the entry with this text."""
        index = self._comboBox.findText(text)
        if index < 0:
            raise LookupError(f"{self.name} has no entry {text!r}.")
        self._onActivated(index)


@slicerWidget()
class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """A node combo box where every node can be checked; nodes start unchecked."""

    checkedNodesChanged = Signal()

    def __init__(self, parent=None):
        super().__init__(parent)
        self._checkedIDs = []

    def _itemText(self, node) -> str:
        return ("[x] " if node.GetID() in self._checkedIDs else "[ ] ") + super()._itemText(node)

    def _refresh(self, *_) -> None:
        super()._refresh()
        remaining = [nodeID for nodeID in getattr(self, "_checkedIDs", []) if nodeID in self._nodeIDs]
        if hasattr(self, "_checkedIDs") and remaining != self._checkedIDs:
            self._checkedIDs = remaining
            self.checkedNodesChanged.emit()

    def checkedNodes(self) -> list:
        return [node for node in self._nodes() if node.GetID() in self._checkedIDs]

    def uncheckedNodes(self) -> list:
        return [node for node in self._nodes() if node.GetID() not in self._checkedIDs]

    def allChecked(self) -> bool:
        return not self.uncheckedNodes()

    def noneChecked(self) -> bool:
        return not self.checkedNodes()

    def checkState(self, node):
        return Qt.Checked if node.GetID() in self._checkedIDs else Qt.Unchecked

    def setCheckState(self, node, state) -> None:
        checked = state in (Qt.Checked, 2)
        if node.GetID() not in self._nodeIDs or (node.GetID() in self._checkedIDs) == checked:
            return
        if checked:
            self._checkedIDs.append(node.GetID())
        else:
            self._checkedIDs.remove(node.GetID())
        self._onNodeModified(node, None)
        self.checkedNodesChanged.emit()

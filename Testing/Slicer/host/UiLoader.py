"""qt.QUiLoader: loads shipped .ui files with the host's widgets and makes their MRML connections."""

from __future__ import annotations

from xml.etree import ElementTree

from PySide6 import QtCore, QtUiTools, QtWidgets

CUSTOM_WIDGETS: list[type] = []


class QUiLoader(QtUiTools.QUiLoader):
    """As in Slicer, except that a class nobody knows is an error here instead of an empty place in the panel."""

    def __init__(self, parent=None):
        super().__init__(parent)
        for widget in CUSTOM_WIDGETS:
            self.registerCustomWidget(widget)

    def load(self, device, parentWidget=None):
        path = device.fileName()
        tree = ElementTree.parse(path).getroot()
        known = {cls.__name__ for cls in CUSTOM_WIDGETS} | set(dir(QtWidgets))
        unknown = sorted({widget.get("class") for widget in tree.iter("widget")} - known)
        if unknown:
            raise RuntimeError(f"{path} uses widgets that the test host does not have: {', '.join(unknown)}.")
        mrmlConnections = [c for c in tree.iter("connection") if "vtkMRML" in "".join(c.itertext())]
        for connections in tree.iter("connections"):
            for connection in mrmlConnections:
                connections.remove(connection)
        for edit in tree.iterfind(".//widget[@class='ctkPathLineEdit']"):
            for filters in edit.findall("property[@name='filters']"):  # flags of ctk, which Qt cannot read
                edit.remove(filters)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        root = super().load(buffer, parentWidget)
        children = root.findChildren(QtCore.QObject)
        root.__dict__["_children"] = children  # Python's view of them lives as long as the panel
        byName = {child.objectName: child for child in [*children, root] if child.objectName}
        for connection in mrmlConnections:  # Qt knows no MRML arguments
            sender, signal, receiver, slot = map(connection.findtext, ("sender", "signal", "receiver", "slot"))
            byName[sender].connect(signal, getattr(byName[receiver], slot.partition("(")[0]))
        return root

"""Widgets that list the segments of a segmentation node."""

from __future__ import annotations

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QVBoxLayout

from .NodeWidgets import qMRMLNodeComboBox, qMRMLWidget
from .Observations import Observations
from .PythonQt import slicerWidget


class SegmentList(QListWidget):
    """Names and colours of segments, kept up to date with the segmentation; used inside the widgets below."""

    segmentsChanged = Signal()

    def __init__(self):
        super().__init__()
        self._node = None
        self._observations = Observations(self)

    def segmentationNode(self):
        return self._node

    def setSegmentationNode(self, node) -> None:
        self._observations.clear()
        self._node = node
        if node is not None:
            segmentation = node.GetSegmentation()
            events = (segmentation.SegmentAdded, segmentation.SegmentRemoved, segmentation.SegmentModified)
            events += (segmentation.SegmentsOrderModified,)
            for event in events:
                self._observations.add(segmentation, event, self.refresh)
        self.refresh()

    def segmentIDs(self) -> list[str]:
        return list(self._node.GetSegmentation().GetSegmentIDs()) if self._node is not None else []

    def selectedIDs(self) -> list[str]:
        return [item.data(Qt.UserRole) for item in self.selectedItems()]

    def select(self, segmentIDs) -> None:
        self.blockSignals(True)
        for row in range(self.count):
            self.item(row).setSelected(self.item(row).data(Qt.UserRole) in segmentIDs)
        self.blockSignals(False)

    def refresh(self, *_) -> None:
        before = self.selectedIDs()
        self.blockSignals(True)
        self.clear()
        for segmentID in self.segmentIDs():
            segment = self._node.GetSegmentation().GetSegment(segmentID)
            item = QListWidgetItem(segment.GetName())
            pixmap = QPixmap(12, 12)
            pixmap.fill(QColor.fromRgbF(*segment.GetColor()))
            item.setIcon(pixmap)
            item.setData(Qt.UserRole, segmentID)
            self.addItem(item)
        self.blockSignals(False)
        self.select(before)
        self.segmentsChanged.emit()


@slicerWidget("currentNodeChanged(vtkMRMLNode*)")
class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """A segmentation node and one of its segments, or several where multiSelection is on."""

    currentNodeChanged = Signal(object)
    currentSegmentChanged = Signal(str)
    segmentSelectionChanged = Signal("QStringList")

    def __init__(self, parent=None):
        super().__init__(parent)
        self._combo = qMRMLNodeComboBox()
        self._combo.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._combo.addEnabled = self._combo.removeEnabled = False
        self._list = SegmentList()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        layout.addWidget(self._list)
        self._shown = ([], "")
        self._combo.connect("currentNodeChanged(vtkMRMLNode*)", self._onNodeChanged)
        self._list.itemSelectionChanged.connect(self._announce)
        self._list.segmentsChanged.connect(self._announce)

    def setMRMLScene(self, scene) -> None:
        super().setMRMLScene(scene)
        self._combo.setMRMLScene(scene)

    def currentNode(self):
        return self._combo.currentNode()

    def currentNodeID(self) -> str:
        return self._combo.currentNodeID

    def setCurrentNode(self, node) -> None:
        self._combo.setCurrentNode(node)

    def setCurrentNodeID(self, nodeID: str) -> None:
        self._combo.setCurrentNodeID(nodeID)

    def selectedSegmentIDs(self) -> list[str]:
        return self._list.selectedIDs() if self.multiSelection else []

    def setSelectedSegmentIDs(self, segmentIDs) -> None:
        self._list.select(list(segmentIDs))
        self._announce()

    def currentSegmentID(self) -> str:
        return "" if self.multiSelection else next(iter(self._list.selectedIDs()), "")

    def setCurrentSegmentID(self, segmentID: str) -> None:
        self.setSelectedSegmentIDs([segmentID])

    def _onNodeChanged(self, node) -> None:
        self._list.setSegmentationNode(node)
        self.currentNodeChanged.emit(node)

    def _announce(self) -> None:
        if not self.multiSelection and not self._list.selectedIDs() and self._list.segmentIDs():
            self._list.select(self._list.segmentIDs()[:1])
        now = (self.selectedSegmentIDs(), self.currentSegmentID())
        before, self._shown = self._shown, now
        if now[0] != before[0]:
            self.segmentSelectionChanged.emit(now[0])
        if now[1] != before[1]:
            self.currentSegmentChanged.emit(now[1])

    def _setMulti(self, multi: bool) -> None:
        mode = QAbstractItemView.MultiSelection if multi else QAbstractItemView.SingleSelection
        self._list.setSelectionMode(mode)

    multiSelection = Property(
        bool, lambda self: self._list.selectionMode == QAbstractItemView.MultiSelection, _setMulti
    )
    noneEnabled = Property(
        bool, lambda self: self._combo.noneEnabled, lambda self, value: setattr(self._combo, "noneEnabled", value)
    )
    segmentationNodeSelectorVisible = Property(
        bool, lambda self: not self._combo.isHidden(), lambda self, value: self._combo.setVisible(value)
    )

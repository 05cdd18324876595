"""The looks of the segment editor: selectors, segment list, effect buttons. SegmentEditor.py gives them life."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QDoubleSpinBox, QGridLayout, QLabel, QPushButton, QToolButton

from .NodeWidgets import qMRMLNodeComboBox, qMRMLWidget
from .SegmentWidgets import SegmentList


class SegmentEditorPanel(qMRMLWidget):
    """The child widgets of the segment editor in a grid."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._segmentationBox = qMRMLNodeComboBox()
        self._segmentationBox.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._volumeBox = qMRMLNodeComboBox()
        self._volumeBox.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        self._volumeBox.addEnabled = False
        for box in (self._segmentationBox, self._volumeBox):
            box.noneEnabled = True
        self._boxLabels = [QLabel("Segmentation:"), QLabel("Source volume:")]
        self._buttons = {name: QPushButton(name) for name in ("Add", "Remove", "Show 3D")}
        self._buttons["Show 3D"].checkable = True
        self._segmentations = QToolButton()
        self._segmentations.setArrowType(Qt.RightArrow)
        self._geometry = QToolButton()
        self._list = SegmentList()
        self._list.setSelectionMode(QAbstractItemView.SingleSelection)
        self._list.setMaximumHeight(90)
        self._effectButtons = {name: QPushButton(name) for name in ("None", "Paint", "Erase")}
        self._undo, self._redo = QPushButton("Undo"), QPushButton("Redo")
        self._diameter = QDoubleSpinBox()
        self._diameter.setRange(0.1, 500)
        self._diameter.value = 10
        self._diameter.suffix = " mm"
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        for row, box in enumerate((self._segmentationBox, self._volumeBox)):
            grid.addWidget(self._boxLabels[row], row, 0)
            grid.addWidget(box, row, 1, 1, 3)
        for column, button in enumerate([*self._buttons.values(), self._segmentations]):
            grid.addWidget(button, 2, column)
        grid.addWidget(self._list, 3, 0, 1, 4)
        for column, button in enumerate(self._effectButtons.values()):
            button.checkable = True
            grid.addWidget(button, 4, column)
        grid.addWidget(self._diameter, 4, 3)
        grid.addWidget(self._undo, 5, 0)
        grid.addWidget(self._redo, 5, 1)
        grid.setRowStretch(6, 1)

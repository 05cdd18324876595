"""The ctk widgets that panels use, as Qt widgets with ctk's properties and signals."""

from __future__ import annotations

import types

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QSizePolicy,
    QSlider,
    QToolButton,
    QWidget,
)

from .PythonQt import slicerWidget


@slicerWidget()
class ctkCollapsibleButton(QWidget):
    """A header that hides and shows the widgets of its own layout."""

    contentsCollapsed = Signal(bool)

    def __init__(self, *arguments):
        parents = [a for a in arguments if isinstance(a, QWidget)]
        super().__init__(*parents)
        self._header = QToolButton(self)
        self._header.setToolButtonStyle(Qt.ToolButtonTextBesideIcon)
        self._header.setAutoRaise(True)
        self._header.clicked.connect(lambda: self._setCollapsed(not self._collapsed))
        self._collapsed = False
        self._hidden = []
        self._setText(next((a for a in arguments if isinstance(a, str)), ""))
        self._showState()

    def _headerHeight(self) -> int:
        return self._header.sizeHint.height() + 2

    def _showState(self) -> None:
        self._header.setArrowType(Qt.RightArrow if self._collapsed else Qt.DownArrow)
        self.setContentsMargins(6, self._headerHeight(), 0, 0)
        self.setMaximumHeight(self._headerHeight() if self._collapsed else 16777215)

    def _setText(self, text: str) -> None:
        self._header.text = text
        self._header.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Fixed)

    def _setCollapsed(self, collapsed: bool) -> None:
        if bool(collapsed) == self._collapsed:
            return
        self._collapsed = bool(collapsed)
        if self._collapsed:
            children = [c for c in self.children() if isinstance(c, QWidget) and c is not self._header]
            self._hidden = [c for c in children if not c.isHidden()]
        for child in self._hidden:
            child.setVisible(not self._collapsed)
        self._showState()
        self.contentsCollapsed.emit(self._collapsed)

    def showEvent(self, event):
        if self._collapsed and not self._hidden:  # collapsed in the .ui file, before it had children
            self._collapsed = False
            self._setCollapsed(True)
        super().showEvent(event)

    def resizeEvent(self, event):
        self._header.setGeometry(0, 0, event.size().width(), self._headerHeight())
        super().resizeEvent(event)

    def click(self) -> None:
        self._header.click()

    text = Property(str, lambda self: self._header.text, _setText)
    collapsed = Property(bool, lambda self: self._collapsed, _setCollapsed)


@slicerWidget()
class ctkSliderWidget(QWidget):
    """A slider with a spin box; the value is a float."""

    valueChanged = Signal(float)

    def __init__(self, *arguments):
        super().__init__(*[a for a in arguments if isinstance(a, QWidget)])
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._slider = QSlider(Qt.Horizontal)
        self._slider.setRange(0, 1000)
        self._spinBox = QDoubleSpinBox()
        layout.addWidget(self._slider)
        layout.addWidget(self._spinBox)
        self._spinBox.valueChanged.connect(self._onSpinBox)
        self._slider.sliderMoved.connect(self._onSlider)

    def _onSpinBox(self, value: float) -> None:
        span = self.maximum - self.minimum
        self._slider.value = round((value - self.minimum) / span * 1000) if span > 0 else 0
        self.valueChanged.emit(value)

    def _onSlider(self, position: int) -> None:
        self._spinBox.value = self.minimum + position / 1000 * (self.maximum - self.minimum)

    def _forwarded(name, kind):
        return Property(
            kind, lambda self: getattr(self._spinBox, name), lambda self, value: setattr(self._spinBox, name, value)
        )

    value = _forwarded("value", float)
    minimum = _forwarded("minimum", float)
    maximum = _forwarded("maximum", float)
    singleStep = _forwarded("singleStep", float)
    decimals = _forwarded("decimals", int)
    suffix = _forwarded("suffix", str)
    del _forwarded
    pageStep = Property(float, lambda self: self._slider.pageStep, lambda self, value: None)
    tracking = Property(bool, lambda self: self._slider.tracking, lambda self, v: setattr(self._slider, "tracking", v))


@slicerWidget()
class ctkPathLineEdit(QWidget):
    """A path with a browse button. The button asks QFileDialog, which a test replaces."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, *arguments):
        super().__init__(*[a for a in arguments if isinstance(a, QWidget)])
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._edit = QLineEdit()
        self._browse = QToolButton()
        self._browse.text = "..."
        layout.addWidget(self._edit)
        layout.addWidget(self._browse)
        self._values = {"nameFilters": [], "settingKey": "", "filters": 0, "showHistoryButton": True}
        self._edit.textChanged.connect(lambda path: self.currentPathChanged.emit(path))
        self._browse.clicked.connect(self.browse)

    def browse(self, *_):
        path, _ = QFileDialog.getOpenFileName(self, "", self.currentPath, ";;".join(self.nameFilters))
        if path:
            self.currentPath = path

    def setCurrentPath(self, path: str) -> None:
        self._edit.text = path

    def addCurrentPathToHistory(self) -> None:
        """The host keeps no history."""

    def _stored(name, kind):
        return Property(kind, lambda self: self._values[name], lambda self, value: self._values.update({name: value}))

    currentPath = Property(str, lambda self: self._edit.text, setCurrentPath)
    nameFilters = _stored("nameFilters", "QStringList")
    settingKey = _stored("settingKey", str)
    filters = _stored("filters", int)
    showHistoryButton = _stored("showHistoryButton", bool)
    del _stored


@slicerWidget()
class ctkDoubleSpinBox(QDoubleSpinBox):
    """Like Qt's in what panels use."""


@slicerWidget()
class ctkComboBox(QComboBox):
    """Like Qt's in what panels use."""


@slicerWidget()
class ctkCheckBox(QCheckBox):
    """Like Qt's in what panels use."""


@slicerWidget()
class ctkMessageBox(QMessageBox):
    """Like Qt's, with ctk's "don't show again"."""

    dontShowAgainSettingsKey = Property(str, lambda self: "", lambda self, value: None)


WIDGETS = (
    ctkCollapsibleButton,
    ctkSliderWidget,
    ctkPathLineEdit,
    ctkDoubleSpinBox,
    ctkComboBox,
    ctkCheckBox,
    ctkMessageBox,
)


def buildCtkModule() -> types.ModuleType:
    module = types.ModuleType("ctk", "CTK widgets (test host)")
    for widget in WIDGETS:
        setattr(module, widget.__name__, widget)
    return module

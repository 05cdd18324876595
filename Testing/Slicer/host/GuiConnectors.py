"""Two-way connections between widgets and parameters, for exactly the widget classes that Slicer connects."""

from __future__ import annotations

import pathlib

from .ParameterTypes import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange

_CHECKABLE = {"QCheckBox", "ctkCheckBox", "QPushButton"}
_INTEGERS = {"QSlider", "QSpinBox"}
_FLOATS = {"QDoubleSpinBox", "ctkSliderWidget", "ctkDoubleSlider", "ctkDoubleSpinBox"}
_COMBO_BOXES = {"QComboBox", "ctkComboBox"}


class Connector:
    """read() and write() the widget's value; onChanged(callback) replaces the callback, None removes it."""

    def __init__(self, widget, signal: str, read, write):
        self.widget = widget
        self.signal = signal
        self.read = read
        self.write = write
        self._callback = None

    def onChanged(self, callback) -> None:
        if self._callback is not None:
            self.widget.disconnect(self.signal, self._callback)
        self._callback = callback
        if callback is not None:
            self.widget.connect(self.signal, callback)


def createConnector(widget, parameter) -> Connector:
    """The connector for a widget and a parameter; RuntimeError where Slicer has none for this pair."""
    name = type(widget).__name__
    kind = None if parameter.isList else parameter.kinds[0]
    if kind is bool and name in _CHECKABLE:
        if not widget.checkable:
            raise RuntimeError(f"{widget.name}: only a checkable button can represent a bool.")
        return Connector(
            widget, "toggled(bool)", lambda: widget.checked, lambda value: setattr(widget, "checked", value)
        )
    if (kind is int and name in _INTEGERS) or (kind is float and name in _FLOATS):
        _applyRange(widget, parameter.annotations)
        signal = "valueChanged(int)" if kind is int else "valueChanged(double)"
        return Connector(widget, signal, lambda: kind(widget.value), lambda value: setattr(widget, "value", value))
    if name in _COMBO_BOXES and not parameter.isList:
        return _comboBoxConnector(widget, parameter)
    if kind is str and name == "QLineEdit":
        return Connector(
            widget, "textChanged(QString)", lambda: widget.text, lambda value: setattr(widget, "text", value)
        )
    if kind is str and name == "QTextEdit":
        return Connector(widget, "textChanged()", lambda: widget.plainText, lambda value: _setPlainText(widget, value))
    if kind is str and name == "QLabel":
        return Connector(
            widget, "linkHovered(QString)", lambda: widget.text, lambda value: setattr(widget, "text", value)
        )
    if kind is pathlib.Path and name == "ctkPathLineEdit":
        return Connector(
            widget,
            "currentPathChanged(QString)",
            lambda: pathlib.Path(widget.currentPath),
            lambda value: setattr(widget, "currentPath", "" if value == pathlib.Path() else str(value)),
        )
    if parameter.isNode and not parameter.isList and name == "qMRMLNodeComboBox":
        return Connector(
            widget, "currentNodeChanged(vtkMRMLNode*)", widget.currentNode, lambda value: widget.setCurrentNode(value)
        )
    raise RuntimeError(f"Unable to connect a {name} to parameter {parameter.name} of type {parameter.annotation}.")


def _setPlainText(widget, value: str) -> None:
    if widget.plainText != value:  # keeps the cursor where the user types
        widget.plainText = value


def _applyRange(widget, annotations) -> None:
    for annotation in annotations:
        if isinstance(annotation, (Minimum, WithinRange)):
            widget.minimum = annotation.minimum
        if isinstance(annotation, (Maximum, WithinRange)):
            widget.maximum = annotation.maximum
        if isinstance(annotation, SingleStep):
            widget.singleStep = annotation.value
        if isinstance(annotation, Decimals):
            widget.decimals = annotation.value


def _comboBoxConnector(widget, parameter) -> Connector:
    choice = next((a for a in parameter.annotations if isinstance(a, Choice)), None)
    if choice is None and not parameter.isEnum:
        raise RuntimeError(f"Parameter {parameter.name} needs a Choice to be connected to {widget.name}.")
    values = list(parameter.kinds[0]) if parameter.isEnum else choice.choices
    widget.clear()
    for value in values:
        text = value.label() if hasattr(value, "label") else getattr(value, "name", str(value))
        widget.addItem(text)
    return Connector(
        widget,
        "currentIndexChanged(int)",
        lambda: values[widget.currentIndex],
        lambda value: setattr(widget, "currentIndex", values.index(value)),
    )

"""Two-way connections between the parameter node and the widgets that show one parameter each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from DPLSegmentModule.SuspendablePart import SuspendablePart

# The dynamic property that names the parameter in the .ui file.
PROPERTY = "SlicerParameterName"


class ParameterBinding(SuspendablePart):
    """Binds every widget that has the property ``SlicerParameterName``.

    ``parameterNodeWrapper`` has ``connectGui()`` for this. In Slicer 5.10 to 5.12 that cannot be taken back: it returns
    no tag, and its observer stays on the node. This module's node is a singleton, which outlives scenes and reloading
    of the module, so it would go on calling widgets and wrappers that are gone.
    """

    def __init__(self, ui: Any) -> None:
        super().__init__()
        self._widgets: dict[str, Any] = {}
        self._connections: list[tuple[Any, str, Callable[..., None]]] = []
        for widget in vars(ui).values():
            name = widget.property(PROPERTY)
            if name:
                self._widgets[name] = widget
                self._connect(name, widget)

    def update(self) -> None:
        """Show what the parameters say."""
        if self._parameters is None or self._suspended:
            return
        self._suspended = True
        try:
            for name, widget in self._widgets.items():
                value = getattr(self._parameters, name)
                if value != _read(widget):
                    _write(widget, value)
        finally:
            self._suspended = False

    def cleanup(self) -> None:
        """Let go of the widgets."""
        for widget, signal, slot in self._connections:
            widget.disconnect(signal, slot)
        self._connections.clear()
        self._parameters = None

    def _connect(self, name: str, widget: Any) -> None:
        def onChanged() -> None:
            if self._parameters is not None and not self._suspended:
                setattr(self._parameters, name, _read(widget))

        signal = {
            "QCheckBox": "toggled(bool)",
            "QSpinBox": "valueChanged(int)",
            "ctkSliderWidget": "valueChanged(double)",
            "qMRMLNodeComboBox": "currentNodeChanged(vtkMRMLNode*)",
        }[widget.className()]
        widget.connect(signal, onChanged)
        self._connections.append((widget, signal, onChanged))


def _read(widget: Any) -> Any:
    kind = widget.className()
    if kind == "QCheckBox":
        return widget.checked
    return widget.currentNode() if kind == "qMRMLNodeComboBox" else widget.value


def _write(widget: Any, value: Any) -> None:
    kind = widget.className()
    if kind == "QCheckBox":
        widget.checked = value
    elif kind == "qMRMLNodeComboBox":
        widget.setCurrentNode(value)
    else:
        widget.value = value

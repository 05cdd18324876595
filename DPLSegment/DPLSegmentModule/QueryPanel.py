"""Which scans to segment: the annotated one itself, others, or both."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from DPLSegmentModule.SuspendablePart import SuspendablePart


class QueryPanel(SuspendablePart):
    """The query section of the panel."""

    def __init__(self, ui: Any) -> None:
        super().__init__()
        self._selector = ui.queryVolumesSelector
        self._selector.connect("checkedNodesChanged()", self._onChecked)

    def update(self) -> None:
        """Check what the parameters say."""
        if self._parameters is None or self._suspended:
            return
        chosen = presentNodes(self._parameters.queryVolumes)
        self._suspended = True
        try:
            for node in [*self._selector.checkedNodes(), *self._selector.uncheckedNodes()]:
                wanted = qt.Qt.Checked if node in chosen else qt.Qt.Unchecked
                if self._selector.checkState(node) != wanted:
                    self._selector.setCheckState(node, wanted)
        finally:
            self._suspended = False

    def queryVolumes(self) -> list[Any]:
        """The scans to segment, the annotated one first if it is among them; none twice."""
        if self._parameters is None:
            return []
        nodes = presentNodes(self._parameters.queryVolumes)
        support = self._parameters.supportVolume
        if self._parameters.querySupportVolume and support is not None:
            nodes = [support, *(node for node in nodes if node is not support)]
        return nodes

    def cleanup(self) -> None:
        """Let go of the widgets."""
        self._selector.disconnect("checkedNodesChanged()", self._onChecked)
        self._parameters = None

    def _onChecked(self) -> None:
        if self._suspended or self._parameters is None:
            return
        checked = list(self._selector.checkedNodes())
        if checked != presentNodes(self._parameters.queryVolumes):
            self._parameters.queryVolumes = checked


def presentNodes(nodes: Any) -> list[Any]:
    """Those of the referenced nodes that are still in the scene."""
    return [node for node in nodes if node is not None and slicer.mrmlScene.IsNodePresent(node)]

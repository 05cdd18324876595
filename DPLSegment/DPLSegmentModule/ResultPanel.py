"""The results of the last run: a table, how they are shown, and undo."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from DPLSegmentModule import SliceNavigation
from DPLSegmentModule.RunReports import ScanReport, SegmentFinding, clearReports, readReports, writeReports
from DPLSegmentModule.SegmentUncertainty import existingMaps

SWATCH_PIXELS = 14
NUMBER_ALIGNMENT = qt.Qt.AlignRight | qt.Qt.AlignVCenter


class ResultPanel:
    """The result section of the panel."""

    def __init__(self, ui: Any, logic: Any) -> None:
        self._ui = ui
        self._logic = logic
        self._parameters = None
        self._reports: list[ScanReport] = []
        self._uncertaintyChoices: list[str] = []  # segment IDs; "": all segments
        self._updating = False
        table = ui.resultTable
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([_("Segment"), _("Volume (ml)"), _("Uncertainty"), _("Least certain slice")])
        table.verticalHeader().setVisible(False)
        table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        self._connections = (
            (table, "cellClicked(int,int)", self._onRowClicked),
            (ui.resultQueryComboBox, "currentIndexChanged(int)", self._onScanChosen),
            # Clicks only: loading a scene must not change what it shows.
            (ui.show3DCheckBox, "clicked(bool)", self._showSurfaces),
            (ui.uncertaintyCheckBox, "clicked(bool)", self._showUncertainty),
            (ui.uncertaintyOfComboBox, "currentIndexChanged(int)", self._onSegmentChosen),
            (ui.uncertaintyOpacitySlider, "valueChanged(double)", self._setOpacity),
            (ui.undoButton, "clicked(bool)", self.undo),
        )
        for widget, signal, slot in self._connections:
            widget.connect(signal, slot)

    def setParameters(self, parameters: Any) -> None:
        """Show these parameters; None: the scene is closing."""
        self._parameters = parameters
        self.update()

    def update(self) -> None:
        """Show what the parameters say."""
        self._reports = readReports(self._parameters) if self._parameters is not None else []
        self._updating = True
        try:
            self._updateScans()
            self._updateUncertaintyOf()
            self._updateTable()
        finally:
            self._updating = False
        self._ui.uncertaintyOpacitySlider.enabled = self._parameters is not None and self._parameters.uncertainty
        self._ui.undoButton.enabled = self._parameters is not None and self._logic.canUndo()

    def showResults(self, prepared: Any, applied: list[Any]) -> None:
        """Remember the results that a run has just put into the scene, and show them."""
        if self._parameters is None or not applied:
            return
        writeReports(self._parameters, applied, prepared.styles)
        self.update()
        SliceNavigation.showVolume(applied[0].queryNode)
        self._showSurfaces()
        self._showUncertainty()

    def undo(self) -> None:
        """Take the last result back."""
        if self._parameters is None or not self._logic.canUndo():
            return
        self._logic.hideUncertainty()
        self._logic.undo()
        clearReports(self._parameters)
        self.update()

    def cleanup(self) -> None:
        """Let go of the widgets."""
        for widget, signal, slot in self._connections:
            widget.disconnect(signal, slot)
        self._parameters = None

    def _shown(self) -> ScanReport | None:
        if self._parameters is None or not self._reports:
            return None
        return self._reports[min(max(self._parameters.shownResult, 0), len(self._reports) - 1)]

    def _updateScans(self) -> None:
        combo = self._ui.resultQueryComboBox
        names = [report.name for report in self._reports]
        if [combo.itemText(index) for index in range(combo.count)] != names:
            combo.clear()
            combo.addItems(names)
        if self._shown() is not None:
            combo.currentIndex = self._reports.index(self._shown())
        combo.visible = self._ui.resultQueryLabel.visible = len(names) > 1

    def _updateUncertaintyOf(self) -> None:
        combo, shown = self._ui.uncertaintyOfComboBox, self._shown()
        possible: set[str] = set()
        if shown is not None and shown.uncertainty is not None:
            possible = self._logic.segmentsWithUncertainty(shown.uncertainty)
        segments = [found for found in shown.segments if found.segmentID in possible] if possible else []
        self._uncertaintyChoices = ["", *(found.segmentID for found in segments)]
        names = [_("all segments"), *(found.name for found in segments)]
        if [combo.itemText(index) for index in range(combo.count)] != names:
            combo.clear()
            combo.addItems(names)
        combo.currentIndex = self._uncertaintyChoices.index(self._chosenSegment())
        combo.visible = self._ui.uncertaintyOfLabel.visible = bool(segments) and self._parameters.uncertainty

    def _chosenSegment(self) -> str:
        chosen = self._parameters.uncertaintySegment if self._parameters is not None else ""
        return chosen if chosen in self._uncertaintyChoices else ""

    def _updateTable(self) -> None:
        table, shown = self._ui.resultTable, self._shown()
        findings = shown.segments if shown is not None else ()
        table.setRowCount(len(findings))
        for row, finding in enumerate(findings):
            table.setItem(row, 0, _nameItem(finding))
            for column, text in enumerate(_texts(finding), start=1):
                item = qt.QTableWidgetItem(text)
                item.setTextAlignment(NUMBER_ALIGNMENT)
                table.setItem(row, column, item)
        table.visible = bool(findings)

    def _onScanChosen(self, index: int) -> None:
        if self._updating or self._parameters is None or index < 0:
            return
        self._parameters.shownResult = index
        self.update()
        shown = self._shown()
        if shown is not None and shown.query is not None:
            SliceNavigation.showVolume(shown.query)
            self._showUncertainty()

    def _onSegmentChosen(self, index: int) -> None:
        if self._updating or self._parameters is None or index < 0:
            return
        self._parameters.uncertaintySegment = self._uncertaintyChoices[index]
        self._showUncertainty()

    def _onRowClicked(self, row: int, column: int) -> None:
        shown = self._shown()
        if shown is None or shown.query is None or row >= len(shown.segments):
            return
        finding = shown.segments[row]
        if finding.leastCertainSlice is None:
            return
        near = None
        if shown.segmentation is not None and shown.segmentation.GetSegmentation().GetSegment(finding.segmentID):
            near = shown.segmentation.GetSegmentCenterRAS(finding.segmentID)
        SliceNavigation.showVolume(shown.query)
        SliceNavigation.jumpToSlice(shown.query, shown.sliceAxis, finding.leastCertainSlice, near)

    def _showSurfaces(self, checked: bool = False) -> None:
        if self._parameters is None:
            return
        for report in self._reports:
            if report.segmentation is not None:
                self._logic.showSurfaces(report.segmentation, self._parameters.show3D)

    def _showUncertainty(self, checked: bool = False) -> None:
        shown = self._shown()
        if shown is None:
            return
        wanted = self._wantedMap()
        for report in self._reports:
            for node in (report.uncertainty, *existingMaps(report.uncertainty).values()):
                if node is not None and node is not wanted:
                    self._logic.hideUncertainty(node)
        if wanted is not None:
            self._logic.showUncertainty(wanted, self._parameters.uncertaintyOpacity)

    def _wantedMap(self) -> Any:
        """The volume to show: the map of all segments, or of the chosen one; None if none is to be shown."""
        shown = self._shown()
        if shown is None or shown.uncertainty is None or not self._parameters.uncertainty:
            return None
        chosen = self._chosenSegment()
        own = self._logic.segmentUncertainty(shown.uncertainty, chosen) if chosen else None
        return shown.uncertainty if own is None else own

    def _setOpacity(self, value: float) -> None:
        wanted = self._wantedMap()
        if wanted is not None:
            self._logic.showUncertainty(wanted, value)


def _nameItem(finding: SegmentFinding) -> Any:
    swatch = qt.QPixmap(SWATCH_PIXELS, SWATCH_PIXELS)
    swatch.fill(qt.QColor(*(round(255 * part) for part in finding.color)))
    item = qt.QTableWidgetItem(finding.name)
    item.setIcon(qt.QIcon(swatch))
    item.setToolTip(finding.name)
    return item


def _texts(finding: SegmentFinding) -> tuple[str, str, str]:
    if finding.leastCertainSlice is None:
        return f"{finding.volumeMl:.1f}", _("not found"), ""
    return f"{finding.volumeMl:.1f}", f"{finding.meanUncertainty:.2f}", str(finding.leastCertainSlice)

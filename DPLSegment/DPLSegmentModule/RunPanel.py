"""The button, the progress and the one line in which the panel speaks to the user."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from DPLSegmentModule import Messages
from DPLSegmentModule.RunErrors import isUnexpected, sentenceFor

ERROR_STYLE = "QLabel { color: #c0392b; font-weight: bold; }"


class RunPanel:
    """The segment section of the panel; it knows of at most one run."""

    def __init__(
        self,
        ui: Any,
        logic: Any,
        inputs: Callable[[], dict[str, Any]],
        onResults: Callable[[Any, list[Any]], None],
    ) -> None:
        """
        Args:
            ui: the widgets of the panel.
            logic: prepares and starts runs.
            inputs: the keyword arguments for ``logic.prepareJob``, as chosen on the panel.
            onResults: called with the prepared run and its applied results.
        """
        self._button = ui.segmentButton
        self._cancelButton = ui.cancelButton
        self._bar = ui.progressBar
        self._step = ui.stepLabel
        self._message = ui.messageLabel
        self._logic = logic
        self._inputs = inputs
        self._onResults = onResults
        self._run = None
        self._preparing = False
        self._reason = ""
        self._readyToolTip = _("Segment the chosen scans; the scene changes only when the result is complete.")
        self._button.connect("clicked(bool)", self.segment)
        self._cancelButton.connect("clicked(bool)", self.cancel)
        self.showMessage("")
        self._showRunning()

    @property
    def isRunning(self) -> bool:
        """Whether a run is under way, or about to be."""
        return self._preparing or self._run is not None

    def setReason(self, reason: str) -> None:
        """Why nothing can be segmented now, in one sentence; "" when it can."""
        self._reason = reason
        self._showRunning()

    def segment(self) -> None:
        """Start a run with what is chosen on the panel."""
        if self.isRunning or self._reason:
            return
        self.showMessage("")
        # PyTorch may have to be installed first, with questions to the user, so this can take a while.
        self._preparing = True
        self._showProgress(0.0, _("Preparing"))
        self._showRunning()
        try:
            self._start()
        except Exception as error:
            if isUnexpected(error):
                logging.exception("Preparing a segmentation failed.")
            # The user has just clicked and looks at the panel: no pop-up.
            self.showMessage(sentenceFor(error), isError=True)
        finally:
            self._preparing = False
            self._showRunning()

    def cancel(self) -> None:
        """Stop the run, if there is one."""
        if self._run is not None:
            self._cancelButton.enabled = False
            self._step.text = _("Cancelling")
            self._run.cancel()

    def showMessage(self, text: str, isError: bool = False) -> None:
        """Say something; "" clears the line."""
        self._message.text = text
        self._message.styleSheet = ERROR_STYLE if isError else ""
        self._message.visible = bool(text)

    def cleanup(self) -> None:
        """Stop computing and let go of the widgets, which are about to be destroyed."""
        if self._run is not None:
            self._run.abandon()
            self._run = None
        self._button.disconnect("clicked(bool)", self.segment)
        self._cancelButton.disconnect("clicked(bool)", self.cancel)

    def _start(self) -> None:
        prepared = self._logic.prepareJob(**self._inputs())
        self._run = self._logic.startBackgroundRun(
            prepared,
            onProgress=self._showProgress,
            onFinished=lambda results: self._onFinished(prepared, results),
            onFailed=self._onFailed,
            onCancelled=self._onCancelled,
        )

    def _onFinished(self, prepared: Any, results: list[Any]) -> None:
        notes = self._run.notes if self._run is not None else []
        self._end()
        # Complete, but something is worth knowing: another device, or a scan without a result.
        self.showMessage(" ".join(notes))
        self._onResults(prepared, results)

    def _onFailed(self, message: str) -> None:
        self._end()
        self.showMessage(message, isError=True)
        # The run took a while and the user may look elsewhere by now.
        slicer.util.errorDisplay(message, windowTitle=_("DPLSegment"))

    def _onCancelled(self) -> None:
        self._end()
        self.showMessage(Messages.CANCELLED)

    def _end(self) -> None:
        self._run = None
        self._showRunning()

    def _showProgress(self, fraction: float, step: str) -> None:
        self._bar.value = int(100 * fraction)
        self._step.text = step

    def _showRunning(self) -> None:
        running = self.isRunning
        self._bar.visible = running
        self._cancelButton.visible = running
        self._cancelButton.enabled = self._run is not None
        self._step.visible = running
        self._button.enabled = not running and not self._reason
        if running:
            self._button.toolTip = _("A segmentation is running.")
        else:
            self._button.toolTip = self._reason or self._readyToolTip

"""A background thread over one job; it knows nothing of the scene, of Qt, or of widgets."""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from slicer.i18n import tr as _

from DPLSegmentModule.RunErrors import isUnexpected, sentenceFor
from DPLSegmentModule.SegmentationJob import JobOutcome, RunOptions, SegmentationJob, runJob

# Translated when the module is loaded: translating asks the application, and that is not for the thread.
LOADING = _("Loading the network")

SegmenterFactory = Callable[[RunOptions], Any]


@dataclass
class RunOutcome:
    """How a run ended.

    ``results`` of a complete run; None after cancelling or an error. ``message``: the sentence of the error, "" if
    there was none. ``details``: its traceback if it was unexpected. ``notes``: sentences to show beside the results.
    """

    results: JobOutcome | None = None
    cancelled: bool = False
    message: str = ""
    details: str = ""
    notes: list[str] = field(default_factory=list)


class SegmentationWorker:
    """Runs a job in a thread of its own.

    The thread never logs, prints or calls back: in Slicer all three end in Qt, which belongs to the main thread. It
    leaves its news here and the main thread collects them: :meth:`takeProgress`, :attr:`outcome`.
    """

    def __init__(self, job: SegmentationJob, segmenterFactory: SegmenterFactory) -> None:
        """
        Args:
            job: what to compute; its arrays belong to the worker from now on.
            segmenterFactory: makes the segmenter for the job's options; called in the thread, may be slow.
        """
        self.outcome: RunOutcome | None = None  # set once, when the run has ended
        self._job: SegmentationJob | None = job
        self._segmenterFactory = segmenterFactory
        # Progress comes hundreds of times a second; only the latest matters, so there is room for one.
        self._progress: tuple[float, str] | None = None
        self._notes: deque[str] = deque()
        self._cancelled = threading.Event()
        self._ended = threading.Event()
        # A daemon, so that quitting never waits for it.
        self._thread = threading.Thread(target=self._run, name="DPLSegment", daemon=True)

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def cancel(self) -> None:
        """Ask the run to stop; it does so within a fraction of a second, usually."""
        self._cancelled.set()

    @property
    def isCancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._cancelled.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most ``seconds``, and let the thread run Python code meanwhile (the waiting thread gives
        up the interpreter lock). Returns whether the run has ended."""
        return self._ended.wait(seconds)

    def takeProgress(self) -> tuple[float, str] | None:
        """The latest (fraction in [0, 1], message), or None if there is no news since the last call."""
        latest, self._progress = self._progress, None
        return latest

    def _run(self) -> None:
        outcome = RunOutcome()
        try:
            outcome.results = self._results()
        except Exception as error:
            from DPLSegmentLib.errors import Cancelled

            if isinstance(error, Cancelled):
                outcome.cancelled = True
            else:
                outcome.message = sentenceFor(error)
                outcome.details = traceback.format_exc() if isUnexpected(error) else ""
        if self.isCancelled:
            # Cancelled in the last moment, or failed because of it: either way the user asked for nothing to happen.
            outcome = RunOutcome(cancelled=True)
        outcome.notes = list(self._notes)
        self._job = None  # the copied scans go as soon as they are not needed
        self.outcome = outcome
        self._ended.set()

    def _results(self) -> JobOutcome:
        segmenters = []

        def factory(options: RunOptions) -> Any:
            self._report(0.0, LOADING)
            segmenter = self._segmenterFactory(options)
            segmenter.message = self._notes.append  # told about a fall-back to the CPU
            segmenters.append(segmenter)
            return segmenter

        try:
            return runJob(self._job, factory, self._report, self._cancelled.is_set)
        finally:
            for segmenter in segmenters:
                segmenter.message = None

    def _report(self, fraction: float, message: str) -> None:
        self._progress = (fraction, message)

"""The main thread's side of a run in the background: progress, cancelling, and what happens at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import qt
import slicer

from DPLSegmentModule.MainThreadCollector import MainThreadCollector
from DPLSegmentModule.RunErrors import isUnexpected, sentenceFor
from DPLSegmentModule.SegmentationWorker import RunOutcome, SegmentationWorker

# The main thread of Slicer keeps Python's interpreter lock while Qt's event loop idles: PythonQt is used there without
# its thread support, so nothing in the C++ loop ever gives the lock away, and a Python thread stands still as soon as
# it returns from a PyTorch kernel, until the main thread runs Python code that blocks. Therefore the timer's slot
# waits, without the lock, for most of the time between two ticks. The wait is about one frame of a fluid user
# interface, and the pause lets Qt handle events; a click is answered at most WAIT_SECONDS later than usual. Measured
# with a main thread that keeps the lock in the pauses: a run takes about 1.15 times as long as without an event loop,
# and more than twice as long if the slot hardly waits. (PyTorch's number of threads is left alone: results are bit for
# bit the same only for the same number.)
WAIT_SECONDS = 0.02
PAUSE_MILLISECONDS = 5
# After cancelling, a thread that has not stopped by then (it may be inside a long kernel, or loading PyTorch) is left
# to end by itself; its results go nowhere.
GRACE_SECONDS = 0.8


class BackgroundRun:
    """One run. Callbacks are called on the main thread: ``onProgress(fraction, message)`` any number of times, then
    exactly one of ``onFinished(value)``, ``onFailed(sentence)`` and ``onCancelled()``; none after :meth:`abandon`.

    Closing the scene cancels the run, quitting the application abandons it.
    """

    def __init__(
        self,
        worker: SegmentationWorker,
        applyOutcome: Callable[[RunOutcome], Any],
        onProgress: Callable[[float, str], None] | None = None,
        onFinished: Callable[[Any], None] | None = None,
        onFailed: Callable[[str], None] | None = None,
        onCancelled: Callable[[], None] | None = None,
        onEnded: Callable[[BackgroundRun], None] | None = None,
        isStillWanted: Callable[[], bool] | None = None,
    ) -> None:
        """
        Args:
            worker: not started yet.
            applyOutcome: called on the main thread with the complete results; writes them into the scene and returns
                what ``onFinished`` gets. Raises InputError if they cannot be applied, having changed nothing.
            onEnded: always called, once, before the final callback.
            isStillWanted: asked at every tick; when it says no (all queries were deleted), computing stops and
                ``applyOutcome`` gets an outcome without results, to say why.
        """
        self._worker = worker
        self._applyOutcome = applyOutcome
        self._callbacks = {
            "progress": onProgress,
            "finished": onFinished,
            "failed": onFailed,
            "cancelled": onCancelled,
        }
        self._onEnded = onEnded
        self._isStillWanted = isStillWanted
        self.notes: list[str] = []  # sentences to show beside the results; complete when the final callback is called
        self._collector = MainThreadCollector()
        self._cancelledAt: float | None = None
        self._unwanted = False
        self._polling = False
        self._running = False
        self._timer: qt.QTimer | None = None
        # PythonQt finds a connection again by the slot object it was made with, so the bound methods are kept.
        self._timeoutSlot, self._quitSlot = self._onTimeout, self.abandon
        self._observation: tuple[Any, int] | None = None

    @property
    def isRunning(self) -> bool:
        """From :meth:`start` until just before the final callback."""
        return self._running

    @property
    def isThreadAlive(self) -> bool:
        """Whether the thread still computes, be it for nobody."""
        return not self._worker.wait(0)

    def start(self) -> None:
        """Start computing; returns at once."""
        self._running = True
        scene = slicer.mrmlScene
        self._observation = (scene, scene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, self._onSceneClose))
        slicer.app.connect("aboutToQuit()", self._quitSlot)
        self._timer = qt.QTimer()
        self._timer.setInterval(PAUSE_MILLISECONDS)
        # Single shots, each started after the last has been handled: a modal dialog opened by a callback, or a busy
        # machine, cannot pile up ticks.
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._timeoutSlot)
        self._collector.start()
        self._worker.start()
        self._timer.start()

    def cancel(self) -> None:
        """Stop computing and leave the scene as it is; ``onCancelled`` is called within a second."""
        if self._running and self._cancelledAt is None:
            self._cancelledAt = time.monotonic()
            self._worker.cancel()

    def abandon(self) -> None:
        """Stop computing and call nobody back: the widget goes away, or the application quits. Waits for the thread, at
        most a second."""
        if not self._running:
            return
        self._callbacks = dict.fromkeys(self._callbacks)
        self.cancel()
        self._worker.wait(GRACE_SECONDS)
        self._end()

    def wait(self, seconds: float) -> bool:
        """Run to the end without an event loop (tests, scripts), at most ``seconds``; callbacks are called as usual.
        Returns whether it has ended."""
        until = time.monotonic() + seconds
        while self._running and time.monotonic() < until:
            self._poll()
        return not self._running

    def _onTimeout(self) -> None:
        self._poll()
        if self._running and self._timer is not None:
            self._timer.start()

    def _poll(self) -> None:
        # A callback may process events, and with them the next tick.
        if not self._running or self._polling:
            return
        self._polling = True
        try:
            ended = self._worker.wait(WAIT_SECONDS)
            self._collector.collect()
            self._tellProgress()
            if self._running:  # a progress callback may have abandoned the run
                self._advance(ended)
        finally:
            self._polling = False

    def _advance(self, ended: bool) -> None:
        if self._cancelledAt is not None:
            if ended or time.monotonic() - self._cancelledAt > GRACE_SECONDS:
                self._end()
                self._call("cancelled")
        elif ended:
            self._finish(self._worker.outcome)
        elif not self._unwanted and self._isStillWanted is not None and not self._isStillWanted():
            self._unwanted = True
            self._worker.cancel()

    def _finish(self, outcome: RunOutcome) -> None:
        self.notes += outcome.notes
        if outcome.details:
            logging.error(outcome.details)
        if outcome.message:
            self._end()
            self._call("failed", outcome.message)
            return
        try:
            value = self._applyOutcome(outcome)
        except Exception as error:
            if isUnexpected(error):
                logging.exception("The results could not be applied.")
            self._end()
            self._call("failed", sentenceFor(error))
            return
        self._end()
        self._call("finished", value)

    def _tellProgress(self) -> None:
        progress = self._worker.takeProgress()
        if progress is not None and self._cancelledAt is None:
            self._call("progress", *progress)

    def _call(self, name: str, *arguments: Any) -> None:
        callback = self._callbacks[name]
        if callback is None:
            return
        try:
            callback(*arguments)
        except Exception:
            # For example a widget that is being destroyed: it must not leave a run that nobody can end.
            logging.exception("A callback of a segmentation run failed.")
            if name == "progress":
                self._callbacks["progress"] = None

    def _onSceneClose(self, caller: Any = None, event: Any = None) -> None:
        self.cancel()

    def _end(self) -> None:
        """Let go of timer and observers."""
        if not self._running:
            return
        self._running = False
        self._collector.stop()
        self._timer.stop()
        self._timer.disconnect("timeout()", self._timeoutSlot)
        self._timer = None
        slicer.app.disconnect("aboutToQuit()", self._quitSlot)
        scene, tag = self._observation
        scene.RemoveObserver(tag)
        self._observation = None
        if self._onEnded is not None:
            self._onEnded(self)

"""A run seen from the main thread: who is called when, and what cancelling, closing and quitting do."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fake_segmenter import FakeSegmenter

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def imports(host, monkeypatch):
    """The module's parts exist only once the host has been started."""
    global slicer, qt, Volume, InputError, BackgroundRunModule, BackgroundRun, Messages
    global SegmentationWorker, SegmentationJob, QueryItem, RunOptions, SupportData
    monkeypatch.syspath_prepend(str(CHECKOUT / "DPLSegment"))
    import qt
    import slicer

    from DPLSegmentLib import Volume
    from DPLSegmentLib.errors import InputError
    from DPLSegmentModule import BackgroundRun as BackgroundRunModule
    from DPLSegmentModule import Messages
    from DPLSegmentModule.BackgroundRun import BackgroundRun
    from DPLSegmentModule.SegmentationJob import QueryItem, RunOptions, SegmentationJob
    from DPLSegmentModule.SegmentationWorker import SegmentationWorker
    from DPLSegmentModule.SupportReader import SupportData


class Watched:
    """A run and everything that was called."""

    def __init__(self, host, segmenter, applyOutcome=None, **callbacks):
        self.host, self.calls, self.threads = host, [], set()
        volume = Volume(np.arange(4 * 8 * 8, dtype=np.int16).reshape(4, 8, 8), np.eye(4), "support")
        mask = np.zeros((4, 8, 8), bool)
        mask[1, 2:5, 2:5] = True
        job = SegmentationJob(
            SupportData(volume, {1: mask}, {1: "organ"}), [QueryItem("n", "scan", None)], RunOptions()
        )
        self.worker = SegmentationWorker(job, segmenter.load)

        def recorder(name):
            def record(*arguments):
                self.threads.add(threading.current_thread())
                self.calls.append((name, *arguments))
                if name in callbacks:
                    callbacks[name](*arguments)

            return record

        def apply(outcome):
            self.threads.add(threading.current_thread())
            self.calls.append(("apply",))
            return applyOutcome(outcome) if applyOutcome else "applied"

        names = ("progress", "finished", "failed", "cancelled", "ended")
        self.run = BackgroundRun(self.worker, apply, *map(recorder, names), callbacks.get("isStillWanted"))

    def start(self):
        self.run.start()
        return self

    def toEnd(self, seconds=20):
        self.host.waitUntil(lambda: not self.run.isRunning, seconds)
        self.host.processEvents(0.05)
        return self

    @property
    def names(self):
        """Names of the calls; progress, which comes any number of times, left out."""
        return [call[0] for call in self.calls if call[0] != "progress"]


def test_complete_run(host, scene):
    watched = Watched(host, FakeSegmenter(seconds=0.3, note="Continuing on the CPU.")).start()
    assert watched.run.isRunning and watched.calls == [], "start() does not wait"
    watched.toEnd()
    assert watched.names == ["apply", "ended", "finished"]
    assert watched.calls[-1] == ("finished", "applied")
    fractions = [call[1] for call in watched.calls if call[0] == "progress"]
    assert len(fractions) >= 3 and fractions == sorted(fractions) and fractions[-1] == 1.0
    assert watched.run.notes == ["Continuing on the CPU."]
    assert watched.threads == {threading.main_thread()}


def test_progress_is_not_told_more_often_than_it_can_be_seen(host, scene):
    watched = Watched(host, FakeSegmenter(seconds=0.5)).start().toEnd()
    assert len([call for call in watched.calls if call[0] == "progress"]) <= 0.6 / BackgroundRunModule.WAIT_SECONDS


def test_failure_is_a_sentence_and_details_are_logged(host, scene, caplog):
    watched = Watched(host, FakeSegmenter(error=KeyError("organ"))).start().toEnd()
    assert watched.names == ["ended", "failed"]
    assert watched.calls[-1][1] == Messages.UNEXPECTED_ERROR.format(kind="KeyError")
    assert "Traceback" in caplog.text and "KeyError" in caplog.text


def test_results_that_cannot_be_written(host, scene, caplog):
    def refuse(outcome):
        raise InputError("The scan was deleted.")

    watched = Watched(host, FakeSegmenter(), refuse).start().toEnd()
    assert watched.names == ["apply", "ended", "failed"] and watched.calls[-1] == ("failed", "The scan was deleted.")
    assert caplog.text == ""

    def crash(outcome):
        raise RuntimeError("Importing of segment failed.")

    watched = Watched(host, FakeSegmenter(), crash).start().toEnd()
    assert watched.calls[-1] == ("failed", Messages.UNEXPECTED_ERROR.format(kind="RuntimeError"))
    assert "Importing of segment failed." in caplog.text


def test_cancelling_ends_the_run_without_results(host, scene):
    watched = Watched(host, FakeSegmenter(seconds=30)).start()
    host.processEvents(0.2)
    before = time.monotonic()
    watched.run.cancel()
    watched.toEnd()
    assert time.monotonic() - before < 1.0
    assert watched.names == ["ended", "cancelled"]
    assert not watched.run.isThreadAlive


def test_thread_that_does_not_stop_is_left_behind_within_a_second(host, scene):
    watched = Watched(host, FakeSegmenter(seconds=1.5, stubborn=True)).start()
    host.processEvents(0.1)
    before = time.monotonic()
    watched.run.cancel()
    host.waitUntil(lambda: not watched.run.isRunning, 5)
    assert time.monotonic() - before < 1.0
    assert watched.names == ["ended", "cancelled"] and watched.run.isThreadAlive
    assert watched.worker.wait(5)
    host.processEvents(0.1)
    assert watched.names == ["ended", "cancelled"], "the late result went somewhere"


def test_cancelled_between_the_end_of_the_thread_and_the_next_tick(host, scene):
    watched = Watched(host, FakeSegmenter()).start()
    assert watched.worker.wait(10)
    watched.run.cancel()
    watched.toEnd()
    assert watched.names == ["ended", "cancelled"]


def test_closing_the_scene_cancels(host, scene):
    watched = Watched(host, FakeSegmenter(seconds=30)).start()
    host.processEvents(0.1)
    host.closeScene()
    watched.toEnd(2)
    assert watched.names == ["ended", "cancelled"]


def test_abandoning_stops_the_thread_and_calls_nobody(host, scene):
    watched = Watched(host, FakeSegmenter(seconds=30)).start()
    host.processEvents(0.1)
    calls = len(watched.calls)
    before = time.monotonic()
    watched.run.abandon()
    assert time.monotonic() - before < 1.0
    assert not watched.run.isRunning and not watched.run.isThreadAlive
    host.processEvents(0.2)
    assert [call[0] for call in watched.calls[calls:]] == ["ended"], "the owner, and nobody else, is told"


def test_quitting_abandons(host, scene):
    watched = Watched(host, FakeSegmenter(seconds=30)).start()
    host.processEvents(0.1)
    slicer.app.aboutToQuit.emit()
    assert not watched.run.isRunning and not watched.run.isThreadAlive
    assert watched.names == ["ended"]


def test_abandoned_from_a_progress_callback(host, scene):
    watched = Watched(host, FakeSegmenter(seconds=30), progress=lambda *_arguments: watched.run.abandon()).start()
    watched.toEnd()
    assert watched.names == ["ended"]


@pytest.mark.parametrize("name", ["progress", "finished"])
def test_failing_callback_does_not_keep_the_run_alive(host, scene, caplog, name):
    def fail(*_arguments):
        raise ValueError("trying to access a destroyed widget")

    watched = Watched(host, FakeSegmenter(seconds=0.2), **{name: fail}).start().toEnd()
    assert watched.names == ["apply", "ended", "finished"]
    assert caplog.text.count("ValueError: trying to access a destroyed widget") == 1
    assert watched.threads == {threading.main_thread()}


def test_callback_that_processes_events(host, scene):
    watched = Watched(host, FakeSegmenter(seconds=0.3), progress=lambda *_arguments: host.processEvents(0.05))
    watched.start().toEnd()
    assert watched.names == ["apply", "ended", "finished"]


def test_run_that_nobody_wants_any_more_stops_and_says_why(host, scene):
    state = SimpleNamespace(wanted=True)

    def explain(outcome):
        assert outcome.results is None
        raise InputError("The scan was deleted.")

    watched = Watched(host, FakeSegmenter(seconds=30), explain, isStillWanted=lambda: state.wanted).start()
    host.processEvents(0.1)
    assert watched.run.isRunning
    state.wanted = False
    watched.toEnd(2)
    assert watched.calls[-1] == ("failed", "The scan was deleted.")


def test_waiting_without_an_event_loop(host, scene):
    watched = Watched(host, FakeSegmenter(seconds=0.2)).start()
    assert not watched.run.wait(0.05)
    assert watched.run.wait(10)
    assert watched.names == ["apply", "ended", "finished"]


def test_nothing_keeps_an_ended_run_alive(host, scene):
    watched = Watched(host, FakeSegmenter()).start().toEnd()
    run = weakref.ref(watched.run)
    del watched
    gc.collect()
    assert run() is None


def test_user_interface_stays_fluid(host, scene):
    class Busy(FakeSegmenter):
        """Keeps the interpreter busy, the worst case for the main thread."""

        def segment(self, query=None, *, progress=None, should_cancel=None):
            until = time.monotonic() + 0.8
            while time.monotonic() < until:
                sum(range(1000))
            return super().segment(query, progress=progress, should_cancel=should_cancel)

    ticks = []
    timer = qt.QTimer()
    timer.setInterval(10)
    timer.connect("timeout()", lambda: ticks.append(time.monotonic()))
    timer.start()
    Watched(host, Busy()).start().toEnd()
    timer.stop()
    gaps = np.diff(ticks)
    assert len(gaps) > 10 and np.median(gaps) < 0.1 and gaps.max() < 0.4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs usleep() of the C library")
def test_thread_advances_although_the_event_loop_keeps_the_interpreter_lock(host, scene, monkeypatch):
    # PyDLL keeps the lock while it is in C: this sleep is what Slicer's event loop is for Python's threads.
    idle = ctypes.PyDLL(None).usleep

    def steps(waitSeconds):
        monkeypatch.setattr(BackgroundRunModule, "WAIT_SECONDS", waitSeconds)

        class Counter(FakeSegmenter):
            count = 0

            def segment(self, query=None, *, progress=None, should_cancel=None):
                while not should_cancel():
                    # As a network does: it gives the lock up in every kernel, and needs it again after each.
                    time.sleep(0.0002)
                    self.count += 1
                return super().segment(query, progress=progress, should_cancel=should_cancel)

        counter = Counter()
        watched = Watched(host, counter)
        watched.run.start()
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            idle(1000 * BackgroundRunModule.PAUSE_MILLISECONDS)
            watched.run._poll()
        counted = counter.count
        watched.run.abandon()
        return counted

    shipped = BackgroundRunModule.WAIT_SECONDS
    with_waiting, without = steps(shipped), steps(0.0)
    assert with_waiting > 4 * without, (with_waiting, without)


def test_garbage_of_the_main_thread_is_collected_on_the_main_thread(host, scene):
    died = []

    class Widget:
        def __init__(self):
            self.itself = self  # a cycle: only the collector ends it

        def __del__(self):
            died.append(threading.current_thread())

    class Allocating(FakeSegmenter):
        def segment(self, query=None, *, progress=None, should_cancel=None):
            kept = []
            for _n in range(200):
                kept.append([[] for _m in range(1000)])
                time.sleep(0.001)
            return super().segment(query, progress=progress, should_cancel=should_cancel)

    watched = Watched(host, Allocating(), progress=lambda *_arguments: Widget()).start()
    for _n in range(20):
        Widget()
        host.processEvents(0.02)
    watched.toEnd()
    assert gc.isenabled()
    gc.collect()
    assert died and set(died) == {threading.main_thread()}

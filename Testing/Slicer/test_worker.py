"""The background thread by itself: events, errors as sentences, cancelling."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fake_segmenter import FakeSegmenter

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def imports(host, monkeypatch):
    """The module's parts exist only once the host has been started."""
    global InputError, Volume, Messages, SegmentationWorker, SegmentationJob, QueryItem, RunOptions, SupportData
    monkeypatch.syspath_prepend(str(CHECKOUT / "DPLSegment"))
    from DPLSegmentLib import Volume
    from DPLSegmentLib.errors import InputError
    from DPLSegmentModule import Messages
    from DPLSegmentModule.SegmentationJob import QueryItem, RunOptions, SegmentationJob
    from DPLSegmentModule.SegmentationWorker import SegmentationWorker
    from DPLSegmentModule.SupportReader import SupportData


def job(queries: int = 1):
    """A support with one label; the first query is the support itself."""
    volume = Volume(np.arange(4 * 8 * 8, dtype=np.int16).reshape(4, 8, 8), np.eye(4), "support")
    mask = np.zeros((4, 8, 8), bool)
    mask[1, 2:5, 2:5] = True
    items = [QueryItem(f"node{n}", f"scan {n}", None if n == 0 else volume) for n in range(queries)]
    return SegmentationJob(SupportData(volume, {1: mask}, {1: "organ"}), items, RunOptions())


def run(segmenter, theJob=None):
    worker = SegmentationWorker(theJob or job(), segmenter.load)
    worker.start()
    assert worker.wait(20)
    return worker.outcome


def test_results_of_a_complete_run():
    segmenter = FakeSegmenter()
    outcome = run(segmenter, job(3))
    assert [result.query.name for result in outcome.results.results] == ["scan 0", "scan 1", "scan 2"]
    assert not outcome.cancelled and outcome.message == "" and outcome.details == "" and outcome.notes == []


def test_everything_slow_happens_in_the_thread():
    segmenter = FakeSegmenter()
    run(segmenter)
    assert threading.current_thread() not in segmenter.threads and len(segmenter.threads) == 1


def test_only_the_latest_progress_is_kept():
    worker = SegmentationWorker(job(), FakeSegmenter(seconds=0.3).load)
    worker.start()
    taken = []
    while not worker.wait(0.05):
        taken.append(worker.takeProgress())
    taken.append(worker.takeProgress())
    news = [progress for progress in taken if progress is not None]
    assert 2 <= len(news) <= len(taken)
    fractions = [fraction for fraction, _message in news]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert worker.takeProgress() is None


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8000000000 bytes."),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
    ids=["Python", "PyTorch on the CPU", "PyTorch on a GPU"],
)
def test_lack_of_memory_is_one_clear_sentence(error):
    outcome = run(FakeSegmenter(error=error))
    assert outcome.message == Messages.OUT_OF_MEMORY and outcome.results is None
    assert type(error).__name__ in outcome.details


def test_real_out_of_memory_of_torch_is_recognised():
    torch = pytest.importorskip("torch")
    segmenter = FakeSegmenter()
    segmenter.set_support = lambda *_arguments, **_keywords: torch.empty(2**60, dtype=torch.uint8)
    assert run(segmenter).message == Messages.OUT_OF_MEMORY


def test_unusable_input_is_told_in_the_librarys_own_words():
    outcome = run(FakeSegmenter(error=InputError("The scan is empty; load another.")))
    assert outcome.message == "The scan is empty; load another." and outcome.details == ""


def test_anything_else_is_a_sentence_and_a_traceback():
    outcome = run(FakeSegmenter(error=KeyError("organ")))
    assert outcome.message == Messages.UNEXPECTED_ERROR.format(kind="KeyError")
    assert "Traceback" in outcome.details and "fake_segmenter.py" in outcome.details


def test_network_that_cannot_be_loaded():
    def load(options):
        raise InputError("The weights file is damaged; copy it again.")

    worker = SegmentationWorker(job(), load)
    worker.start()
    assert worker.wait(20)
    assert worker.outcome.message == "The weights file is damaged; copy it again."


def test_one_unusable_scan_does_not_cost_the_others():
    segmenter = FakeSegmenter()
    compute = segmenter.segment

    def segment(query=None, **keywords):
        if len(segmenter.queries) == 1:
            segmenter.queries.append(query)
            raise InputError("It is empty.")
        return compute(query, **keywords)

    segmenter.segment = segment
    outcome = run(segmenter, job(3))
    assert [result.query.name for result in outcome.results.results] == ["scan 0", "scan 2"]
    assert [(failure.query.name, failure.message) for failure in outcome.results.failures] == [
        ("scan 1", "It is empty.")
    ]


def test_notes_of_the_segmenter_come_with_the_results():
    segmenter = FakeSegmenter(note="Continuing on the CPU.")
    assert run(segmenter).notes == ["Continuing on the CPU."]
    assert segmenter.message is None, "the kept segmenter still knows the worker"


def test_cancelling_stops_the_run():
    worker = SegmentationWorker(job(), FakeSegmenter(seconds=30).load)
    worker.start()
    assert not worker.wait(0.05)
    worker.cancel()
    start = time.monotonic()
    assert worker.wait(5)
    assert time.monotonic() - start < 0.5
    assert worker.outcome.cancelled and worker.outcome.results is None


@pytest.mark.parametrize("error", [None, RuntimeError("late")])
def test_cancelled_in_the_last_moment_is_cancelled(error):
    worker = SegmentationWorker(job(), FakeSegmenter(seconds=0.2, stubborn=True, error=error).load)
    worker.start()
    worker.cancel()
    assert worker.wait(5)
    assert worker.outcome.cancelled and worker.outcome.results is None and worker.outcome.message == ""


def test_thread_touches_neither_scene_nor_qt_nor_the_log(host, caplog, capfd, monkeypatch):
    import slicer

    class Forbidden:
        def __getattr__(self, name):
            raise AssertionError(f"the thread used {name}")

    with monkeypatch.context() as patch:
        patch.setattr(slicer, "mrmlScene", Forbidden())
        patch.setattr(slicer, "app", Forbidden())
        outcome = run(FakeSegmenter(seconds=0.05, note="note"), job(2))
        failed = run(FakeSegmenter(error=KeyError("organ")))
    assert outcome.results is not None and failed.message
    assert caplog.text == "" and capfd.readouterr().out == ""

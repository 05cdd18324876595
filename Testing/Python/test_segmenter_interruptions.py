"""Cancelling, memory that runs out: the segmenter stays usable and its results stay what they were."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from scans import BALL, annotate, phantom

from DPLSegmentLib import Cancelled, OneShotSegmenter
from DPLSegmentLib import segmenter as module
from DPLSegmentLib.cross_matching import CrossMatcher

# The class is called torch.OutOfMemoryError only since torch 2.5.
OutOfMemory = torch.cuda.OutOfMemoryError


@pytest.fixture(scope="module")
def segmenter():
    return OneShotSegmenter.load(device="cpu")


@pytest.fixture(scope="module")
def scans():
    """Support, annotation (one label), query."""
    support, truth = phantom((6, 40, 40), (8.0, 5.0, 5.0))
    query, _ = phantom((5, 40, 44), (8.0, 5.0, 5.0), seed=1, shift=(0.0, 0.1, 0.0))
    return support, annotate(truth, {BALL: [3]}), query


class Stop:
    """A ``should_cancel`` that says yes from its n-th question on, and remembers when."""

    def __init__(self, count: int) -> None:
        self.left, self.at = count, None

    def __call__(self) -> bool:
        self.left -= 1
        if self.left > 0:
            return False
        self.at = time.perf_counter() if self.at is None else self.at
        return True


def questions(work) -> int:
    """How often a job asks whether it should stop."""
    asked = []
    work(lambda: asked.append(None))
    return len(asked)


@pytest.mark.parametrize("same_scan", [True, False])
def test_cancelling_takes_effect_at_once_wherever_it_strikes(segmenter, scans, same_scan):
    support, drawn, query = scans
    segmenter.set_support(support, drawn)
    target = None if same_scan else query
    expected = segmenter.segment(target)

    def job(should_cancel):
        segmenter.clear_cache()
        return segmenter.segment(target, should_cancel=should_cancel)

    total = questions(job)
    assert total > 8
    for count in sorted({1, 2, 3, total // 3, 2 * total // 3, total - 1, total}):
        stop = Stop(count)
        with pytest.raises(Cancelled):
            job(stop)
        assert time.perf_counter() - stop.at < 1.0
    result = segmenter.segment(target)
    assert np.array_equal(result.labels, expected.labels)
    assert np.array_equal(result.uncertainty, expected.uncertainty)


def test_a_cancelled_support_leaves_the_one_before(segmenter, scans):
    support, drawn, query = scans
    segmenter.set_support(support, drawn)
    expected = segmenter.segment()
    for count in (1, 2):
        segmenter.clear_cache()
        with pytest.raises(Cancelled):
            segmenter.set_support(query, np.ones(query.array.shape, int), slice_axis=2, should_cancel=Stop(count))
    result = segmenter.segment()
    assert result.labels.shape == support.array.shape and np.array_equal(result.labels, expected.labels)


@pytest.mark.parametrize("same_scan", [True, False])
def test_many_labels_do_not_delay_cancelling(segmenter, scans, same_scan, monkeypatch):
    """Between two questions lies at most one call of any part of the network, however much there is to do."""
    support, drawn, query = scans
    segmenter.set_support(support, {value: drawn == BALL for value in range(1, 11)})
    segmenter.clear_cache()
    calls, most, looks = [], [], []
    model = segmenter._model
    parts = (model.encoder, model.similarity, model.decoder)
    hooks = [part.register_forward_hook(lambda *_: calls.append(None)) for part in parts]
    for name in ("by_slice", "varied"):
        whole = getattr(CrossMatcher, name)
        monkeypatch.setattr(CrossMatcher, name, lambda *a, whole=whole: looks.append(calls.append(None)) or whole(*a))

    def asked() -> bool:
        most.append(len(calls))
        calls.clear()
        return False

    try:
        segmenter.segment(None if same_scan else query, should_cancel=asked)
    finally:
        for hook in hooks:
            hook.remove()
    assert sum(most) > 12 and max(most) == 1 and len(calls) <= 1
    assert bool(looks) is not same_scan


def starve(segmenter, monkeypatch, limit: int) -> list[int]:
    """Make the encoder run out of memory on more than ``limit`` slices at once; collects what it was asked."""
    encoder, asked = segmenter._model.encoder, []
    forward = type(encoder).forward

    def encode(slices):
        asked.append(len(slices))
        if len(slices) > limit:
            raise OutOfMemory("no memory left")
        return forward(encoder, slices)

    monkeypatch.setattr(encoder, "forward", encode)
    return asked


def test_less_memory_means_smaller_chunks_and_the_same_result(scans, monkeypatch):
    support, drawn, _ = scans
    segmenter = OneShotSegmenter.load(device="cpu")
    segmenter.set_support(support, drawn)
    expected = segmenter.segment()
    segmenter.clear_cache()
    asked = starve(segmenter, monkeypatch, 1)
    result = segmenter.segment()
    assert asked == [4, 2, 1, 1, 1, 1, 1, 1]
    assert np.array_equal(result.labels, expected.labels)
    assert np.allclose(result.uncertainty, expected.uncertainty, atol=1e-3)


def test_no_memory_on_the_gpu_means_going_on_on_the_cpu_with_a_message(scans, monkeypatch):
    support, drawn, _ = scans
    segmenter = OneShotSegmenter.load(device="cpu")
    segmenter.set_support(support, drawn)
    expected = segmenter.segment()
    segmenter.clear_cache()
    # A GPU whose memory is full after the first slices: everything else about it is the CPU.
    monkeypatch.setattr(segmenter, "_device", torch.device("cuda"))
    segmenter._preparer.chunk = 5  # one more than on the CPU, which so starts further back
    monkeypatch.setattr(module, "describe_device", lambda device: str(device))
    encoder, forward = segmenter._model.encoder, type(segmenter._model.encoder).forward

    said, fractions = [], []

    def encode(slices):
        if segmenter._device.type == "cuda" and fractions:
            raise OutOfMemory("no memory left")
        return forward(encoder, slices)

    monkeypatch.setattr(encoder, "forward", encode)
    segmenter.message = said.append
    result = segmenter.segment(progress=lambda fraction, _: fractions.append(fraction))
    assert said == ["cuda has too little free memory for this scan; continuing on the CPU."]
    assert segmenter._device.type == "cpu" and result.report["device"] == "cpu"
    assert np.array_equal(result.labels, expected.labels)
    assert fractions == sorted(fractions) and 0 < fractions[0] < fractions[-1] == 1.0


def test_no_memory_on_the_cpu_is_told(scans, monkeypatch):
    support, drawn, _ = scans
    segmenter = OneShotSegmenter.load(device="cpu")
    starve(segmenter, monkeypatch, 0)
    with pytest.raises(OutOfMemory):
        segmenter.set_support(support, drawn)


@pytest.mark.parametrize("step", ["set_support", "segment"])
def test_encoding_is_deterministic_and_the_callers_settings_come_back(segmenter, scans, monkeypatch, step):
    support, drawn, _ = scans
    seen = []
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    segmenter.set_support(support, drawn)
    segmenter.clear_cache()
    hook = segmenter._model.encoder.register_forward_hook(
        lambda *_: seen.append((torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic))
    )
    try:
        segmenter.set_support(support, drawn) if step == "set_support" else segmenter.segment()
    finally:
        hook.remove()
    assert set(seen) == {(False, True)}
    assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == (True, False)

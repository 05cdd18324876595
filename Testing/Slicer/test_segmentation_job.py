"""A job without a scene: one support, several queries, shares of progress, cancelling, and queries that fail alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scene_objects import box, importable

SHAPE = (4, 10, 12)
ORGAN = box(SHAPE, (1, 2), (2, 6), (3, 9))


@pytest.fixture(autouse=True)
def imports(host, monkeypatch):
    global Cancelled, InputError, PlacedMask, QueryItem, QueryResult, RunOptions, SegmentationJob, SupportData
    global Volume, runJob
    importable(monkeypatch)
    from DPLSegmentLib import Volume
    from DPLSegmentLib.errors import Cancelled, InputError
    from DPLSegmentLib.regridding import PlacedMask
    from DPLSegmentModule.SegmentationJob import QueryItem, QueryResult, RunOptions, SegmentationJob, runJob
    from DPLSegmentModule.SupportReader import SupportData


DOUBTS = object()


class Segmenter:
    """Gives back the annotation, and refuses scans whose name says so."""

    def __init__(self):
        self.supports, self.queries = [], []

    def set_support(self, volume, labels, *, progress, should_cancel):
        self.supports.append((volume, labels))
        progress(0.5, "encoding")
        progress(1.0, "support ready")

    def segment(self, query, *, progress, should_cancel):
        self.queries.append(query)
        progress(0.5, "matching")
        if query is not None and "bad" in query.name:
            raise InputError(f"The volume '{query.name}' cannot be used; give another one.")
        progress(1.0, "done")
        masks = self.supports[-1][1]
        return SimpleNamespace(
            mask=masks.__getitem__, uncertainty=np.full(SHAPE, 0.5, np.float32), report={"labels": {}}, doubts=DOUBTS
        )


def job(*names, **options):
    """Queries by name; "" is the support itself."""
    support = SupportData(Volume(np.arange(480).reshape(SHAPE), np.eye(4), "support"), {1: ORGAN}, {1: "organ"})
    queries = [
        QueryItem(f"id of {name}", name, Volume(np.arange(480).reshape(SHAPE), np.eye(4), name) if name else None)
        for name in names
    ]
    return SegmentationJob(support, queries, RunOptions(**options))


def run(theJob, segmenter=None, shouldCancel=lambda: False):
    segmenter = segmenter or Segmenter()
    seen, options = [], []

    def factory(given):
        options.append(given)
        return segmenter

    outcome = runJob(theJob, factory, lambda fraction, message: seen.append((fraction, message)), shouldCancel)
    assert options == [theJob.options]
    return outcome, seen, segmenter


def test_the_support_is_set_once_for_all_queries_in_their_order():
    outcome, _seen, segmenter = run(job("a", "", "b"))
    assert len(segmenter.supports) == 1
    assert [query.name if query is not None else None for query in segmenter.queries] == ["a", None, "b"]
    assert [result.query.nodeID for result in outcome.results] == ["id of a", "id of ", "id of b"]
    assert outcome.failures == []
    assert np.array_equal(outcome.results[0].masks[1].full(SHAPE), ORGAN)


def test_progress_rises_to_one_and_names_the_scan_when_there_are_several():
    _outcome, seen, _segmenter = run(job("a", "b"))
    fractions = [fraction for fraction, _message in seen]
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)
    assert "a (1 of 2): matching" in [message for _fraction, message in seen]
    ends = [fraction for fraction, message in seen if message.endswith("done")]
    assert ends[1] - ends[0] == pytest.approx(ends[0] - fractions[1])
    _outcome, seen, _segmenter = run(job(""))
    assert "matching" in [message for _fraction, message in seen] and seen[-1][0] == pytest.approx(1.0)


def test_a_query_that_cannot_be_used_does_not_stop_the_others():
    outcome, seen, _segmenter = run(job("a", "bad one", "c"))
    assert [result.query.name for result in outcome.results] == ["a", "c"]
    (failure,) = outcome.failures
    assert failure.query.name == "bad one"
    assert failure.message == "The volume 'bad one' cannot be used; give another one."
    assert seen[-1][0] == pytest.approx(1.0)


def test_if_every_query_fails_the_first_sentence_is_raised():
    with pytest.raises(InputError, match="'bad 1' cannot be used"):
        run(job("bad 1", "bad 2"))


def test_an_unexpected_error_is_not_taken_for_a_failed_query():
    segmenter = Segmenter()
    segmenter.segment = lambda *inputs, **named: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run(job("a", "b"), segmenter)


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
def test_cancelling_is_noticed_at_every_step(after):
    asked = []

    def shouldCancel():
        asked.append(None)
        return len(asked) > after

    if after < 4:
        with pytest.raises(Cancelled):
            run(job("a", "b"), shouldCancel=shouldCancel)
    else:
        assert len(run(job("a", "b"), shouldCancel=shouldCancel)[0].results) == 2


def test_uncertainty_is_kept_only_if_asked_for():
    (without,), (result,) = run(job("a"))[0].results, run(job("a", uncertainty=True))[0].results
    assert without.uncertainty is None and without.doubts is None
    assert result.uncertainty.shape == SHAPE and result.doubts is DOUBTS


def test_results_that_wait_hold_their_bounding_boxes_only():
    large = np.zeros((60, 200, 200), bool)
    large[10:12, 50:60, 70:90] = True
    result = QueryResult(QueryItem("id", "name", None), {1: large, 2: np.zeros_like(large)}, None, {})
    assert result.masks[1].array.shape == (2, 10, 20) and result.masks[1].start == (10, 50, 70)
    assert result.masks[2].array.size == 0
    assert np.array_equal(result.masks[1].full(large.shape), large)
    assert not np.shares_memory(result.masks[1].array, large)
    kept = PlacedMask.crop(large)
    assert QueryResult(result.query, {1: kept}, None, {}).masks[1] is kept

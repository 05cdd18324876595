"""The end of a run: what can be written is written in one step, and every scan without a result gets a sentence."""

from __future__ import annotations

from typing import Any

import slicer

from DPLSegmentModule import Messages
from DPLSegmentModule.PreparedRun import PreparedRun
from DPLSegmentModule.ResultWriter import AppliedResult, applyResults
from DPLSegmentModule.SegmentationJob import JobOutcome


def writeResults(prepared: PreparedRun, outcome: JobOutcome | None, notes: list[str]) -> list[AppliedResult]:
    """Write the results of a run into the scene.

    Args:
        prepared: the run.
        outcome: what was computed; None if it was not, because every scan had been deleted.
        notes: gets a sentence for every scan that has no result although others have one.

    Raises:
        InputError: there is nothing to write, or it cannot be written; the scene is unchanged.
    """
    from DPLSegmentLib.errors import InputError

    if outcome is None:
        raise InputError(prepared.queries[0].problem() or Messages.CANCELLED)
    watched = {item.nodeID: query for item, query in zip(prepared.job.queries, prepared.queries, strict=True)}
    problems = [
        Messages.QUERY_FAILED.format(name=failure.query.name, reason=failure.message) for failure in outcome.failures
    ]
    writable = []
    for result in outcome.results:
        problem = watched[result.query.nodeID].problem()
        if problem:
            problems.append(problem)
        else:
            writable.append(result)
    if not writable:
        raise InputError(problems[0])
    applied = applyResults(
        writable,
        prepared.styles,
        _present(prepared.outputSegmentationNode),
        _present(prepared.outputUncertaintyNode),
    )
    notes += problems
    return applied


def _present(node: Any) -> Any:
    """An output that was deleted during the run is made anew."""
    return node if node is not None and slicer.mrmlScene.IsNodePresent(node) else None

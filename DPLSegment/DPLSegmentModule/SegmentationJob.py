"""What to compute, as plain data without any MRML, and how: in any thread, one scan after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from DPLSegmentLib import Volume
    from DPLSegmentLib.regridding import PlacedMask
    from DPLSegmentModule.SupportReader import SupportData

# Encoding the support is about this much of the work that one query takes.
SUPPORT_SHARE = 0.4
# Translated when the module is loaded: translating asks the application, and a job may run in any thread.
STEP_OF_ONE_SCAN = _("{name} ({number} of {count}): {step}")


@dataclass
class RunOptions:
    """Options of one run. ``weightsPath`` None: the bundled weights; ``variants`` None: as many as these ask for."""

    device: str = "auto"
    seed: int = 0
    variants: int | None = None
    weightsPath: str | None = None
    uncertainty: bool = False


@dataclass
class QueryItem:
    """A scan to segment. ``volume`` None: the support volume itself."""

    nodeID: str
    name: str
    volume: Volume | None


@dataclass
class SegmentationJob:
    """One support, any number of queries; the arrays are copies and belong to the job."""

    support: SupportData
    queries: list[QueryItem]
    options: RunOptions = field(default_factory=RunOptions)


@dataclass
class QueryResult:
    """What was found in one query, on its own grid.

    ``masks``: one per label; given as a whole (k, j, i) array it is kept as its bounding box, because the results of
    all queries wait for the end of the run. ``uncertainty``: float32 (k, j, i) in [0, 1], and ``doubts``, whose
    ``of(label)`` gives that of one label alone; None if not asked for.
    """

    query: QueryItem
    masks: Mapping[int, PlacedMask | np.ndarray]
    uncertainty: np.ndarray | None
    report: dict[str, Any]
    doubts: Any = None

    def __post_init__(self) -> None:
        from DPLSegmentLib.regridding import PlacedMask

        self.masks = {
            label: mask if isinstance(mask, PlacedMask) else PlacedMask.crop(mask) for label, mask in self.masks.items()
        }


@dataclass(frozen=True)
class QueryFailure:
    """Why one query could not be segmented, in one sentence."""

    query: QueryItem
    message: str


@dataclass
class JobOutcome:
    """The queries that could be segmented, and those that could not, each in the order of the job."""

    results: list[QueryResult] = field(default_factory=list)
    failures: list[QueryFailure] = field(default_factory=list)


def runJob(
    job: SegmentationJob,
    segmenterFactory: Callable[[RunOptions], Any],
    progress: Callable[[float, str], None],
    shouldCancel: Callable[[], bool],
) -> JobOutcome:
    """Segment all queries of a job. Touches no MRML; may run in any thread.

    Args:
        job: what to compute.
        segmenterFactory: makes a ``DPLSegmentLib.OneShotSegmenter`` (or what behaves like one) for the options.
        progress: called with a fraction in [0, 1], never falling, and a message.
        shouldCancel: asked several times a second.

    Returns:
        Results, and failures of queries that cannot be used while others can.

    Raises:
        InputError: the support cannot be used, or no query can (the sentence is that of the first).
        Cancelled: ``shouldCancel()`` returned true.
    """
    from DPLSegmentLib.errors import InputError, stop_if
    from DPLSegmentLib.progress_parts import ProgressPart

    whole = ProgressPart(progress)
    stop_if(shouldCancel)
    segmenter = segmenterFactory(job.options)
    stop_if(shouldCancel)
    count = len(job.queries)
    share = 1.0 / (count + SUPPORT_SHARE)
    segmenter.set_support(
        job.support.volume,
        job.support.masks,
        progress=whole.part(0.0, SUPPORT_SHARE * share),
        should_cancel=shouldCancel,
    )
    outcome = JobOutcome()
    for number, query in enumerate(job.queries):
        stop_if(shouldCancel)
        start = (number + SUPPORT_SHARE) * share
        part = whole.part(start, min(1.0, start + share))
        try:
            result = segmenter.segment(
                query.volume, progress=_named(part, query, number, count), should_cancel=shouldCancel
            )
        except InputError as error:
            outcome.failures.append(QueryFailure(query, str(error)))
            continue
        masks = {label: result.mask(label) for label in job.support.masks}
        found = QueryResult(query, masks, None, result.report)
        if job.options.uncertainty:
            found.uncertainty, found.doubts = result.uncertainty, result.doubts
        outcome.results.append(found)
    if outcome.failures and not outcome.results:
        raise InputError(outcome.failures[0].message)
    return outcome


def _named(part: Any, query: QueryItem, number: int, count: int) -> Callable[[float, str], None]:
    """Says which scan it is about, when there are several."""
    if count == 1:
        return part

    def tell(fraction: float, message: str) -> None:
        part(
            fraction,
            STEP_OF_ONE_SCAN.format(name=query.name, number=number + 1, count=count, step=message),
        )

    return tell

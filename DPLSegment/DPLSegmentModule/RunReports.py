"""What the last run found, kept in the parameter node so that the table survives saving and loading."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import slicer


@dataclass(frozen=True)
class SegmentFinding:
    """One segment of a result. ``leastCertainSlice`` counts along the scan's slice axis; it and ``meanUncertainty`` are
    None when nothing was found."""

    segmentID: str
    name: str
    color: tuple[float, float, float]
    volumeMl: float
    meanUncertainty: float | None
    leastCertainSlice: int | None


@dataclass(frozen=True)
class ScanReport:
    """The result of one scan. Nodes are None once they are deleted. ``sliceAxis``: IJK axis of the slice numbers."""

    name: str
    query: Any
    segmentation: Any
    uncertainty: Any
    sliceAxis: int
    segments: tuple[SegmentFinding, ...]
    report: Mapping[str, Any]


def writeReports(parameters: Any, applied: Sequence[Any], styles: Mapping[int, Any]) -> None:
    """Remember the results of a run, instead of those of the run before.

    Args:
        parameters: the parameter node.
        applied: one ``AppliedResult`` per scan.
        styles: segment ID, name and colour of each label.
    """
    segments = {
        str(label): {"id": style.segmentID, "name": style.name, "color": list(style.color)}
        for label, style in styles.items()
    }
    stored = [{"name": result.queryNode.GetName(), "segments": segments, "report": result.report} for result in applied]
    with slicer.util.NodeModify(parameters.parameterNode):
        parameters.resultQueries = [result.queryNode for result in applied]
        parameters.resultSegmentations = [result.segmentationNode for result in applied]
        parameters.resultUncertainties = [result.uncertaintyNode for result in applied]
        parameters.resultReports = json.dumps(stored)
        parameters.shownResult = 0


def clearReports(parameters: Any) -> None:
    """Forget the results."""
    with slicer.util.NodeModify(parameters.parameterNode):
        parameters.resultReports = ""
        parameters.resultQueries = []
        parameters.resultSegmentations = []
        parameters.resultUncertainties = []
        parameters.shownResult = 0


def readReports(parameters: Any) -> list[ScanReport]:
    """What was remembered; empty when there is nothing."""
    try:
        stored = json.loads(parameters.resultReports or "[]")
        return [
            _scanReport(
                entry,
                _nodeAt(parameters.resultQueries, index),
                _nodeAt(parameters.resultSegmentations, index),
                _nodeAt(parameters.resultUncertainties, index),
            )
            for index, entry in enumerate(stored)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        # Written by another version, or by hand: better no table than a panel that does not open.
        return []


def _nodeAt(nodes: Sequence[Any], index: int) -> Any:
    node = nodes[index] if index < len(nodes) else None
    return node if node is not None and slicer.mrmlScene.IsNodePresent(node) else None


def _scanReport(entry: dict[str, Any], query: Any, segmentation: Any, uncertainty: Any) -> ScanReport:
    report = entry["report"]
    findings = []
    for label, found in report["labels"].items():
        style = entry["segments"][label]
        # The segment may have been renamed or recoloured since.
        segment = segmentation.GetSegmentation().GetSegment(style["id"]) if segmentation is not None else None
        findings.append(
            SegmentFinding(
                segmentID=style["id"],
                name=segment.GetName() if segment is not None else style["name"],
                color=tuple(segment.GetColor() if segment is not None else style["color"]),
                volumeMl=float(found["volume_ml"]),
                meanUncertainty=found.get("mean_uncertainty"),
                leastCertainSlice=found.get("least_certain_slice"),
            )
        )
    return ScanReport(
        name=query.GetName() if query is not None else entry["name"],
        query=query,
        segmentation=segmentation,
        uncertainty=uncertainty,
        sliceAxis=int(report["slice_axis"]),
        segments=tuple(findings),
        report=report,
    )

"""The uncertainty of one segment: a volume of its own, made when somebody wants to see it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer
from slicer.i18n import tr as _

from DPLSegmentModule.ResultWriter import AppliedResult, placeBeside, uniqueName
from DPLSegmentModule.UncertaintyVolume import writeUncertainty

# Node references from the map of all segments to that of one; saved with the scene.
ROLE = "DPLSegment.uncertaintyOf."


def existingMaps(uncertaintyNode: Any) -> dict[str, Any]:
    """Segment ID -> volume, of the maps that have been made for single segments of a result."""
    if uncertaintyNode is None:
        return {}
    roles: list[str] = []
    uncertaintyNode.GetNodeReferenceRoles(roles)
    found = {}
    for role in roles:
        node = uncertaintyNode.GetNodeReference(role) if role.startswith(ROLE) else None
        if node is not None:
            found[role[len(ROLE) :]] = node
    return found


class SegmentUncertainty:
    """Makes the maps of single segments, of results that were computed since the scene was opened.

    They take little memory until then: what they are made of lies on the coarser grid of the network.
    """

    def __init__(self) -> None:
        self._results: list[AppliedResult] = []

    def add(self, applied: Iterable[AppliedResult]) -> None:
        """Remember results, just applied; maps of an earlier result in the same volume are no longer its maps."""
        self._results = [result for result in self._results if slicer.mrmlScene.IsNodePresent(result.uncertaintyNode)]
        for result in applied:
            node = result.uncertaintyNode
            if node is None:
                continue
            for segmentID in existingMaps(node):
                node.SetNodeReferenceID(ROLE + segmentID, None)
            self._results.append(result)

    def forget(self) -> None:
        """Forget everything; for when the scene is closed."""
        self._results.clear()

    def segmentIDs(self, uncertaintyNode: Any) -> set[str]:
        """Of which segments there is a map, or one can be made."""
        result = self._resultOf(uncertaintyNode)
        known = set() if result is None or result.doubts is None else set(result.labels)
        return known | set(existingMaps(uncertaintyNode))

    def node(self, uncertaintyNode: Any, segmentID: str) -> Any:
        """The map of a segment, made now if there is none yet; None if it cannot be made (any more).

        It lies where the map of all segments lies, and goes with the result when that is undone.
        """
        existing = existingMaps(uncertaintyNode).get(segmentID)
        result = self._resultOf(uncertaintyNode)
        if existing is not None or result is None or result.doubts is None or segmentID not in result.labels:
            return existing
        values = result.doubts.of(result.labels[segmentID])
        image = uncertaintyNode.GetImageData()
        if image is None or tuple(reversed(image.GetDimensions())) != values.shape:
            return None
        segment = None
        if result.segmentationNode is not None:
            segment = result.segmentationNode.GetSegmentation().GetSegment(segmentID)
        name = segment.GetName() if segment is not None else segmentID
        name = uniqueName(_("{name}: {segment}").format(name=uncertaintyNode.GetName(), segment=name))
        changes = writeUncertainty(uncertaintyNode, values, name, None)
        result.changes.append(changes)
        uncertaintyNode.SetNodeReferenceID(ROLE + segmentID, changes.node.GetID())
        placeBeside(changes.node, uncertaintyNode)
        return changes.node

    def _resultOf(self, uncertaintyNode: Any) -> AppliedResult | None:
        """The last result that was written to this volume and has not been undone."""
        for result in reversed(self._results):
            if result.uncertaintyNode is uncertaintyNode and any(changes.steps for changes in result.changes):
                return result
        return None

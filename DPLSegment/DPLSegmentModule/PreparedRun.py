"""A run whose inputs have been read: everything the worker and the writing of results need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer

from DPLSegmentModule import Messages
from DPLSegmentModule.ResultWriter import SegmentStyle
from DPLSegmentModule.SegmentationJob import SegmentationJob


@dataclass
class WatchedQuery:
    """A query's node and what must not change while it is being segmented."""

    node: Any
    dimensions: tuple[int, int, int]

    @classmethod
    def of(cls, volumeNode: Any) -> WatchedQuery:
        """Remember a volume node as it is now."""
        return cls(volumeNode, tuple(volumeNode.GetImageData().GetDimensions()))

    @property
    def isPresent(self) -> bool:
        """Whether the node itself, not a later one with its ID, is in the scene."""
        return bool(slicer.mrmlScene.IsNodePresent(self.node))

    def problem(self) -> str:
        """Why a result can no longer be written for it, or ""."""
        if not self.isPresent:
            return Messages.QUERY_GONE.format(name=self.node.GetName())
        image = self.node.GetImageData()
        if image is None or tuple(image.GetDimensions()) != self.dimensions:
            return Messages.QUERY_CHANGED.format(name=self.node.GetName())
        return ""


@dataclass
class PreparedRun:
    """Made by ``DPLSegmentLogic.prepareJob`` on the main thread.

    ``job`` holds copied arrays only; ``styles`` (by label) are those of the annotation at that time; ``queries`` are in
    the order of the job's.
    """

    job: SegmentationJob
    styles: dict[int, SegmentStyle]
    queries: list[WatchedQuery]
    outputSegmentationNode: Any = None
    outputUncertaintyNode: Any = None

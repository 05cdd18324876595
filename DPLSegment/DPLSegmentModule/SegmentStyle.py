"""What the segments of a result look like and mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import slicer
import vtk


@dataclass(frozen=True, eq=False)
class SegmentStyle:
    """ID, name, colour and all tags (terminology among them) of a segment, copied: the segment itself may go.

    ``metadata`` is a ``vtkSegment`` of its own without any voxels.
    """

    segmentID: str
    metadata: Any

    @classmethod
    def of(cls, segmentID: str, segment: Any) -> SegmentStyle:
        """Copy the style of a ``vtkSegment``."""
        metadata = slicer.vtkSegment()
        metadata.DeepCopyMetadata(segment)
        return cls(segmentID, metadata)

    @property
    def name(self) -> str:
        return self.metadata.GetName()

    @property
    def color(self) -> tuple[float, float, float]:
        """Red, green, blue in [0, 1]."""
        return tuple(self.metadata.GetColor())

    def tag(self, key: str) -> str:
        """The value of a tag, "" if there is none."""
        value = vtk.reference("")
        return str(value) if self.metadata.GetTag(key, value) else ""


def readStyles(segmentationNode: Any, segmentIDs: Mapping[int, str]) -> dict[int, SegmentStyle]:
    """The styles of these segments, by label."""
    segmentation = segmentationNode.GetSegmentation()
    return {
        label: SegmentStyle.of(segmentID, segmentation.GetSegment(segmentID)) for label, segmentID in segmentIDs.items()
    }

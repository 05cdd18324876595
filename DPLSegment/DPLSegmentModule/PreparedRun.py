"""A run whose inputs have been read: everything the worker and the writing of results need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from DPLSegmentModule import Messages
from DPLSegmentModule.ResultWriter import SegmentStyle, readStyles
from DPLSegmentModule.RunInputs import RunInputs
from DPLSegmentModule.SegmentationJob import QueryItem, SegmentationJob
from DPLSegmentModule.SupportReader import readSupport
from DPLSegmentModule.VolumeReader import ijkToWorldMatrix, volumeFromNode


@dataclass
class WatchedQuery:
    """A query's node and what must not change while it is being segmented.

    Its voxels: another time point, or a flipped image, is not what was segmented. Their size: the volumes in ml would
    be wrong. Its place may change; the result follows it.
    """

    node: Any
    voxels: tuple[Any, ...]
    voxelVolume: float

    @classmethod
    def of(cls, volumeNode: Any) -> WatchedQuery:
        """Remember a volume node as it is now."""
        return cls(volumeNode, _voxelsOf(volumeNode), _voxelVolumeOf(volumeNode))

    @property
    def isPresent(self) -> bool:
        """Whether the node itself, not a later one with its ID, is in the scene."""
        return bool(slicer.mrmlScene.IsNodePresent(self.node))

    def problem(self) -> str:
        """Why a result can no longer be written for it, or ""."""
        from DPLSegmentLib.errors import InputError

        if not self.isPresent:
            return Messages.QUERY_GONE.format(name=self.node.GetName())
        try:
            sameSize = bool(np.isclose(_voxelVolumeOf(self.node), self.voxelVolume))
        except InputError as error:  # a non-linear transform
            return str(error)
        if not sameSize or _voxelsOf(self.node) != self.voxels:
            return Messages.QUERY_CHANGED.format(name=self.node.GetName())
        return ""


def _voxelsOf(volumeNode: Any) -> tuple[Any, ...]:
    """Equal as long as nobody has touched the voxels. (Keeps them alive, so that no others take their place.)"""
    image = volumeNode.GetImageData()
    scalars = image.GetPointData().GetScalars() if image is not None else None
    return (scalars, scalars.GetMTime(), tuple(image.GetDimensions())) if scalars is not None else ()


def _voxelVolumeOf(volumeNode: Any) -> float:
    """mm3 in the world. Raises InputError under a non-linear transform."""
    return abs(float(np.linalg.det(ijkToWorldMatrix(volumeNode))))


@dataclass
class PreparedRun:
    """Made on the main thread.

    ``job`` holds copied arrays only; ``styles`` (by label) are those of the annotation at that time; ``queries`` are in
    the order of the job's.
    """

    job: SegmentationJob
    styles: dict[int, SegmentStyle]
    queries: list[WatchedQuery]
    outputSegmentationNode: Any = None
    outputUncertaintyNode: Any = None

    @classmethod
    def of(cls, inputs: RunInputs) -> PreparedRun:
        """Copy what the run needs out of the scene; the inputs have been checked.

        Raises:
            InputError: scans or an annotation that cannot be used.
        """
        support, segmentation = inputs.supportVolumeNode, inputs.supportSegmentationNode
        data = readSupport(support, segmentation, inputs.segmentIDs)
        items = [
            QueryItem(node.GetID(), node.GetName(), None if node is support else volumeFromNode(node))
            for node in inputs.queryVolumeNodes
        ]
        return cls(
            SegmentationJob(data, items, inputs.options),
            readStyles(segmentation, data.segmentIDs),
            [WatchedQuery.of(node) for node in inputs.queryVolumeNodes],
            inputs.outputSegmentationNode,
            inputs.outputUncertaintyNode,
        )

"""What the user chose to segment, checked before anything is read or changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import slicer

from DPLSegmentModule import Messages
from DPLSegmentModule.ResultWriter import checkOutputSegmentation, checkOutputVolume
from DPLSegmentModule.SegmentationJob import RunOptions
from DPLSegmentModule.SupportReader import usableSegmentIDs
from DPLSegmentModule.VolumeReader import checkVolumeNode, ijkToWorldMatrix

LARGEST_SEED = 2**63 - 1  # what PyTorch's generators take


@dataclass
class RunInputs:
    """Nodes and options of one run.

    ``supportSegmentationNode`` may also be a label map volume. ``supportVolumeNode`` None: the volume on which the
    segmentation was painted, or else the only query. ``segmentIDs`` None: the visible segments.
    """

    queryVolumeNodes: Sequence[Any]
    supportSegmentationNode: Any
    supportVolumeNode: Any = None
    segmentIDs: Sequence[str] | None = None
    outputSegmentationNode: Any = None
    outputUncertaintyNode: Any = None
    options: RunOptions = field(default_factory=RunOptions)

    def check(self) -> None:
        """Find the support volume if it was not given, and check everything that costs nothing.

        Raises:
            InputError: the first thing that is wrong.
        """
        self._checkSupport()
        self._checkQueries()
        self._checkOutputs()
        weights = self.options.weightsPath
        if weights is not None and not os.path.isfile(weights):
            _refuse(Messages.WEIGHTS_UNREADABLE, path=weights)
        seed = self.options.seed
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
            _refuse(Messages.SEED_INVALID, seed=seed, largest=LARGEST_SEED)

    def _checkSupport(self) -> None:
        segmentation = self.supportSegmentationNode
        if segmentation is None:
            _refuse(Messages.NO_SUPPORT_SEGMENTATION)
        if not _isA(segmentation, "vtkMRMLLabelMapVolumeNode"):
            _requireClass(segmentation, "vtkMRMLSegmentationNode", Messages.SUPPORT_NOT_A_SEGMENTATION)
        if self.supportVolumeNode is None and _isA(segmentation, "vtkMRMLSegmentationNode"):
            role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
            self.supportVolumeNode = segmentation.GetNodeReference(role)
        if self.supportVolumeNode is None and len(self.queryVolumeNodes) == 1:
            self.supportVolumeNode = self.queryVolumeNodes[0]
        if self.supportVolumeNode is None:
            _refuse(Messages.NO_SUPPORT_VOLUME)
        _requireScan(self.supportVolumeNode, Messages.SUPPORT_NOT_A_VOLUME, Messages.SUPPORT_EMPTY)

    def _checkQueries(self) -> None:
        if not self.queryVolumeNodes or any(node is None for node in self.queryVolumeNodes):
            _refuse(Messages.NO_QUERY)
        for number, node in enumerate(self.queryVolumeNodes):
            _requireScan(node, Messages.QUERY_NOT_A_VOLUME, Messages.QUERY_EMPTY)
            if any(other is node for other in self.queryVolumeNodes[:number]):
                _refuse(Messages.QUERY_TWICE, name=node.GetName())

    def _checkOutputs(self) -> None:
        segmentation, uncertainty = self.outputSegmentationNode, self.outputUncertaintyNode
        if len(self.queryVolumeNodes) > 1 and (segmentation is not None or uncertainty is not None):
            _refuse(Messages.ONE_OUTPUT_FOR_SEVERAL)
        if segmentation is not None:
            _requireClass(segmentation, "vtkMRMLSegmentationNode", Messages.OUTPUT_NOT_A_SEGMENTATION)
            if segmentation is self.supportSegmentationNode:
                _refuse(Messages.OUTPUT_IS_SUPPORT)
            if _isA(self.supportSegmentationNode, "vtkMRMLSegmentationNode"):
                # What writing would refuse after the run.
                written = usableSegmentIDs(self.supportSegmentationNode, self.segmentIDs)
                checkOutputSegmentation(segmentation, written)
        if uncertainty is not None:
            _requireClass(uncertainty, "vtkMRMLScalarVolumeNode", Messages.OUTPUT_NOT_A_VOLUME)
            checkOutputVolume(uncertainty, (self.supportVolumeNode, *self.queryVolumeNodes))


def _requireScan(node: Any, wrongClass: str, empty: str) -> None:
    _requireClass(node, "vtkMRMLScalarVolumeNode", wrongClass)
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        _refuse(empty, name=node.GetName())
    # What reading the voxels would refuse later and costs nothing to see now: label maps, colours, warped scans.
    checkVolumeNode(node)
    ijkToWorldMatrix(node)


def _requireClass(node: Any, name: str, message: str) -> None:
    if not _isA(node, name):
        _refuse(message, name=node.GetName() if _isA(node, "vtkMRMLNode") else repr(node))
    if not slicer.mrmlScene.IsNodePresent(node):
        _refuse(Messages.NODE_NOT_IN_SCENE, name=node.GetName())


def _isA(node: Any, name: str) -> bool:
    return hasattr(node, "IsA") and bool(node.IsA(name))


def _refuse(message: str, **values: Any) -> None:
    from DPLSegmentLib.errors import InputError

    raise InputError(message.format(**values))

"""The uncertainty of a result as a scalar volume beside its scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from DPLSegmentModule.SegmentWriting import NodeChanges, removeNode
from DPLSegmentModule.UncertaintyDisplay import setUpDisplay


def writeUncertainty(queryNode: Any, uncertainty: np.ndarray, name: str, changes: NodeChanges | None) -> NodeChanges:
    """Write uncertainty (k, j, i) float32 into a new volume, or into that of ``changes``, at the scan's place.

    Returns the changes; their ``node`` is the volume.
    """
    if changes is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        changes = NodeChanges(node)
        changes.steps.append(lambda: removeNode(node))
    else:
        node = changes.node
        changes.steps.append(_backup(node))
    matrix = vtk.vtkMatrix4x4()
    queryNode.GetIJKToRASMatrix(matrix)
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(uncertainty.shape))
    voxels = np.ascontiguousarray(uncertainty, np.float32).ravel()
    image.GetPointData().SetScalars(numpy_to_vtk(voxels, deep=True, array_type=vtk.VTK_FLOAT))
    with slicer.util.NodeModify(node):
        node.SetIJKToRASMatrix(matrix)
        node.SetAndObserveImageData(image)
        node.SetAndObserveTransformNodeID(queryNode.GetTransformNodeID())
    setUpDisplay(node)
    return changes


def _backup(node: Any) -> Any:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    # The image itself is kept, not copied: writing gives the node another one.
    image, transformID = node.GetImageData(), node.GetTransformNodeID()

    def restore() -> None:
        with slicer.util.NodeModify(node):
            node.SetIJKToRASMatrix(matrix)
            node.SetAndObserveImageData(image)
            node.SetAndObserveTransformNodeID(transformID)

    return restore

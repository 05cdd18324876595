"""Real nodes for tests, made from arrays, and their contents as arrays again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[2]
LPS_AXIAL = np.diag([-1.0, -1.0, 1.0, 1.0])


def importable(monkeypatch) -> None:
    """Make the module's own package importable in a test."""
    monkeypatch.syspath_prepend(str(CHECKOUT / "DPLSegment"))


def matrix(spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), rotate=None) -> np.ndarray:
    """(4, 4) IJK to RAS of an axial scan; ``rotate``: (axis, degrees) afterwards."""
    result = LPS_AXIAL @ np.diag([*spacing, 1.0])
    result[:3, 3] = origin
    return result if rotate is None else rotation(*rotate) @ result


def rotation(axis, degrees) -> np.ndarray:
    """(4, 4) about an axis through the origin."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    result = np.eye(4)
    result[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return result


def shift(*mm) -> np.ndarray:
    """(4, 4) translation."""
    result = np.eye(4)
    result[:3, 3] = mm
    return result


def addVolume(array, ijkToRAS, name="scan", className="vtkMRMLScalarVolumeNode"):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass(className, name)
    slicer.util.updateVolumeFromArray(node, array)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijkToRAS))
    node.CreateDefaultDisplayNodes()
    return node


def addTransform(toParent, *nodes, name="transform", parent=None):
    """A linear transform with nodes under it."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(toParent))
    if parent is not None:
        node.SetAndObserveTransformNodeID(parent.GetID())
    for each in nodes:
        each.SetAndObserveTransformNodeID(node.GetID())
    return node


def addNonLinearTransform(*nodes, name="warp"):
    """A thin-plate spline that really bends."""
    import slicer
    import vtk

    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for x, y, z in np.ndindex(2, 2, 2):
        source.InsertNextPoint(40 * x, 40 * y, 40 * z)
        target.InsertNextPoint(40 * x + 5 * x * y * z, 40 * y, 40 * z)
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    spline.SetBasisToR()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", name)
    node.SetAndObserveTransformToParent(spline)
    for each in nodes:
        each.SetAndObserveTransformNodeID(node.GetID())
    return node


def addSegmentation(volumeNode, masks, name="annotation", geometry=None):
    """A segmentation with one segment per entry of ``masks``, ID -> mask (k, j, i), as Slicer itself writes them.

    ``geometry``: the volume whose grid the masks are on, if not that of ``volumeNode``. Its parent transform is not the
    segmentation's.
    """
    import slicer

    geometry = geometry if geometry is not None else volumeNode
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(geometry)
    for number, (segmentID, mask) in enumerate(masks.items()):
        node.GetSegmentation().AddEmptySegment(segmentID, f"name of {segmentID}", (0.1 * number, 0.5, 1.0))
        if np.any(mask):
            slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, segmentID, geometry)
    node.SetAndObserveTransformNodeID(None)
    return node


def exported(segmentationNode, segmentID, volumeNode) -> np.ndarray:
    """What Slicer itself exports of a segment onto a volume's grid, transforms included: bool (k, j, i)."""
    import slicer

    before = nodeIDs()
    array = slicer.util.arrayFromSegmentBinaryLabelmap(segmentationNode, segmentID, volumeNode).astype(bool)
    for left in nodeIDs() - before:  # slicer.util leaves the display node of its label map
        slicer.mrmlScene.RemoveNode(slicer.mrmlScene.GetNodeByID(left))
    return array


def worldPoints(segmentationNode, segmentID) -> np.ndarray:
    """(n, 3) sorted: where the voxels of a segment lie in the world (RAS, mm), read straight from its label map."""
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    segment = segmentationNode.GetSegmentation().GetSegment(segmentID)
    labelmap = segment.GetRepresentation("Binary labelmap")
    voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(labelmap.GetDimensions()[::-1])
    toLocal, toWorld = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(toLocal)
    if segmentationNode.GetParentTransformNode() is not None:
        segmentationNode.GetParentTransformNode().GetMatrixTransformToWorld(toWorld)
    matrices = [slicer.util.arrayFromVTKMatrix(each) for each in (toWorld, toLocal)]
    first = np.array(labelmap.GetExtent())[[4, 2, 0]]
    return maskPoints(voxels == segment.GetLabelValue(), matrices[0] @ matrices[1], first)


def maskPoints(mask, ijkToWorld, first=(0, 0, 0)) -> np.ndarray:
    """(n, 3) sorted: where the voxels of a mask (k, j, i) lie."""
    ijk = (np.argwhere(mask) + np.asarray(first))[:, ::-1]
    points = np.round(ijk @ ijkToWorld[:3, :3].T + ijkToWorld[:3, 3], 4) + 0.0
    return points[np.lexsort(points.T)]


def nodeIDs() -> set[str]:
    """IDs of all nodes of the scene."""
    import slicer

    scene = slicer.mrmlScene
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)  # Slicer always has one; here it comes when asked
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def dice(found, wanted) -> float:
    return float(2 * (found & wanted).sum() / max(1, found.sum() + wanted.sum()))


def noise(shape=(8, 20, 24), seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-500, 500, shape).astype(np.int16)


def box(shape, k, j, i) -> np.ndarray:
    """A mask that is set in the given ranges."""
    mask = np.zeros(shape, bool)
    mask[slice(*k), slice(*j), slice(*i)] = True
    return mask

"""Paint and Erase: voxels under the brush, in the plane of a slice view, through the real segment editor logic."""

from __future__ import annotations

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy


def _matrix(vtkMatrix) -> np.ndarray:
    return np.array([[vtkMatrix.GetElement(i, j) for j in range(4)] for i in range(4)])


class PaintEffect:
    """One brush. Parameters, as strings or numbers: BrushAbsoluteDiameter (mm, default 10), BrushSphere (0 or 1)."""

    def __init__(self, name: str, editor, modificationMode: int):
        self.name = name
        self._editor = editor
        self._mode = modificationMode
        self._stroke = []

    def setParameter(self, name: str, value) -> None:
        self._editor.mrmlSegmentEditorNode().SetAttribute(f"{self.name}.{name}", str(value))

    def parameter(self, name: str) -> str:
        defaults = {"BrushAbsoluteDiameter": "10", "BrushSphere": "0"}
        return self._editor.mrmlSegmentEditorNode().GetAttribute(f"{self.name}.{name}") or defaults.get(name, "")

    def integerParameter(self, name: str) -> int:
        return int(float(self.parameter(name)))

    def doubleParameter(self, name: str) -> float:
        return float(self.parameter(name))

    def self(self):
        return self

    def begin(self, view, position) -> None:
        self._stroke = [position]

    def move(self, view, position) -> None:
        if self._stroke:
            self._stroke.append(position)

    def end(self, view, position) -> None:
        """Applies the whole stroke at once, as Slicer does when the mouse button is released."""
        if not self._stroke:
            return
        stroke, self._stroke = [*self._stroke, position], []
        logic = self._editor.editorLogic()
        logic.SaveStateForUndo()
        logic.ResetModifierLabelmapToDefault()
        labelmap = logic.GetModifierLabelmap()
        for point in self._along(stroke):
            self._stamp(labelmap, view.mrmlSliceNode(), point)
        labelmap.GetPointData().GetScalars().Modified()
        labelmap.Modified()
        node, segmentID = self._editor.segmentationNode(), self._editor.currentSegmentID()
        logic.ModifySegmentByLabelmap(node, segmentID, labelmap, self._mode, False, False)

    @staticmethod
    def _along(stroke) -> list[np.ndarray]:
        """Points of the stroke in view coordinates, at most one pixel apart."""
        points = [np.array(stroke[0], float)]
        for start, end in zip(stroke, stroke[1:], strict=False):
            start, end = np.array(start, float), np.array(end, float)
            steps = int(np.ceil(np.abs(end - start).max()))
            points += [start + (end - start) * step / steps for step in range(1, steps + 1)]
        return points

    def _stamp(self, labelmap, sliceNode, point) -> None:
        """Sets the voxels of the label map under the brush at a point of the view."""
        imageToLocal = vtk.vtkMatrix4x4()
        labelmap.GetImageToWorldMatrix(imageToLocal)
        localToWorld = vtk.vtkMatrix4x4()
        transform = self._editor.segmentationNode().GetParentTransformNode()
        if transform is not None:
            transform.GetMatrixTransformToWorld(localToWorld)
        ijkToWorld = _matrix(localToWorld) @ _matrix(imageToLocal)
        center = (_matrix(sliceNode.GetXYToRAS()) @ [*point, 0, 1])[:3]
        normal = _matrix(sliceNode.GetSliceToRAS())[:3, 2]
        normal = normal / np.linalg.norm(normal)
        radius = max(self.doubleParameter("BrushAbsoluteDiameter") / 2, 1e-6)
        halfThickness = np.abs(normal @ ijkToWorld[:3, :3]).max() / 2  # of a voxel, across the plane
        extent = np.array(labelmap.GetExtent()).reshape(3, 2)
        middle = (np.linalg.inv(ijkToWorld) @ [*center, 1])[:3]
        reach = np.ceil((radius + halfThickness) / np.linalg.norm(ijkToWorld[:3, :3], axis=0)) + 1
        low = np.maximum(np.floor(middle - reach).astype(int), extent[:, 0])
        high = np.minimum(np.ceil(middle + reach).astype(int), extent[:, 1])
        if (high < low).any():
            return
        axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
        ijk = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        offset = ijk @ ijkToWorld[:3, :3].T + ijkToWorld[:3, 3] - center
        across = offset @ normal
        distance = np.linalg.norm(offset - across[..., None] * normal, axis=-1)
        inside = (np.abs(across) <= halfThickness * 1.0001) & (distance <= radius)
        if self.integerParameter("BrushSphere"):
            inside = np.linalg.norm(offset, axis=-1) <= radius
        underPointer = tuple(np.clip(np.rint(middle).astype(int), low, high) - low)
        inside[underPointer] = True  # a brush smaller than a voxel still paints the voxel under the pointer
        voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(labelmap.GetDimensions()[::-1])
        i, j, k = (ijk[inside] - extent[:, 0]).T
        voxels[k, j, i] = 1

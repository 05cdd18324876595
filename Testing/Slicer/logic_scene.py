"""Small real scans with annotations, as nodes in the scene, for the tests of the logic, and runs of it."""

from __future__ import annotations

import numpy as np
from fake_segmenter import FakeSegmenter


def ballScan(shape=(12, 48, 48), seed=0, shift=(0, 0, 0)):
    """(k, j, i) int16 image of a bright ball in a grey body, and the ball as a bool mask."""
    grid = np.meshgrid(*(np.linspace(-1, 1, count) for count in shape), indexing="ij")
    moved = [axis - offset for axis, offset in zip(grid, shift, strict=True)]
    ball = moved[0] ** 2 + (moved[1] / 0.45) ** 2 + ((moved[2] + 0.3) / 0.4) ** 2 < 0.7
    body = (grid[1] / 0.9) ** 2 + (grid[2] / 0.95) ** 2 < 1
    image = np.where(body, 100.0, 0.0) + np.where(ball, 80.0, 0.0)
    image += np.random.default_rng(seed).normal(0, 4, shape)
    return np.rint(image).astype(np.int16), ball


def addVolume(name, image, spacing=(4.0, 4.0, 6.0)):
    """A scalar volume node; ``spacing`` along i, j, k."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, image)
    node.SetSpacing(spacing)
    node.CreateDefaultDisplayNodes()
    return node


def addSegmentation(name, volume, masks):
    """A segmentation node painted on a volume; ``masks``: segment ID to (k, j, i)."""
    import slicer
    from vtk.util.numpy_support import numpy_to_vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    for number, (segmentID, mask) in enumerate(masks.items()):
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(mask.shape[::-1])
        image.SetGeometryFromImageToWorldMatrix(matrix)
        image.GetPointData().SetScalars(numpy_to_vtk(mask.astype(np.uint8).ravel(), deep=True))
        node.AddSegmentFromBinaryLabelmapRepresentation(image, segmentID.title(), (1.0, 0.3 * number, 0.2), segmentID)
    return node


def oneSlice(mask, index=None):
    """``mask`` on one slice only, along k; the largest if ``index`` is None."""
    drawn = np.zeros_like(mask)
    index = int(mask.sum(axis=(1, 2)).argmax()) if index is None else index
    drawn[index] = mask[index]
    return drawn


def maskOf(segmentation, segmentID, volume):
    """(k, j, i) bool of a segment on a volume's grid."""
    import slicer

    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentID, volume) > 0


def dice(a, b):
    """3-D Dice of two masks."""
    return 2 * (a & b).sum() / max(1, a.sum() + b.sum())


def contents(scene):
    """Everything there is in a scene, for comparing before and after: ID, modified time, and voxels or segments."""
    import slicer

    found = {}
    for number in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(number)
        state = [node.GetName(), node.GetMTime()]
        if node.IsA("vtkMRMLVolumeNode") and node.GetImageData() is not None:
            state.append(slicer.util.arrayFromVolume(node).tobytes())
        if node.IsA("vtkMRMLSegmentationNode"):
            segmentation = node.GetSegmentation()
            state += [segmentation.GetMTime(), tuple(segmentation.GetSegmentIDs())]
        found[node.GetID()] = tuple(state)
    return found


class Nodes:
    """A scan with an annotated ball, and another scan."""

    def __init__(self):
        image, self.ball = ballScan()
        self.scan = addVolume("scan", image)
        self.annotation = addSegmentation("annotation", self.scan, {"ball": oneSlice(self.ball)})
        self.other = addVolume("other", ballScan(seed=1, shift=(0.1, 0.1, 0.0))[0])

    def inputs(self, **changes):
        chosen = {
            "queryVolumeNode": self.scan,
            "supportVolumeNode": self.scan,
            "supportSegmentationNode": self.annotation,
        }
        return {**chosen, **changes}


class Installed:
    """PyTorch that is there; counts how often it was asked for."""

    def __init__(self, problem=""):
        self.problem, self.asked = problem, 0

    def ensure(self, askConfirmation=True):
        self.asked += 1
        if self.problem:
            from DPLSegmentLib.errors import InputError

            raise InputError(self.problem)


class Run:
    """A background run and what came of it."""

    def __init__(self, host, logic, prepared):
        self.host, self.calls = host, []
        self.run = logic.startBackgroundRun(
            prepared,
            lambda fraction, message: self.calls.append(("progress", fraction, message)),
            lambda applied: self.calls.append(("finished", applied)),
            lambda message: self.calls.append(("failed", message)),
            lambda: self.calls.append(("cancelled",)),
        )

    def toEnd(self, seconds=120):
        self.host.waitUntil(lambda: not self.run.isRunning, seconds)
        self.host.processEvents(0.05)
        return self.calls[-1]


def quick(**options):
    """A logic whose network computes nothing, and that network."""
    from DPLSegmentModule.DPLSegmentLogic import DPLSegmentLogic

    segmenter = FakeSegmenter(**options)
    return DPLSegmentLogic(Installed(), segmenter.load), segmenter

"""The shipped panel in the host, and what the tests of its parts put around it."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def importable() -> None:
    """The module's package without loading the whole module."""
    for folder in (ROOT / "DPLSegment", ROOT):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def loadUi():
    """The widgets of the shipped .ui file by name, and the widget that holds them."""
    import slicer

    importable()
    holder = slicer.util.loadUI(str(ROOT / "Resources" / "UI" / "DPLSegment.ui"))
    holder.setMRMLScene(slicer.mrmlScene)
    return slicer.util.childWidgetVariables(holder), holder


def newParameters():
    """A parameter node in the scene, wrapped."""
    import slicer

    importable()
    from DPLSegmentModule.DPLSegmentParameters import DPLSegmentParameters

    return DPLSegmentParameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters"))


def addVolume(name="scan", shape=(6, 8, 10), matrix=None, array=None):
    """A scalar volume node; ``matrix``: 4x4 IJK to RAS."""
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    values = np.zeros(shape, np.int16) if array is None else array
    slicer.util.updateVolumeFromArray(node, values)
    if matrix is not None:
        ijkToRAS = vtk.vtkMatrix4x4()
        ijkToRAS.DeepCopy(np.asarray(matrix, float).ravel())
        node.SetIJKToRASMatrix(ijkToRAS)
    node.CreateDefaultDisplayNodes()
    return node


def addSegmentation(volume, masks, name="annotation"):
    """A segmentation on the volume's grid; ``masks``: {segment name: (k, j, i) array}."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for segmentName, mask in masks.items():
        segmentID = node.GetSegmentation().AddEmptySegment(segmentName, segmentName)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, segmentID, volume)
    return node


class ScriptedRun:
    """What ``startBackgroundRun`` returns; the test plays the thread."""

    def __init__(self, callbacks):
        self.callbacks = callbacks
        self.notes = []
        self.cancelled = self.abandoned = False

    def cancel(self):
        self.cancelled = True

    def abandon(self):
        self.abandoned = True

    def tell(self, name, *arguments):
        """Call one of onProgress, onFinished, onFailed and onCancelled, as the timer would."""
        self.callbacks[name](*arguments)


class ScriptedLogic:
    """A logic without a library, for tests of the flow of control. ``error``: raised by ``prepareJob``."""

    def __init__(self, error=None, reason=""):
        self.error = error
        self.reason = reason
        self.prepared = []
        self.runs = []

    def prepareJob(self, **inputs):
        if self.error is not None:
            raise self.error
        self.prepared.append(inputs)
        return types.SimpleNamespace(inputs=inputs)

    def startBackgroundRun(self, prepared, **callbacks):
        self.runs.append(ScriptedRun(callbacks))
        return self.runs[-1]

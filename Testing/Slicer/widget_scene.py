"""A small scan with an annotated ball on the whole panel, and a segmenter that waits, for the tests of the widget."""

from __future__ import annotations

import time
import types

import numpy as np
from panel import addSegmentation, addVolume

SHAPE = (16, 64, 64)
SPACING = (4.0, 2.0, 2.0)  # k, j, i in mm
MIDDLE = 8


def body(shift=0.0):
    """A bright ball in a grey body, (image, the ball's mask)."""
    k, j, i = np.meshgrid(*(np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True)), indexing="ij")
    random = np.random.default_rng(5)
    trunk = ((j - 63) / 58) ** 2 + ((i - 63) / 50) ** 2 < 1
    ball = (k - 32) ** 2 + (j - 56 - shift) ** 2 + (i - 70) ** 2 < 22**2
    image = np.where(ball, 160, np.where(trunk, 40, -900)) + random.normal(0, 8, SHAPE)
    return image.astype(np.int16), ball


def addScan(name="scan", shift=0.0):
    matrix = np.diag([-SPACING[2], -SPACING[1], SPACING[0], 1.0])
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(SHAPE[::-1]) - 1) / 2)
    return addVolume(name, matrix=matrix, array=body(shift)[0])


def addAnnotation(volume, name="annotation"):
    mask = np.zeros(SHAPE, bool)
    mask[MIDDLE] = body()[1][MIDDLE]
    return addSegmentation(volume, {"liver": mask}, name)


def maskOf(segmentation, segmentID, volume):
    import slicer

    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentID, volume) > 0


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def nodeIDs():
    import slicer

    scene = slicer.mrmlScene
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def check(selector, node):
    import qt

    selector.setCheckState(node, qt.Qt.Checked)


class SlowSegmenter:
    """In place of the library: goes on until it is cancelled or told to finish."""

    def __init__(self):
        self.message = None
        self.finish = False
        self.error = None
        self.started = False

    def set_support(self, volume, masks, **_):
        self._shape, self._masks = volume.array.shape, masks

    def segment(self, query, progress, should_cancel):
        from DPLSegmentLib.errors import Cancelled

        self.started = True
        while not self.finish:
            progress(0.5, "Waiting")
            if should_cancel():
                raise Cancelled("cancelled")
            if self.error is not None:
                raise self.error
            time.sleep(0.005)
        shape = self._shape if query is None else query.array.shape
        found = {"voxels": 0, "volume_ml": 0.0, "annotated_slices": [MIDDLE]}
        return types.SimpleNamespace(
            mask=lambda label: np.ones(shape, bool),
            uncertainty=np.zeros(shape, np.float32),
            report={"labels": {str(label): found for label in self._masks}, "slice_axis": 2},
            doubts=types.SimpleNamespace(of=lambda label: np.full(shape, 0.5, np.float32)),
        )


def readyPanel(panel, host):
    """Namespace: a panel on which only the click is missing; a slow segmenter computes."""
    volume = addScan()
    annotation = addAnnotation(volume)
    segmenter = SlowSegmenter()
    panel.logic._loadSegmenter = lambda options: segmenter
    panel.logic.forget()
    panel.parameters.supportVolume = volume
    panel.parameters.supportSegmentation = annotation
    host.processEvents()
    assert panel.ui.segmentButton.enabled, panel.ui.segmentButton.toolTip
    return types.SimpleNamespace(widget=panel, ui=panel.ui, volume=volume, annotation=annotation, segmenter=segmenter)


def startRun(host, ready):
    ready.ui.segmentButton.click()
    host.waitUntil(lambda: ready.segmenter.started)
    assert ready.widget.runPanel.isRunning


def waitForEnd(host, widget, seconds=60):
    host.waitUntil(lambda: not widget.runPanel.isRunning, seconds)

"""Self-test for the real application: from the sample data to a result, and nothing left behind."""

from __future__ import annotations

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

# What the bundled weights reach on the sample is well above; less means that something is broken, not a worse day.
MINIMUM_DICE = 0.6
# Nodes of the application itself, which come and go with its views.
IGNORED_CLASSES = ("vtkMRMLSubjectHierarchyNode", "vtkMRMLSelectionNode", "vtkMRMLInteractionNode")


class DPLSegmentTest(ScriptedLoadableModuleTest):
    """Run by "Reload and Test" in developer mode, and by CTest; needs PyTorch."""

    def setUp(self) -> None:
        """Start from an empty scene."""
        slicer.mrmlScene.Clear(0)

    def tearDown(self) -> None:
        """Leave an empty scene."""
        slicer.mrmlScene.Clear(0)

    def runTest(self) -> None:
        """Run every test of this class; Slicer calls this."""
        for test in (self.test_sampleIsSegmentedFromOneSlice, self.test_cancellingLeavesTheSceneAsItWas):
            self.setUp()
            try:
                test()
            finally:
                self.tearDown()

    def test_sampleIsSegmentedFromOneSlice(self) -> None:
        """One annotated slice is enough to find the organs of the sample scan."""
        import numpy as np

        from DPLSegmentModule import SampleScan

        logic = self._logicOrSkip()
        self.delayDisplay("Generating the sample scan")
        volume, annotation = SampleScan.loadAnnotatedScan()
        before = _nodeIDs()
        self.delayDisplay("Segmenting it")
        result = logic.segment(
            queryVolumeNode=volume, supportVolumeNode=volume, supportSegmentationNode=annotation, device="cpu"
        )

        added = [slicer.mrmlScene.GetNodeByID(nodeID).GetClassName() for nodeID in _nodeIDs() - before]
        self.assertEqual(added.count("vtkMRMLSegmentationNode"), 1, added)
        self.assertFalse([name for name in added if "Volume" in name], "no helper volume is left behind")

        found, truth = result.GetSegmentation(), SampleScan.annotatedScanTruth()
        self.assertEqual(
            list(found.GetSegmentIDs()), list(annotation.GetSegmentation().GetSegmentIDs()), "segments are inherited"
        )
        dice = {}
        for segmentID in found.GetSegmentIDs():
            name = found.GetSegment(segmentID).GetName()
            mask = slicer.util.arrayFromSegmentBinaryLabelmap(result, segmentID, volume) > 0
            dice[name] = 2.0 * np.sum(mask & truth[name]) / (np.sum(mask) + np.sum(truth[name]))
        self.assertGreater(min(dice.values()), 0.0, dice)
        self.assertGreater(sum(dice.values()) / len(dice), MINIMUM_DICE, dice)
        self.delayDisplay("The sample was segmented")

    def test_cancellingLeavesTheSceneAsItWas(self) -> None:
        """A cancelled call raises, and no node has come or gone."""
        from DPLSegmentLib.errors import Cancelled
        from DPLSegmentModule import SampleScan

        logic = self._logicOrSkip()
        volume, annotation = SampleScan.loadAnnotatedScan()
        before = _nodeIDs()
        with self.assertRaises(Cancelled):
            logic.segment(
                queryVolumeNode=volume,
                supportVolumeNode=volume,
                supportSegmentationNode=annotation,
                device="cpu",
                shouldCancel=lambda: True,
            )
        self.assertEqual(_nodeIDs(), before)
        self.delayDisplay("Cancelling left the scene as it was")

    def _logicOrSkip(self) -> object:
        from DPLSegmentModule.Dependencies import TorchDependency
        from DPLSegmentModule.DPLSegmentLogic import DPLSegmentLogic

        if not TorchDependency().isInstalled():
            self.skipTest("PyTorch is not installed; install it with the PyTorch extension.")
        return DPLSegmentLogic()


def _nodeIDs() -> set[str]:
    nodes = slicer.util.getNodes("*", useLists=True).values()
    return {node.GetID() for group in nodes for node in group if node.GetClassName() not in IGNORED_CLASSES}

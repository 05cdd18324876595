"""What may happen while a run is under way: cancelling, failing, closing, deleting, leaving, reloading."""

from __future__ import annotations

import sys

from widget_scene import (
    addAnnotation,
    addScan,
    nodeIDs,
    startRun,
    waitForEnd,
)


def test_cancel_leaves_the_scene_as_it_was_within_a_second(host, ready):
    import time

    before = nodeIDs()
    startRun(host, ready)
    started = time.monotonic()
    ready.ui.cancelButton.click()
    waitForEnd(host, ready.widget)
    assert time.monotonic() - started < 1.0
    assert nodeIDs() == before and ready.ui.segmentButton.enabled
    assert ready.ui.messageLabel.visible and not host.messages.texts("error")


def test_a_failure_is_said_and_leaves_the_scene_as_it_was(host, ready):
    from DPLSegmentLib.errors import InputError

    before = nodeIDs()
    ready.segmenter.error = InputError("The scan holds one value only; choose another scan.")
    ready.ui.segmentButton.click()
    waitForEnd(host, ready.widget)
    assert ready.ui.messageLabel.text == "The scan holds one value only; choose another scan."
    assert host.messages.texts("error") == ["The scan holds one value only; choose another scan."]
    assert nodeIDs() == before and ready.ui.segmentButton.enabled


def test_closing_the_scene_stops_the_run_and_leaves_a_usable_panel(host, ready):
    startRun(host, ready)
    host.closeScene()
    waitForEnd(host, ready.widget)
    ui = ready.ui
    assert not ui.segmentButton.enabled and ui.segmentButton.toolTip and not ui.progressBar.visible
    assert not host.messages.texts("error")
    # And on it goes in the new scene.
    volume = addScan()
    ready.segmenter.finish = True
    ready.widget.parameters.supportVolume = volume
    ready.widget.parameters.supportSegmentation = addAnnotation(volume)
    host.processEvents(0.3)
    ui.segmentButton.click()
    waitForEnd(host, ready.widget)
    assert ready.widget.parameters.resultSegmentations[0] is not None


def test_deleting_the_query_ends_the_run_with_a_sentence(host, ready):
    import slicer

    startRun(host, ready)
    slicer.mrmlScene.RemoveNode(ready.volume)
    waitForEnd(host, ready.widget)
    assert "deleted" in ready.ui.messageLabel.text
    assert not ready.ui.segmentButton.enabled
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1


def test_deleting_the_annotation_does_not_disturb_the_run(host, ready):
    import slicer

    startRun(host, ready)
    slicer.mrmlScene.RemoveNode(ready.annotation)
    ready.segmenter.finish = True
    waitForEnd(host, ready.widget)
    result = ready.widget.parameters.resultSegmentations[0]
    assert result.GetSegmentation().GetSegment("liver").GetName() == "liver"


def test_the_result_comes_although_the_user_went_to_another_module(host, module, ready):
    startRun(host, ready)
    module.exit()
    assert not ready.ui.segmentEditor.shortcutsAreInstalled()
    ready.segmenter.finish = True
    waitForEnd(host, ready.widget)
    module.enter()
    assert ready.ui.resultTable.rowCount == 1
    assert ready.widget.parameters.resultSegmentations[0] is not None


def test_the_result_is_remembered_although_the_user_loads_a_scene_in_another_module(host, module, ready, tmp_path):
    import slicer

    path = str(tmp_path / "state.mrb")
    assert slicer.util.saveScene(path)
    startRun(host, ready)
    module.exit()
    slicer.util.loadScene(path)
    ready.segmenter.finish = True
    waitForEnd(host, ready.widget)
    module.enter()
    assert ready.ui.resultTable.rowCount == 1
    assert ready.widget.parameters.resultSegmentations[0].GetName() == "scan segmentation"
    assert ready.ui.undoButton.enabled


def test_a_result_from_the_console_can_be_undone_on_the_panel(host, ready):
    import slicer

    ready.segmenter.finish = True
    before = nodeIDs()
    logic = slicer.util.getModuleLogic("DPLSegment")
    logic.segment(queryVolumeNode=ready.volume, supportSegmentationNode=ready.annotation)
    assert ready.ui.undoButton.enabled
    ready.ui.undoButton.click()
    assert nodeIDs() == before and not ready.ui.undoButton.enabled
    logic.segment(queryVolumeNode=ready.volume, supportSegmentationNode=ready.annotation)
    logic.undo()
    assert not ready.ui.undoButton.enabled


def test_reloading_the_module_during_a_run_leaves_nothing_running(host, module, ready):
    import slicer

    startRun(host, ready)
    old, oldPackage = ready.widget, sys.modules["DPLSegmentModule.RunPanel"]
    before = nodeIDs()
    old.onReload()
    host.waitUntil(lambda: not old.runPanel.isRunning, 5)
    new = slicer.modules.DPLSegmentWidget
    assert new is not old
    # Every file of the package is new, not only the first.
    assert sys.modules["DPLSegmentModule.RunPanel"] is not oldPackage
    assert type(new.runPanel) is not type(old.runPanel)
    assert nodeIDs() == before
    host.processEvents(0.3)
    assert new.parameters.supportVolume is ready.volume and new.ui.segmentButton.enabled


def test_unloading_the_module_during_a_run_leaves_nothing_running(host, module, ready):
    startRun(host, ready)
    module.unload()
    host.processEvents(0.1)
    assert not ready.widget.runPanel.isRunning
    # The fixtures check that no thread, timer or observer is left.

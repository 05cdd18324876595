"""The whole panel as a user meets it: the shipped .ui, real clicks, the real library on a small scan."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from panel import ROOT, addSegmentation
from widget_scene import (
    MIDDLE,
    SHAPE,
    SPACING,
    addAnnotation,
    addScan,
    body,
    check,
    dice,
    maskOf,
    nodeIDs,
    waitForEnd,
)

# From painting to the result


def test_painting_one_slice_and_one_click_segment_the_scan(host, panel):
    import slicer

    ui, scan = panel.ui, addScan("Bauch ä")
    ui.supportVolumeSelector.setCurrentNode(scan)
    slicer.util.setSliceViewerLayers(background=scan, fit=True)
    ui.newAnnotationButton.click()
    assert not ui.segmentButton.enabled and ui.segmentButton.toolTip

    truth = body()[1]
    view = host.sliceView("Red")
    center = [-(70 - 63), -(56 - 63), 32 - 30]
    view.mrmlSliceNode().JumpSliceByCentering(*center)
    host.processEvents()
    panel.ui.segmentEditor.activeEffect().setParameter("BrushAbsoluteDiameter", 43.0)
    place = host.pixelOf(view, center)
    host.drag(view, place, place)
    host.waitUntil(lambda: ui.segmentButton.enabled, 5)
    assert f"slice {MIDDLE}" in ui.supportSummaryLabel.text

    before = nodeIDs()
    steps = []
    ui.progressBar.connect("valueChanged(int)", lambda value: steps.append((value, ui.stepLabel.text)))
    ui.segmentButton.click()
    assert ui.progressBar.visible and ui.cancelButton.visible
    waitForEnd(host, panel)
    added = [slicer.mrmlScene.GetNodeByID(nodeID) for nodeID in nodeIDs() - before]
    assert {node.GetClassName() for node in added} == {"vtkMRMLSegmentationNode", "vtkMRMLSegmentationDisplayNode"}

    assert not ui.messageLabel.visible, ui.messageLabel.text
    values = [value for value, _ in steps]
    assert values == sorted(values) and len(set(values)) > 3 and any(text for _, text in steps)
    result = panel.parameters.resultSegmentations[0]
    annotation = panel.parameters.supportSegmentation
    segmentID = annotation.GetSegmentation().GetNthSegmentID(0)
    assert result.GetName() == "Bauch ä segmentation"
    assert dice(maskOf(result, segmentID, scan), truth) > 0.8
    # One row, and its volume is that of the mask.
    volumeMl = float(ui.resultTable.item(0, 1).text())
    assert abs(volumeMl - maskOf(result, segmentID, scan).sum() * np.prod(SPACING) / 1000) < 0.06
    assert ui.resultTable.item(0, 0).text() == annotation.GetSegmentation().GetNthSegment(0).GetName()
    assert "cpu" in ui.deviceUsedValueLabel.text and "PyTorch" in ui.torchValueLabel.text
    # The painted annotation is still shown, the result too, in 3D as well.
    assert annotation.GetDisplayNode().GetVisibility() and result.GetDisplayNode().GetVisibility3D()

    ui.undoButton.click()
    assert not any(slicer.mrmlScene.IsNodePresent(node) for node in added) and ui.resultTable.rowCount == 0


def test_another_scan_is_segmented_with_its_uncertainty_shown(host, panel):
    import slicer

    support, query = addScan("support"), addScan("query", shift=4.0)
    panel.ui.supportVolumeSelector.setCurrentNode(support)
    panel.ui.supportSegmentationSelector.setCurrentNode(addAnnotation(support))
    panel.ui.querySupportCheckBox.click()
    check(panel.ui.queryVolumesSelector, query)
    panel.ui.uncertaintyCheckBox.click()
    host.processEvents()
    assert panel.ui.segmentButton.enabled, panel.ui.segmentButton.toolTip
    panel.ui.segmentButton.click()
    waitForEnd(host, panel)

    assert not panel.ui.messageLabel.visible, panel.ui.messageLabel.text
    assert [node.GetName() for node in panel.parameters.resultQueries] == ["query"]
    uncertainty = panel.parameters.resultUncertainties[0]
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {node.GetForegroundVolumeID() for node in composites} == {uncertainty.GetID()}
    assert {node.GetBackgroundVolumeID() for node in composites} == {query.GetID()}
    assert slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(uncertainty) is not None
    panel.ui.uncertaintyOpacitySlider.value = 0.8
    assert composites[0].GetForegroundOpacity() == pytest.approx(0.8)
    panel.ui.uncertaintyCheckBox.click()
    assert {node.GetForegroundVolumeID() for node in composites} == {None}
    assert slicer.mrmlScene.IsNodePresent(uncertainty)


def test_the_surface_comes_and_goes_with_its_check_box(host, ready):
    ready.segmenter.finish = True
    ready.ui.segmentButton.click()
    waitForEnd(host, ready.widget)
    result = ready.widget.parameters.resultSegmentations[0]
    assert result.GetDisplayNode().GetVisibility3D()
    ready.ui.show3DCheckBox.click()
    assert not result.GetDisplayNode().GetVisibility3D()
    assert ready.annotation.GetDisplayNode().GetVisibility3D()


# The reason why nothing can be clicked


def test_the_tooltip_says_what_is_missing_in_every_state(host, panel):
    import slicer

    button, parameters = panel.ui.segmentButton, panel.parameters

    def reason():
        host.processEvents(0.3)
        assert not button.enabled
        return button.toolTip

    seen = [reason()]
    volume = addScan()
    parameters.supportVolume = volume
    seen.append(reason())
    empty = addSegmentation(volume, {"liver": np.zeros(SHAPE)})
    parameters.supportSegmentation = empty
    seen.append(reason())
    annotation = addAnnotation(volume)
    parameters.supportSegmentation = annotation
    annotation.GetDisplayNode().SetSegmentVisibility("liver", False)
    seen.append(reason())
    annotation.GetDisplayNode().SetSegmentVisibility("liver", True)
    parameters.querySupportVolume = False
    seen.append(reason())
    parameters.querySupportVolume = True
    parameters.outputSegmentation = annotation
    seen.append(reason())
    parameters.outputSegmentation = addSegmentation(volume, {}, "output")
    parameters.queryVolumes = [addScan("second")]
    seen.append(reason())
    parameters.outputSegmentation = None
    parameters.queryVolumes = []
    parameters.supportVolume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "no image")
    seen.append(reason())
    parameters.supportVolume = volume
    parameters.weightsPath = "/no such folder/weights.pt"
    seen.append(reason())

    assert all(text.endswith(".") and "\n" not in text for text in seen), seen
    assert len(set(seen)) == len(seen), seen
    parameters.weightsPath = ""
    host.processEvents(0.3)
    assert button.enabled


def test_what_was_repaired_in_another_module_is_seen_on_coming_back(host, module, ready):
    import slicer
    from scene_objects import addNonLinearTransform

    other = addScan("other")
    addNonLinearTransform(other)
    check(ready.ui.queryVolumesSelector, other)
    assert not ready.ui.segmentButton.enabled and "non-linear" in ready.ui.segmentButton.toolTip
    module.exit()
    other.SetAndObserveTransformNodeID(None)
    module.enter()
    assert ready.ui.segmentButton.enabled, ready.ui.segmentButton.toolTip
    module.exit()
    slicer.util.updateVolumeFromArray(other, np.zeros(SHAPE, np.int16))
    other.SetAndObserveImageData(None)
    module.enter()
    assert not ready.ui.segmentButton.enabled


# State


def test_the_panel_comes_back_with_the_scene(host, ready, tmp_path):
    import slicer

    ui, widget = ready.ui, ready.widget
    second = addScan("second")
    check(ui.queryVolumesSelector, second)
    ui.uncertaintyCheckBox.click()
    ui.seedSpinBox.value = 11
    ui.variantsSpinBox.value = 4
    weights = tmp_path / "ä.pt"
    weights.touch()
    ui.deviceComboBox.currentIndex = ui.deviceComboBox.findData("cpu")
    ready.segmenter.finish = True
    ui.segmentButton.click()
    waitForEnd(host, widget)
    assert ui.resultTable.rowCount == 1
    ui.weightsPathLineEdit.currentPath = str(weights)

    path = str(tmp_path / "state.mrb")
    assert slicer.util.saveScene(path)
    host.closeScene()
    assert ui.resultTable.rowCount == 0 and ui.seedSpinBox.value == 0 and ui.weightsPathLineEdit.currentPath == ""
    assert not ui.queryVolumesSelector.checkedNodes()
    slicer.util.loadScene(path)
    host.processEvents(0.3)

    assert ui.supportVolumeSelector.currentNode().GetName() == "scan"
    assert ui.supportSegmentationSelector.currentNode().GetName() == "annotation"
    assert [node.GetName() for node in ui.queryVolumesSelector.checkedNodes()] == ["second"]
    assert ui.uncertaintyCheckBox.checked and ui.seedSpinBox.value == 11 and ui.variantsSpinBox.value == 4
    assert ui.weightsPathLineEdit.currentPath == str(weights)
    assert ui.deviceComboBox.itemData(ui.deviceComboBox.currentIndex) == "cpu"
    assert ui.resultTable.rowCount == 1 and ui.resultTable.item(0, 0).text() == "liver"
    combo = ui.resultQueryComboBox
    assert [combo.itemText(index) for index in range(combo.count)] == ["scan", "second"]
    assert ui.segmentButton.enabled, ui.segmentButton.toolTip


@pytest.mark.parametrize("choice", [0, 1], ids=["of all segments", "of one"])
def test_uncertainty_that_was_saved_with_the_scene_can_be_hidden(host, ready, tmp_path, choice):
    import slicer

    def shown():
        return {c.GetForegroundVolumeID() for c in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}

    def wanted():
        from DPLSegmentModule.SegmentUncertainty import existingMaps

        whole = ready.widget.parameters.resultUncertainties[0]
        (own,) = existingMaps(whole).values() if choice else (whole,)
        return {own.GetID()}

    slicer.app.layoutManager()
    ready.ui.uncertaintyCheckBox.click()
    ready.segmenter.finish = True
    ready.ui.segmentButton.click()
    waitForEnd(host, ready.widget)
    ready.ui.uncertaintyOfComboBox.currentIndex = choice
    assert shown() == wanted()
    path = str(tmp_path / "state.mrb")
    assert slicer.util.saveScene(path)
    host.closeScene()
    slicer.util.loadScene(path)
    host.processEvents(0.3)
    assert shown() == wanted()
    for _time in range(2):
        ready.ui.uncertaintyCheckBox.click()
        assert shown() == {None} and not slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
        ready.ui.uncertaintyCheckBox.click()
        assert shown() == wanted()
        assert len(slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")) == 1


def test_check_marks_survive_nodes_that_are_loaded_meanwhile(host, ready):
    import slicer

    second = addScan("second")
    check(ready.ui.queryVolumesSelector, second)
    slicer.mrmlScene.StartState(slicer.mrmlScene.BatchProcessState)
    addScan("third")
    slicer.mrmlScene.EndState(slicer.mrmlScene.BatchProcessState)
    assert [node.GetName() for node in ready.ui.queryVolumesSelector.checkedNodes()] == ["second"]
    assert [node.GetName() for node in ready.widget.parameters.queryVolumes] == ["second"]


def test_restore_defaults_touches_the_advanced_section_only(host, ready):
    ui = ready.ui
    ui.seedSpinBox.value = 11
    ui.variantsSpinBox.value = 4
    ui.weightsPathLineEdit.currentPath = "x.pt"
    ui.deviceComboBox.currentIndex = ui.deviceComboBox.findData("cpu")
    assert ready.widget.parameters.device == "cpu"
    ui.restoreDefaultsButton.click()
    assert (ui.seedSpinBox.value, ui.variantsSpinBox.value, ui.weightsPathLineEdit.currentPath) == (0, 0, "")
    assert ready.widget.parameters.device == "auto" and ui.deviceComboBox.currentIndex == 0
    assert ready.widget.parameters.supportVolume is ready.volume


def test_the_options_reach_the_run(host, ready):
    seen = []
    ready.widget.logic._loadSegmenter = lambda options: seen.append(options) or ready.segmenter
    ready.widget.logic.forget()
    ready.segmenter.finish = True
    ready.ui.seedSpinBox.value = 11
    ready.ui.variantsSpinBox.value = 4
    ready.ui.uncertaintyCheckBox.click()
    ready.ui.segmentButton.click()
    waitForEnd(host, ready.widget)
    assert (seen[0].seed, seen[0].variants, seen[0].uncertainty, seen[0].weightsPath) == (11, 4, True, None)


def test_a_second_result_goes_to_a_new_segmentation_unless_one_is_chosen(host, ready):
    ready.segmenter.finish = True
    results = []
    for output in (None, None, "first"):
        ready.widget.parameters.outputSegmentation = results[0] if output else None
        ready.ui.segmentButton.click()
        waitForEnd(host, ready.widget)
        results.append(ready.widget.parameters.resultSegmentations[0])
    assert results[0] is not results[1] and results[2] is results[0]


def test_the_widget_takes_a_logic_of_the_callers(host, module):
    import slicer

    holder = slicer.qMRMLWidget()
    import qt

    holder.setLayout(qt.QVBoxLayout())
    holder.setMRMLScene(slicer.mrmlScene)
    entry = sys.modules["DPLSegment"]
    logic = entry.DPLSegmentLogic()
    widget = entry.DPLSegmentWidget(holder, logic=logic)
    widget.setup()
    logic.supportText = lambda volume, segmentation: "A sentence of the caller's."
    widget.updateReason()
    assert widget.ui.segmentButton.toolTip == "A sentence of the caller's."
    holder.deleteLater()


def test_the_logic_is_found_from_the_console(module):
    import slicer

    assert type(slicer.util.getModuleLogic("DPLSegment")).__name__ == "DPLSegmentLogic"


def test_the_self_test_of_the_real_application_passes(host, module):
    entry = sys.modules["DPLSegment"]
    module.instance.runTest(msec=0)
    assert entry.DPLSegmentTest.__name__ == "DPLSegmentTest" and (ROOT / "DPLSegment" / "DPLSegment.py").is_file()

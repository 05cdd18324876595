"""The table of the last run, and where its clicks lead."""

from __future__ import annotations

import types

import numpy as np
import pytest
from panel import addSegmentation, addVolume, loadUi, newParameters

# An oblique, flipped frame: i, j and k mixed, other spacings.
FRAME = np.array([[0.0, -1.6, 0.9, 12.0], [2.0, 0.0, 0.0, -30.0], [0.0, 1.2, 1.2, 5.0], [0, 0, 0, 1]])


class RecordingLogic:
    """Undo and display, recorded."""

    def __init__(self):
        self.calls = []
        self.undoable = False
        self.maps = {}  # segment ID -> volume

    def canUndo(self):
        return self.undoable

    def undo(self):
        self.undoable = False
        self.calls.append(("undo",))

    def segmentsWithUncertainty(self, uncertaintyNode):
        return set(self.maps)

    def segmentUncertainty(self, uncertaintyNode, segmentID):
        return self.maps.get(segmentID)

    def __getattr__(self, name):
        def record(node=None, *arguments):
            self.calls.append((name, node.GetName() if node else None, *arguments))

        return record


def makeReport(volumeMl=12.34, mean=0.071, slice_=4, axis=2, device="cpu (2 threads)"):
    found = {"voxels": 10, "volume_ml": volumeMl, "annotated_slices": [1]}
    if slice_ is not None:
        found |= {"first_slice": 1, "last_slice": 5, "mean_uncertainty": mean, "least_certain_slice": slice_}
    missing = {"voxels": 0, "volume_ml": 0.0, "annotated_slices": [2]}
    return {
        "labels": {"1": found, "2": missing},
        "slice_axis": axis,
        "device": device,
        "torch": "2.5",
        "seconds": {"total": 3.2},
    }


def applied(query, segmentation, uncertainty=None, **report):
    return types.SimpleNamespace(
        queryNode=query, segmentationNode=segmentation, uncertaintyNode=uncertainty, report=makeReport(**report)
    )


@pytest.fixture
def results(scene):
    """Namespace: panel, ui, logic, parameters, prepared (with the styles), query, segmentation."""
    query = addVolume("query", (6, 8, 10), FRAME)
    mask = np.zeros((6, 8, 10), bool)
    mask[2:5, 3:6, 6:9] = True
    segmentation = addSegmentation(query, {"liver": mask, "spleen": np.zeros_like(mask)}, "query segmentation")
    segmentation.GetSegmentation().GetSegment("liver").SetColor(1.0, 0.5, 0.0)
    ui, holder = loadUi()
    holder.show()
    from DPLSegmentModule.ResultPanel import ResultPanel

    styles = {
        1: types.SimpleNamespace(segmentID="liver", name="liver", color=(1.0, 0.5, 0.0), tags={}),
        2: types.SimpleNamespace(segmentID="spleen", name="spleen", color=(0.0, 0.0, 1.0), tags={}),
    }
    logic, parameters = RecordingLogic(), newParameters()
    panel = ResultPanel(ui, logic)
    panel.setParameters(parameters)
    prepared = types.SimpleNamespace(styles=styles)
    yield types.SimpleNamespace(**locals())
    panel.cleanup()
    holder.deleteLater()


def rows(ui):
    table = ui.resultTable
    return [[table.item(row, column).text() for column in range(4)] for row in range(table.rowCount)]


def click(ui, row, column=3):
    """A real click on a cell."""
    from PySide6 import QtCore, QtTest

    table = ui.resultTable
    place = table.visualItemRect(table.item(row, column)).center()
    QtTest.QTest.mouseClick(table.viewport(), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, place)


def test_without_a_result_there_is_no_table(results):
    assert not results.ui.resultTable.visible and not results.ui.undoButton.enabled
    assert not results.ui.resultQueryComboBox.visible


def test_the_table_says_volume_uncertainty_and_least_certain_slice(results):
    results.panel.showResults(results.prepared, [applied(results.query, results.segmentation)])
    assert rows(results.ui) == [["liver", "12.3", "0.07", "4"], ["spleen", "0.0", "not found", ""]]
    assert results.ui.resultTable.visible and not results.ui.resultQueryComboBox.visible


def test_a_renamed_segment_is_listed_under_its_new_name(results):
    results.panel.showResults(results.prepared, [applied(results.query, results.segmentation)])
    results.segmentation.GetSegmentation().GetSegment("liver").SetName("Leber")
    results.panel.update()
    assert rows(results.ui)[0][0] == "Leber"


def test_a_scan_that_is_not_shown_becomes_the_background(results):
    import slicer

    other = addVolume("other")
    slicer.util.setSliceViewerLayers(background=other)
    results.panel.showResults(results.prepared, [applied(results.query, results.segmentation)])
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {node.GetBackgroundVolumeID() for node in composites} == {results.query.GetID()}


def test_a_scan_that_is_shown_anywhere_leaves_the_views_as_they_are(results):
    import slicer

    other = addVolume("other")
    slicer.util.setSliceViewerLayers(background=other, foreground=results.query)
    results.panel.showResults(results.prepared, [applied(results.query, results.segmentation)])
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {node.GetBackgroundVolumeID() for node in composites} == {other.GetID()}


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("transformed", [False, True])
def test_a_click_on_a_row_brings_every_view_to_the_least_certain_slice(results, axis, transformed):
    import slicer
    import vtk

    toWorld = np.eye(4)
    if transformed:
        toWorld = np.array([[0.8, -0.6, 0, 7.0], [0.6, 0.8, 0, -3.0], [0, 0, 1, 11.0], [0, 0, 0, 1]])
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(toWorld.ravel())
        transform.SetMatrixTransformToParent(matrix)
        results.query.SetAndObserveTransformNodeID(transform.GetID())
        results.segmentation.SetAndObserveTransformNodeID(transform.GetID())
    results.panel.showResults(results.prepared, [applied(results.query, results.segmentation, axis=axis)])
    click(results.ui, 0)

    # The middle of the segment's box (i 6 to 8, j 3 to 5, k 2 to 4), moved to slice 4 of the axis.
    ijk = np.array([7.0, 4.0, 3.0, 1.0])
    ijk[axis] = 4
    expected = (toWorld @ FRAME @ ijk)[:3]
    sliceNodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    assert len(sliceNodes) >= 3
    for node in sliceNodes:
        center = [node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
        np.testing.assert_allclose(center, expected, atol=1e-3)


def test_a_click_on_a_segment_that_was_not_found_moves_nothing(results):
    import slicer

    results.panel.showResults(results.prepared, [applied(results.query, results.segmentation)])
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    before = [node.GetSliceOffset() for node in nodes]
    click(results.ui, 1)
    assert [node.GetSliceOffset() for node in nodes] == before


def test_several_scans_have_a_table_each(results):
    second = addVolume("second")
    secondResult = addSegmentation(second, {}, "second segmentation")
    results.panel.showResults(
        results.prepared,
        [applied(results.query, results.segmentation), applied(second, secondResult, volumeMl=99.0)],
    )
    combo = results.ui.resultQueryComboBox
    assert combo.visible and [combo.itemText(index) for index in range(combo.count)] == ["query", "second"]
    assert rows(results.ui)[0][1] == "12.3"
    combo.currentIndex = 1
    assert rows(results.ui)[0][1] == "99.0"
    assert results.parameters.shownResult == 1


def test_deleted_nodes_leave_the_numbers(results):
    import slicer

    results.panel.showResults(results.prepared, [applied(results.query, results.segmentation)])
    slicer.mrmlScene.RemoveNode(results.segmentation)
    slicer.mrmlScene.RemoveNode(results.query)
    results.panel.update()
    assert rows(results.ui)[0] == ["liver", "12.3", "0.07", "4"]
    click(results.ui, 0)  # nowhere to go, and no error


def test_the_table_comes_from_the_parameters_alone(results):
    results.panel.showResults(results.prepared, [applied(results.query, results.segmentation)])
    results.panel.setParameters(newParameters())
    assert rows(results.ui) == []
    results.panel.setParameters(results.parameters)
    assert rows(results.ui)[0] == ["liver", "12.3", "0.07", "4"]


def test_the_uncertainty_of_the_chosen_scan_is_shown_and_no_other(results):
    second = addVolume("second")
    maps = [addVolume("query uncertainty"), addVolume("second uncertainty")]
    results.parameters.uncertainty = True
    results.panel.showResults(
        results.prepared,
        [
            applied(results.query, results.segmentation, maps[0]),
            applied(second, addSegmentation(second, {}), maps[1]),
        ],
    )
    calls = [call for call in results.logic.calls if "Uncertainty" in call[0]]
    assert calls == [("hideUncertainty", "second uncertainty"), ("showUncertainty", "query uncertainty", 0.5)]
    results.logic.calls.clear()
    results.ui.resultQueryComboBox.currentIndex = 1
    assert results.logic.calls == [
        ("hideUncertainty", "query uncertainty"),
        ("showUncertainty", "second uncertainty", 0.5),
    ]


@pytest.fixture
def mapped(results):
    """The results shown with a map of all segments and one of the liver; calls are recorded from here on."""
    results.whole, results.own = addVolume("query uncertainty"), addVolume("query uncertainty: liver")
    results.logic.maps = {"liver": results.own, "spleen": results.own}
    results.parameters.uncertainty = True
    results.panel.showResults(results.prepared, [applied(results.query, results.segmentation, results.whole)])
    results.logic.calls.clear()
    return results


def test_the_map_of_one_segment_can_be_chosen(mapped):
    combo = mapped.ui.uncertaintyOfComboBox
    assert combo.visible
    assert [combo.itemText(index) for index in range(combo.count)] == ["all segments", "liver", "spleen"]
    combo.currentIndex = 1
    assert mapped.logic.calls == [
        ("hideUncertainty", "query uncertainty"),
        ("showUncertainty", "query uncertainty: liver", 0.5),
    ]
    assert mapped.parameters.uncertaintySegment == "liver"
    mapped.logic.calls.clear()
    mapped.ui.uncertaintyOpacitySlider.value = 0.75
    assert mapped.logic.calls == [("showUncertainty", "query uncertainty: liver", 0.75)]
    combo.currentIndex = 0
    assert mapped.logic.calls[-1] == ("showUncertainty", "query uncertainty", mapped.parameters.uncertaintyOpacity)


def test_without_maps_of_single_segments_there_is_nothing_to_choose(mapped):
    mapped.ui.uncertaintyOfComboBox.currentIndex = 1
    mapped.logic.maps = {}
    mapped.panel.update()
    assert not mapped.ui.uncertaintyOfComboBox.visible and not mapped.ui.uncertaintyOfLabel.visible
    mapped.logic.calls.clear()
    mapped.ui.uncertaintyCheckBox.click()
    mapped.ui.uncertaintyCheckBox.click()
    assert mapped.logic.calls[-1] == ("showUncertainty", "query uncertainty", 0.5)


def test_a_chosen_segment_that_the_next_result_lacks_gives_way_to_all(mapped):
    mapped.ui.uncertaintyOfComboBox.currentIndex = 2
    mapped.logic.maps = {"liver": mapped.own}
    mapped.panel.update()
    assert mapped.ui.uncertaintyOfComboBox.currentIndex == 0


@pytest.mark.parametrize("text", ["no json", "[{}]", "{}", '[{"report": 1}]', "7"])
def test_reports_of_another_version_are_ignored(results, text):
    results.parameters.resultReports = text
    results.panel.update()
    assert rows(results.ui) == []


def test_undo_takes_the_result_back_and_empties_the_table(results):
    results.logic.undoable = True
    results.panel.showResults(results.prepared, [applied(results.query, results.segmentation)])
    assert results.ui.undoButton.enabled
    results.ui.undoButton.click()
    assert results.logic.calls[-2:] == [("hideUncertainty", None), ("undo",)]
    assert rows(results.ui) == [] and not results.ui.undoButton.enabled
    assert results.parameters.resultReports == ""

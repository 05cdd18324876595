"""Choosing what to segment."""

from __future__ import annotations

import pytest
from panel import addVolume, loadUi, newParameters


@pytest.fixture
def query(scene):
    """(panel, selector, parameters, first volume, second volume), the first one being the support."""
    first, second = addVolume("first"), addVolume("second")
    ui, holder = loadUi()
    from DPLSegmentModule.QueryPanel import QueryPanel

    parameters = newParameters()
    parameters.supportVolume = first
    panel = QueryPanel(ui)
    panel.setParameters(parameters)
    yield panel, ui.queryVolumesSelector, parameters, first, second
    panel.cleanup()
    holder.deleteLater()


def names(nodes):
    return [node.GetName() for node in nodes]


def check(selector, node, checked=True):
    import qt

    selector.setCheckState(node, qt.Qt.Checked if checked else qt.Qt.Unchecked)


def test_the_support_volume_is_the_default(query):
    panel, _, _, first, _ = query
    assert panel.queryVolumes() == [first]


def test_checked_volumes_come_after_the_support_volume(query):
    panel, selector, parameters, first, second = query
    check(selector, second)
    assert names(parameters.queryVolumes) == ["second"]
    assert panel.queryVolumes() == [first, second]
    parameters.querySupportVolume = False
    assert panel.queryVolumes() == [second]


def test_the_support_volume_is_not_segmented_twice(query):
    panel, selector, _, first, second = query
    check(selector, second)
    check(selector, first)
    assert panel.queryVolumes() == [first, second]


def test_unchecking_takes_a_volume_away(query):
    panel, selector, parameters, first, second = query
    check(selector, second)
    check(selector, second, False)
    assert list(parameters.queryVolumes) == []
    assert panel.queryVolumes() == [first]


def test_a_deleted_volume_is_not_segmented(query):
    import slicer

    panel, selector, _, first, second = query
    check(selector, second)
    slicer.mrmlScene.RemoveNode(second)
    assert panel.queryVolumes() == [first]


def test_check_marks_come_from_the_parameters(query):
    panel, selector, parameters, _, second = query
    parameters.queryVolumes = [second]
    panel.update()
    assert names(selector.checkedNodes()) == ["second"]
    other = newParameters()
    panel.setParameters(other)
    assert names(selector.checkedNodes()) == []
    assert names(parameters.queryVolumes) == ["second"]


def test_a_selector_that_builds_its_list_anew_does_not_forget_for_the_user(query):
    panel, selector, parameters, _, second = query
    check(selector, second)
    panel.suspend()
    check(selector, second, False)  # as the end of any batch of changes in the scene does
    panel.resume()
    assert names(parameters.queryVolumes) == ["second"]
    assert names(selector.checkedNodes()) == ["second"]

"""Uncertainty over the scan: colours, legend, and views that come back as the user had them."""

from __future__ import annotations

import numpy as np
import pytest
from scene_objects import addVolume, importable, matrix, nodeIDs, noise

SHAPE = (8, 20, 24)


@pytest.fixture(autouse=True)
def display(scene, monkeypatch):
    global setUpDisplay
    importable(monkeypatch)
    from DPLSegmentModule.UncertaintyDisplay import UncertaintyDisplay, setUpDisplay

    return UncertaintyDisplay()


@pytest.fixture
def views(scene):
    """Two slice views: one with a background alone, one with a foreground of the user's."""
    import slicer

    background, foreground = addVolume(noise(SHAPE), matrix(), "CT"), addVolume(noise(SHAPE, 1), matrix(), "PET")
    composites = []
    for name in ("Red", "Green"):
        node = slicer.vtkMRMLSliceCompositeNode()
        node.SetLayoutName(name)
        node.SetSingletonTag(name)
        composites.append(slicer.mrmlScene.AddNode(node))
    for composite in composites:
        composite.SetBackgroundVolumeID(background.GetID())
    composites[1].SetForegroundVolumeID(foreground.GetID())
    composites[1].SetForegroundOpacity(0.7)
    return composites


def uncertaintyVolume(name="uncertainty"):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, np.linspace(0, 1, 3840).reshape(SHAPE).astype(np.float32))
    setUpDisplay(node)
    return node


def state(composites):
    return [
        (c.GetBackgroundVolumeID(), c.GetForegroundVolumeID(), c.GetForegroundOpacity(), c.GetLabelVolumeID())
        for c in composites
    ]


def test_the_window_ends_where_wrong_is_as_likely_as_right_and_sure_voxels_are_clear():
    display = uncertaintyVolume().GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 0.5)
    assert not display.GetAutoWindowLevel() and display.GetApplyThreshold()
    assert 0 < display.GetLowerThreshold() < 0.1 and display.GetUpperThreshold() == 1.0


def test_the_best_colour_map_there_is_is_chosen():
    import slicer

    assert uncertaintyVolume().GetDisplayNode().GetColorNode().GetName() == "Iron"  # slicer-core has no better one
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "Inferno")
    table.SetTypeToGrey()
    assert uncertaintyVolume().GetDisplayNode().GetColorNode().GetName() == "Inferno"


def test_a_display_that_the_user_chose_is_kept():
    node = uncertaintyVolume()
    node.GetDisplayNode().SetWindowLevelMinMax(0.2, 0.4)
    setUpDisplay(node)
    assert node.GetDisplayNode().GetWindowLevelMax() == pytest.approx(0.4)


def test_showing_changes_the_foreground_only_and_hiding_brings_it_back(display, views):
    node = uncertaintyVolume()
    before = state(views)
    display.show(node, 0.4)
    assert display.isShown(node)
    for now, then in zip(state(views), before, strict=True):
        assert now == (then[0], node.GetID(), 0.4, then[3])
    display.hide(node)
    assert state(views) == before and not display.isShown(node)


def test_the_legend_exists_while_it_is_shown(display, views):
    import slicer

    node = uncertaintyVolume()
    before = nodeIDs()
    display.show(node)
    (added,) = nodeIDs() - before
    legend = slicer.mrmlScene.GetNodeByID(added)
    assert legend.IsA("vtkMRMLColorLegendDisplayNode") and legend.GetVisibility()
    assert legend.GetTitleText() == "Uncertainty"
    display.show(node, 0.9)
    assert nodeIDs() - before == {added}
    display.hide()
    assert nodeIDs() == before


def test_the_legend_is_drawn_beside_the_map_in_every_slice_view(host, display, rendering):
    import slicer

    slicer.util.setSliceViewerLayers(background=addVolume(noise(SHAPE), matrix(), "CT"), fit=True)
    views = [host.sliceView(name) for name in ("Red", "Green", "Yellow")]
    node = uncertaintyVolume()
    display.show(node)
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node)
    for view in views:
        manager = view.displayableManagerByClassName("vtkMRMLColorLegendDisplayableManager")
        assert manager.GetColorLegendActor(legend).GetVisibility()
    withLegend = [view.picture().astype(int) for view in views]
    legend.SetVisibility(False)  # the map itself stays
    for view, picture in zip(views, withLegend, strict=True):
        changed = np.abs(picture - view.picture()).max(axis=(0, 2)) > 50
        assert changed[view.width // 2 :].sum() > 20 and not changed[: view.width // 2].any()


def test_showing_another_one_takes_the_first_away_and_remembers_what_was_before_both(display, views):
    first, second = uncertaintyVolume("1"), uncertaintyVolume("2")
    before, nodes = state(views), nodeIDs()
    display.show(first)
    display.show(second)
    assert not display.isShown(first) and len(nodeIDs() - nodes) == 1
    display.hide(first)  # not shown: nothing happens
    assert display.isShown(second)
    display.hide(second)
    assert state(views) == before


def test_a_view_that_the_user_changed_meanwhile_is_left_alone(display, views):
    import slicer

    node, other = uncertaintyVolume(), addVolume(noise(SHAPE), matrix(), "chosen")
    display.show(node)
    views[0].SetForegroundVolumeID(other.GetID())
    display.hide()
    assert views[0].GetForegroundVolumeID() == other.GetID()
    assert slicer.mrmlScene.GetNodeByID(views[1].GetForegroundVolumeID()).GetName() == "PET"


def test_deleted_nodes_and_a_closed_scene_do_no_harm(host, display, views):
    import slicer

    node = uncertaintyVolume()
    before = state(views)
    display.show(node)
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("PET"))
    slicer.mrmlScene.RemoveNode(node)
    assert not display.isShown(node)
    display.hide()
    assert state(views)[0] == before[0] and views[1].GetForegroundVolumeID() is None
    display.show(uncertaintyVolume())
    host.closeScene()
    display.hide()
    display.forget()

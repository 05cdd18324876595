"""slicer.parameterNodeWrapper over a real parameter node."""

from __future__ import annotations

import enum
import pathlib
from typing import Annotated

import numpy as np
import pytest


@pytest.fixture
def Parameters(scene):
    import slicer
    from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

    class Side(enum.Enum):
        LEFT = 1
        RIGHT = 2

    class Values:
        volume: slicer.vtkMRMLScalarVolumeNode
        volumes: list[slicer.vtkMRMLScalarVolumeNode]
        names: list[str]
        share: Annotated[float, WithinRange(0, 1)] = 0.5
        device: Annotated[str, Choice(["auto", "cpu"])] = "auto"
        count: int = 3
        on: bool
        text: str = "a text, with = and ; in it"
        weights: pathlib.Path
        side: Side = Side.RIGHT

    # Annotations that are local to this function: what `typing` cannot look up by name.
    Values.__annotations__ = {
        "volume": slicer.vtkMRMLScalarVolumeNode,
        "volumes": list[slicer.vtkMRMLScalarVolumeNode],
        "names": list[str],
        "share": Annotated[float, WithinRange(0, 1)],
        "device": Annotated[str, Choice(["auto", "cpu"])],
        "count": int,
        "on": bool,
        "text": str,
        "weights": pathlib.Path,
        "side": Side,
    }
    return parameterNodeWrapper(Values)


@pytest.fixture
def node(scene):
    return scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "Parameters")


@pytest.fixture
def volume(scene):
    import slicer

    return slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16), name="CT")


def test_defaults_are_written_when_the_wrapper_is_made(Parameters, node):
    parameters = Parameters(node)
    assert (parameters.volume, parameters.volumes, parameters.names) == (None, [], [])
    assert (parameters.share, parameters.device, parameters.count, parameters.on) == (0.5, "auto", 3, False)
    assert parameters.weights == pathlib.Path()
    assert parameters.side.name == "RIGHT"
    assert node.GetParameter("count") == "3"


def test_values_survive_saving_and_loading_the_scene(host, Parameters, node, volume, tmp_path):
    import slicer

    parameters = Parameters(node)
    parameters.volume = volume
    parameters.volumes = [volume]
    parameters.names = ["liver", "a; b"]
    parameters.share = 0.25
    parameters.on = True
    parameters.weights = pathlib.Path("/some where/weights.pt")
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    host.closeScene()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    loaded = Parameters(slicer.util.getNode("Parameters"))
    assert loaded.volume.GetName() == "CT"
    assert [v.GetName() for v in loaded.volumes] == ["CT"]
    assert (loaded.names, loaded.share, loaded.on, loaded.count) == (["liver", "a; b"], 0.25, True, 3)
    assert (loaded.text, loaded.weights) == ("a text, with = and ; in it", pathlib.Path("/some where/weights.pt"))


def test_two_wrappers_of_one_node_see_the_same_values(Parameters, node):
    first, second = Parameters(node), Parameters(node)
    first.count = 8
    assert second.count == 8


def test_every_change_is_one_modified_event(Parameters, node, volume):
    parameters = Parameters(node)
    events = []
    parameters.AddObserver("ModifiedEvent", lambda *_: events.append(1))
    for name, value in (("count", 4), ("volume", volume), ("names", ["a", "b", "c"])):
        events.clear()
        setattr(parameters, name, value)
        assert len(events) == 1, name
    events.clear()
    parameters.count = 4
    assert not events


def test_a_list_changed_in_place_changes_the_parameter_node(Parameters, node, volume):
    parameters = Parameters(node)
    parameters.names.append("liver")
    parameters.volumes.append(volume)
    assert (Parameters(node).names, Parameters(node).volumes) == (["liver"], [volume])
    parameters.names.clear()
    assert Parameters(node).names == []


def test_a_node_that_left_the_scene_reads_as_none(scene, Parameters, node, volume):
    parameters = Parameters(node)
    parameters.volume, parameters.volumes = volume, [volume]
    scene.RemoveNode(volume)
    assert (parameters.volume, parameters.volumes) == (None, [None])


@pytest.mark.parametrize(
    ("name", "value"),
    [("count", "3"), ("count", True), ("share", 1.5), ("share", "0.5"), ("device", "tpu"), ("names", ["a", 1])],
)
def test_values_of_the_wrong_type_or_range_are_refused(Parameters, node, name, value):
    parameters = Parameters(node)
    before = getattr(parameters, name)
    with pytest.raises(ValueError):
        setattr(parameters, name, value)
    assert getattr(parameters, name) == before


def test_an_unknown_parameter_is_refused(Parameters, node):
    with pytest.raises(AttributeError, match="coumt"):
        Parameters(node).coumt = 1


def test_widgets_and_parameters_follow_each_other(scene, Parameters, node, volume):
    import ctk
    import qt
    import slicer

    parameters = Parameters(node)
    widgets = {
        "volume": slicer.qMRMLNodeComboBox(),
        "count": qt.QSpinBox(),
        "share": ctk.ctkSliderWidget(),
        "on": qt.QCheckBox(),
        "text": qt.QLineEdit(),
        "device": qt.QComboBox(),
        "weights": ctk.ctkPathLineEdit(),
    }
    widgets["volume"].nodeTypes = ["vtkMRMLScalarVolumeNode"]
    widgets["volume"].noneEnabled = True
    widgets["volume"].setMRMLScene(scene)
    tag = parameters.connectParametersToGui(widgets)
    assert (widgets["count"].value, widgets["device"].currentText) == (3, "auto")
    assert (widgets["share"].minimum, widgets["share"].maximum, widgets["share"].value) == (0, 1, 0.5)

    widgets["count"].value = 7
    widgets["volume"].setCurrentNode(volume)
    widgets["device"].currentIndex = 1
    widgets["weights"].currentPath = "/a/b.pt"
    assert (parameters.count, parameters.volume, parameters.device) == (7, volume, "cpu")
    assert parameters.weights == pathlib.Path("/a/b.pt")

    parameters.on = True
    parameters.text = "b"
    assert (widgets["on"].checked, widgets["text"].text) == (True, "b")

    parameters.disconnectGui(tag)
    widgets["count"].value = 9
    parameters.text = "c"
    assert (parameters.count, widgets["text"].text) == (7, "b")


def test_connecting_by_the_property_in_the_ui_file_gives_no_tag_to_disconnect(scene, Parameters, node):
    import qt

    panel = qt.QWidget()
    box = qt.QSpinBox(panel)
    box.setProperty("SlicerParameterName", "count")
    parameters = Parameters(node)
    tag = parameters.connectGui(panel)
    parameters.disconnectGui(tag)
    box.value = 5
    assert (tag, parameters.count) == (None, 5)


def test_a_widget_that_slicer_cannot_connect_is_refused(scene, Parameters, node):
    import ctk
    import slicer

    parameters = Parameters(node)
    pairs = {
        "volumes": slicer.qMRMLCheckableNodeComboBox(),
        "on": ctk.ctkCollapsibleButton(),
        "text": ctk.ctkPathLineEdit(),
    }
    for name, widget in pairs.items():
        with pytest.raises(RuntimeError, match=name):
            parameters.connectParametersToGui({name: widget})


def test_a_forgotten_wrapper_leaves_a_node_that_can_still_be_changed(Parameters, node):
    import gc

    import qt

    box = qt.QSpinBox()
    Parameters(node).connectParametersToGui({"count": box})
    box.deleteLater()
    del box
    gc.collect()
    node.SetParameter("count", "8")
    assert Parameters(node).count == 8

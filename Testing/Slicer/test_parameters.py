"""The panel's state in the scene."""

from __future__ import annotations

import pytest
from panel import addSegmentation, addVolume, importable, loadUi, newParameters


@pytest.fixture
def filled(scene):
    """Every parameter set to something else than its default."""
    import numpy as np

    support, first, second = addVolume("support"), addVolume("first"), addVolume("Zweite Untersuchung ä")
    annotation = addSegmentation(support, {"liver": np.ones((6, 8, 10))})
    output = addSegmentation(first, {}, "output")
    parameters = newParameters()
    parameters.supportVolume = support
    parameters.supportSegmentation = annotation
    parameters.querySupportVolume = False
    parameters.queryVolumes = [first, second]
    parameters.outputSegmentation = output
    parameters.show3D = False
    parameters.uncertainty = True
    parameters.uncertaintyOpacity = 0.25
    parameters.uncertaintySegment = "Leber ä"
    parameters.resultReports = '[{"name": "Leber ä", "quotes": "\\"<&>;"}]'
    parameters.resultQueries = [second, first]
    parameters.resultSegmentations = [output, None]
    parameters.resultUncertainties = [None, None]
    parameters.shownResult = 1
    parameters.device = "cpu"
    parameters.seed = 7
    parameters.variants = 4
    parameters.weightsPath = "Netze/Gewichte ä.pt"
    return parameters


def values(parameters):
    """All values, nodes by name."""

    def plain(value):
        if hasattr(value, "GetName"):
            return value.GetName()
        return [plain(item) for item in value] if hasattr(value, "__len__") and not isinstance(value, str) else value

    return {name: plain(getattr(parameters, name)) for name in parameters.allParameters}


def test_defaults_are_what_a_new_user_needs(scene):
    parameters = newParameters()
    assert parameters.querySupportVolume and parameters.show3D and not parameters.uncertainty
    assert parameters.device == "auto" and parameters.variants == 0 and parameters.weightsPath == ""
    assert parameters.supportVolume is None and list(parameters.queryVolumes) == []


@pytest.mark.parametrize("intoOtherScene", [False, True], ids=["alone", "into a scene that uses the same node IDs"])
def test_every_value_survives_saving_and_loading(host, scene, filled, tmp_path, intoOtherScene):
    import slicer

    before = values(filled)
    # A default that was saved would prove nothing.
    untouched = newParameters()
    defaults = values(untouched)
    slicer.mrmlScene.RemoveNode(untouched.parameterNode)
    assert not [name for name in before if before[name] == defaults[name]]

    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    host.closeScene()
    if intoOtherScene:
        addVolume("someone else's"), addVolume("and another")
    slicer.util.loadScene(path)

    importable()
    from DPLSegmentModule.DPLSegmentParameters import DPLSegmentParameters

    loaded = DPLSegmentParameters(slicer.util.getNode("parameters"))
    assert values(loaded) == before


def test_a_deleted_node_is_nobody(scene, filled):
    import slicer

    slicer.mrmlScene.RemoveNode(filled.supportVolume)
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("first"))
    assert filled.supportVolume is None
    assert [node.GetName() if node else None for node in filled.queryVolumes] == [None, "Zweite Untersuchung ä"]


def test_a_value_out_of_range_is_refused(scene):
    parameters = newParameters()
    with pytest.raises(ValueError):
        parameters.uncertaintyOpacity = 1.5
    with pytest.raises(ValueError):
        parameters.seed = -1


@pytest.fixture
def bound(scene):
    """(binding, widgets, parameters): the shipped panel's simple widgets on a parameter node."""
    ui, holder = loadUi()
    from DPLSegmentModule.ParameterBinding import ParameterBinding

    binding, parameters = ParameterBinding(ui), newParameters()
    binding.setParameters(parameters)
    yield binding, ui, parameters
    binding.cleanup()
    holder.deleteLater()


def test_widgets_and_parameters_follow_each_other(bound):
    binding, ui, parameters = bound
    volume = addVolume("scan")
    ui.supportVolumeSelector.setCurrentNode(volume)
    ui.show3DCheckBox.click()
    ui.seedSpinBox.value = 5
    ui.uncertaintyOpacitySlider.value = 0.75
    assert (parameters.supportVolume, parameters.show3D, parameters.seed) == (volume, False, 5)
    assert parameters.uncertaintyOpacity == pytest.approx(0.75)
    parameters.supportVolume, parameters.show3D, parameters.seed, parameters.uncertaintyOpacity = None, True, 6, 0.5
    binding.update()
    assert ui.supportVolumeSelector.currentNode() is None and ui.show3DCheckBox.checked
    assert ui.seedSpinBox.value == 6 and ui.uncertaintyOpacitySlider.value == pytest.approx(0.5)


def test_the_ranges_of_the_widgets_are_those_of_the_parameters(bound):
    _, ui, parameters = bound
    for widget, name in (
        (ui.seedSpinBox, "seed"),
        (ui.variantsSpinBox, "variants"),
        (ui.uncertaintyOpacitySlider, "uncertaintyOpacity"),
    ):
        for value in (widget.minimum, widget.maximum):
            setattr(parameters, name, value)  # raises if the parameter does not take it
        with pytest.raises(ValueError):
            setattr(parameters, name, widget.maximum + 1)


def test_selectors_that_build_their_lists_anew_change_nothing(bound):
    binding, ui, parameters = bound
    parameters.supportVolume = addVolume("scan")
    binding.update()
    binding.suspend()
    ui.supportVolumeSelector.setCurrentNode(None)
    binding.resume()
    assert parameters.supportVolume.GetName() == "scan"
    assert ui.supportVolumeSelector.currentNode() is parameters.supportVolume


def test_a_panel_that_has_gone_changes_nothing(bound):
    binding, ui, parameters = bound
    binding.cleanup()
    ui.seedSpinBox.value = 9
    assert parameters.seed == 0

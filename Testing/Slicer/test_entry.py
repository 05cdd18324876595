"""What Slicer sees of the module before anybody uses it, and the shipped .ui file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from panel import ROOT, importable

UI = ROOT / "Resources" / "UI" / "DPLSegment.ui"


def test_nothing_heavy_is_imported_before_the_click():
    """Loading the module, making its panel and choosing nodes import neither PyTorch nor the network's code."""
    program = """
import sys
sys.path.insert(0, {here!r})
from host import startHost, whyUnavailable
if whyUnavailable():
    sys.exit(77)
host = startHost()
host.beginTest()
before = set(sys.modules)
module = host.loadModule({entry!r})
loaded = set(sys.modules) - before
assert not [name for name in loaded if name.split(".")[0] in ("DPLSegmentLib", "torch", "SimpleITK")], loaded
import slicer
volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
widget = module.enter()
widget.parameters.supportVolume = volume
host.processEvents(0.1)
heavy = [name for name in sys.modules if name.split(".")[0] == "torch" or name == "DPLSegmentLib.segmenter"]
assert not heavy, heavy[:5]
assert not slicer.packaging.requested
host.endTest()
"""
    text = program.format(here=str(Path(__file__).parent), entry=str(ROOT / "DPLSegment" / "DPLSegment.py"))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == 77:
        pytest.skip("the test host is not available")
    assert done.returncode == 0, done.stderr[-3000:]


def test_slicer_is_told_what_it_needs_to_know(module):
    description = module.description
    assert description.title == "DPLSegment"
    assert description.categories == ["Segmentation"]
    assert description.contributors == ["DPLSegment contributors"]
    assert "not a medical device" in description.helpText
    assert "2510.12159" in description.acknowledgementText
    assert (ROOT / "Resources" / "Icons" / "DPLSegment.png").is_file() and not description.icon.isNull()


def test_the_names_that_slicer_looks_for_are_in_the_entry_file(module):
    entry = sys.modules["DPLSegment"]
    for name in ("DPLSegment", "DPLSegmentWidget", "DPLSegmentLogic", "DPLSegmentTest"):
        assert isinstance(getattr(entry, name), type)


def test_the_sample_data_are_offered(module):
    import SampleData

    category = SampleData.SampleDataLogic.sampleDataSourcesByCategory("DPLSegment")
    assert len(category) == 2
    # Reloading the module registers nothing twice.
    sys.modules["DPLSegment"].registerSampleData()
    assert len(SampleData.SampleDataLogic.sampleDataSourcesByCategory("DPLSegment")) == 2


def test_every_widget_of_the_ui_file_is_qts_or_declared(host):
    import qt

    tree = ElementTree.parse(UI).getroot()
    declared = {entry.findtext("class") for entry in tree.iter("customwidget")}
    used = {widget.get("class") for widget in tree.iter("widget")}
    assert {name for name in used if not hasattr(qt, name)} == declared


def test_names_in_the_ui_file_are_unique():
    tree = ElementTree.parse(UI).getroot()
    names = [element.get("name") for kind in ("widget", "layout", "spacer") for element in tree.iter(kind)]
    assert len(names) == len(set(names))


def test_every_node_selector_gets_the_scene():
    tree = ElementTree.parse(UI).getroot()
    selectors = {widget.get("name") for widget in tree.iter("widget") if "NodeComboBox" in widget.get("class")}
    assert len(selectors) == 4
    connected = {
        connection.findtext("receiver")
        for connection in tree.iter("connection")
        if connection.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"
    }
    assert connected == selectors


def test_the_ui_file_names_only_parameters_that_exist(host):
    importable()
    from DPLSegmentModule.DPLSegmentParameters import DPLSegmentParameters

    tree = ElementTree.parse(UI).getroot()
    named = [entry.findtext("string") for entry in tree.iter("property") if entry.get("name") == "SlicerParameterName"]
    assert len(named) == len(set(named)) > 5
    assert set(named) <= set(DPLSegmentParameters.allParameters)


def test_everything_that_can_be_clicked_says_what_it_does():
    """No control without a tooltip; the button's own comes with the reason."""
    tree = ElementTree.parse(UI).getroot()
    controls = (
        "QPushButton",
        "QCheckBox",
        "QComboBox",
        "QSpinBox",
        "QTableWidget",
        "ctkSliderWidget",
        "ctkPathLineEdit",
    )
    silent = [
        widget.get("name")
        for widget in tree.iter("widget")
        if widget.get("class") in controls and not any(entry.get("name") == "toolTip" for entry in widget)
    ]
    assert silent == ["segmentButton"]

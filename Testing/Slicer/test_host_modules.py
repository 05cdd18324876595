"""Loading modules and .ui files, messages, and the checks at the end of each test."""

from __future__ import annotations

import textwrap
import threading

import numpy as np
import pytest

MODULE = """
import slicer
import qt
from slicer.ScriptedLoadableModule import *
from slicer.i18n import tr as _


class Example(ScriptedLoadableModule):
    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Example module")
        parent.categories = ["Segmentation"]
        slicer.app.connect("startupCompleted()", self.registerSampleData)

    def registerSampleData(self):
        import SampleData

        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category="Example", sampleName="ExampleScan", customDownloader=lambda source: [source.sampleName]
        )


class ExampleWidget(ScriptedLoadableModuleWidget):
    def setup(self):
        super().setup()
        self.events = ["setup"]
        panel = slicer.util.loadUI(self.resourcePath("UI/Example.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = ExampleLogic()

    def enter(self):
        self.events.append("enter")

    def exit(self):
        self.events.append("exit")

    def cleanup(self):
        self.events.append("cleanup")


class ExampleLogic(ScriptedLoadableModuleLogic):
    pass


class ExampleTest(ScriptedLoadableModuleTest):
    def runTest(self):
        self.delayDisplay("Test passed")
"""

UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>Example</class>
 <widget class="qMRMLWidget" name="Example">
  <layout class="QVBoxLayout" name="layout1">
   <item><widget class="ctkCollapsibleButton" name="section">
    <property name="text"><string>Inputs</string></property>
    <layout class="QFormLayout" name="layout2">
     <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="volumeSelector">
      <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
      <property name="noneEnabled"><bool>true</bool></property>
      <property name="SlicerParameterName" stdset="0"><string>volume</string></property>
     </widget></item>
     <item row="1" column="1"><widget class="{extra}" name="extra"/></item>
    </layout>
   </widget></item>
  </layout>
 </widget>
 <customwidgets/>
 <connections>
  <connection>
   <sender>Example</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
   <receiver>volumeSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot>
  </connection>
 </connections>
</ui>
"""


@pytest.fixture
def examplePath(tmp_path):
    (tmp_path / "Resources" / "UI").mkdir(parents=True)
    (tmp_path / "Resources" / "UI" / "Example.ui").write_text(UI.replace("{extra}", "QLabel"))
    (tmp_path / "Example.py").write_text(textwrap.dedent(MODULE))
    return tmp_path / "Example.py"


@pytest.fixture
def addVolume(scene):
    import slicer

    return lambda name: slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16), name=name)


def test_a_module_is_loaded_entered_left_and_unloaded(host, scene, examplePath):
    import slicer

    module = host.loadModule(examplePath)
    assert (slicer.modules.example.title, slicer.util.modulePath("Example")) == ("Example module", str(examplePath))
    widget = module.enter()
    module.exit()
    assert slicer.modules.ExampleWidget is widget
    assert slicer.util.getModuleLogic("Example") is widget.logic
    module.unload()
    assert widget.events == ["setup", "enter", "exit", "cleanup"]
    assert not hasattr(slicer.modules, "example")


def test_reloading_a_module_makes_a_new_widget_from_the_present_source(host, scene, examplePath):
    import slicer

    first = host.loadModule(examplePath).enter()
    examplePath.write_text(examplePath.read_text().replace('"setup"', '"new setup"'))
    first.onReload()
    second = slicer.modules.ExampleWidget
    assert first.events[-1] == "cleanup"
    assert (second is first, second.events) == (False, ["new setup"])


def test_a_description_of_a_module_has_no_unknown_attributes(host, scene, examplePath):
    description = host.loadModule(examplePath).description
    with pytest.raises(AttributeError, match="heplText"):
        description.heplText = "?"


def test_the_scene_reaches_the_widgets_of_a_ui_file_as_the_file_says(host, scene, examplePath, addVolume):
    widget = host.loadModule(examplePath).enter()
    volume = addVolume("CT")
    widget.ui.volumeSelector.setCurrentNode(volume)
    assert widget.ui.volumeSelector.mrmlScene() is scene
    assert widget.ui.volumeSelector.currentNode() is volume
    assert widget.ui.volumeSelector.property("SlicerParameterName") == "volume"
    assert widget.ui.section.text == "Inputs"


def test_a_collapsed_section_hides_its_widgets(host, scene, examplePath):
    module = host.loadModule(examplePath)
    ui = module.enter().ui
    module.widgetRepresentation().show()
    states = []
    ui.section.connect("contentsCollapsed(bool)", states.append)
    ui.section.collapsed = True
    hidden = ui.volumeSelector.visible
    ui.section.collapsed = False
    assert (states, hidden, ui.volumeSelector.visible) == ([True, False], False, True)


def test_a_ui_file_with_an_unknown_widget_is_refused(host, scene, examplePath):
    path = examplePath.parent / "Resources" / "UI" / "Example.ui"
    path.write_text(UI.replace("{extra}", "qMRMLNoSuchWidget"))
    host.loadModule(examplePath)
    with pytest.raises(RuntimeError, match="qMRMLNoSuchWidget"):
        host._loaded[0].enter()


def test_sample_data_comes_from_the_downloader_of_the_module(host, scene, examplePath):
    import SampleData

    host.loadModule(examplePath)
    assert SampleData.downloadSample("ExampleScan") == "ExampleScan"


def test_the_parameter_node_of_a_logic_is_one_per_scene(host, scene, examplePath):
    logic = host.loadModule(examplePath).widget.logic
    node = logic.getParameterNode()
    assert logic.getParameterNode() is node
    assert (node.GetSingletonTag(), node.GetAttribute("ModuleName")) == ("Example", "Example")
    host.closeScene()
    assert logic.getParameterNode().GetScene() is scene


def test_the_self_test_of_a_module_runs(host, scene, examplePath):
    host.loadModule(examplePath).instance.runTest()
    assert host.messages.texts("delay") == ["Test passed"]


def test_an_unloaded_module_takes_its_panel_with_it(host, scene, examplePath, addVolume):
    module = host.loadModule(examplePath)
    label = module.enter().ui.extra
    assert label.text == ""
    module.unload()
    with pytest.raises(RuntimeError, match="already deleted"):
        _ = label.text
    addVolume("CT")


def test_messages_are_recorded_and_questions_need_an_answer(host, scene):
    import slicer

    slicer.util.errorDisplay("It failed.", windowTitle="Segment", detailedText="because")
    with pytest.raises(ValueError), slicer.util.tryWithErrorDisplay("Could not run."):
        raise ValueError("the reason")
    assert host.messages.texts("error") == ["It failed.", "Could not run.\n\nthe reason"]
    assert host.messages[0].detailedText == "because"
    with pytest.raises(AssertionError, match="Install"):
        slicer.util.confirmOkCancelDisplay("Install torch?")
    host.messages.answers.append(False)
    assert slicer.util.confirmOkCancelDisplay("Install torch?") is False


def test_packages_are_asked_for_but_not_installed(scene):
    import slicer

    slicer.util.pip_install("some-package")
    slicer.packaging.pip_ensure(["other-package"], requester="Example")
    assert slicer.packaging.requested == [("pip_install", "some-package"), ("pip_ensure", ["other-package"])]


def test_a_thread_that_runs_on_is_noticed(host, scene):
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, daemon=True)
    thread.start()
    with pytest.raises(AssertionError, match="Threads still run"):
        host.checkNothingRuns(0.05)
    stop.set()
    thread.join()
    host.checkNothingRuns()


def test_a_timer_that_runs_on_is_noticed(host, scene):
    import qt

    timer = qt.QTimer()
    timer.start(20)
    with pytest.raises(AssertionError, match="Timers still run"):
        host.checkNothingRuns()
    timer.stop()
    host.checkNothingRuns()


def test_each_test_starts_with_an_empty_scene(host, scene, addVolume):
    import slicer

    addVolume("CT")
    slicer.app.userSettings().setValue("Example/Key", 1)
    slicer.util.errorDisplay("error")
    host.endTest()
    host.beginTest()
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    assert not slicer.app.userSettings().contains("Example/Key")
    assert host.messages == []


def test_volumes_and_segmentations_are_saved_and_loaded(scene, addVolume, tmp_path):
    import slicer

    volume = addVolume("CT")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.GetSegmentation().AddEmptySegment("a", "liver")
    mask = np.zeros((2, 3, 4), np.uint8)
    mask[1, 1:, 2] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, "a", volume)
    assert slicer.util.saveNode(volume, str(tmp_path / "ct.nrrd"))
    assert slicer.util.saveNode(segmentation, str(tmp_path / "liver.seg.nrrd"))
    loadedVolume = slicer.util.loadVolume(str(tmp_path / "ct.nrrd"))
    loaded = slicer.util.loadSegmentation(str(tmp_path / "liver.seg.nrrd"))
    assert (slicer.util.arrayFromSegmentBinaryLabelmap(loaded, "a", loadedVolume) == mask).all()
    with pytest.raises(RuntimeError, match="Failed to load"):
        slicer.util.loadVolume(str(tmp_path / "missing.nrrd"))

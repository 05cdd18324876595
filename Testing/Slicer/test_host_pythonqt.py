"""The host reproduces what in PythonQt trips up code written for PySide or PyQt."""

from __future__ import annotations

import functools

import pytest


@pytest.fixture
def qt(scene):
    import qt

    return qt


@pytest.fixture
def button(qt):
    return qt.QPushButton("Apply")


def test_properties_are_attributes(button):
    button.text = "Segment"
    button.enabled = False
    assert (button.text, button.enabled, button.isEnabled()) == ("Segment", False, False)


def test_calling_a_property_raises(qt, button):
    for call in (
        lambda: button.text(),
        lambda: button.width(),
        lambda: qt.QSpinBox().value(),
        lambda: qt.QTimer().interval(),
    ):
        with pytest.raises(TypeError, match="not callable"):
            call()


@pytest.mark.parametrize("name", ["texxt", "onClick", "setText", "clicked"])
def test_assigning_what_is_no_property_raises(button, name):
    with pytest.raises(AttributeError, match=name):
        setattr(button, name, 1)


def test_assigning_an_unknown_attribute_of_a_slicer_widget_raises(scene):
    import ctk
    import slicer

    for widget in (slicer.qMRMLNodeComboBox(), slicer.qMRMLSegmentEditorWidget(), ctk.ctkCollapsibleButton()):
        with pytest.raises(AttributeError, match="noneEnable"):
            widget.noneEnable = True


def test_subclasses_in_python_may_have_attributes_of_their_own(qt):
    class Panel(qt.QWidget):
        def __init__(self):
            super().__init__()
            self.logic = 3

    assert Panel().logic == 3


def test_a_property_refuses_a_value_of_another_type(button):
    with pytest.raises(TypeError):
        button.text = 5


@pytest.mark.parametrize("signature", ["clicked", "clicked(int)", "pressed(bool)", "noSuchSignal()"])
def test_connecting_a_signal_that_does_not_exist_raises(button, signature):
    with pytest.raises(RuntimeError, match="does not exist on QPushButton"):
        button.connect(signature, print)


def test_mrml_signals_need_their_mrml_signature(scene):
    import slicer

    box = slicer.qMRMLNodeComboBox()
    assert box.connect("currentNodeChanged( vtkMRMLNode * )", print)
    with pytest.raises(RuntimeError, match="currentNodeChanged"):
        box.connect("currentNodeChanged()", print)


def test_a_slot_gets_no_more_arguments_than_it_declares(button):
    received = []
    button.checkable = True
    button.connect("toggled(bool)", lambda: received.append("none"))
    button.connect("toggled(bool)", lambda checked: received.append(("one", checked)))
    button.connect("toggled(bool)", lambda *arguments: received.append(("all", arguments)))
    button.click()
    assert received == ["none", ("one", True), ("all", (True,))]


def test_a_default_argument_of_a_slot_is_overwritten_by_the_signal(button):
    received = []

    class Panel:
        def onApply(self, quietly="default"):
            received.append(quietly)

    panel = Panel()
    button.connect("clicked(bool)", panel.onApply)
    button.click()
    button.disconnect("clicked(bool)", panel.onApply)
    button.connect("clicked()", panel.onApply)
    button.click()
    assert received == [False, "default"]


def test_a_partial_gets_all_arguments_and_fails_when_it_cannot_take_them(host, button):
    button.connect("clicked(bool)", functools.partial(lambda text: None, "x"))
    button.click()
    [(kind, _)] = host.takeErrors()
    assert kind is TypeError


def test_an_exception_in_a_slot_is_recorded_and_does_not_reach_the_caller(host, button):
    later = []
    button.connect("clicked()", lambda: 1 / 0)
    button.connect("clicked()", lambda: later.append("still called"))
    button.click()
    assert [kind for kind, _ in host.takeErrors()] == [ZeroDivisionError]
    assert later == ["still called"]


def test_an_exception_in_a_vtk_observer_is_recorded(host, scene):
    node = scene.AddNewNodeByClass("vtkMRMLTextNode")
    node.AddObserver("ModifiedEvent", lambda *_: {}["missing"])
    node.SetText("changed")
    assert KeyError in [kind for kind, _ in host.takeErrors()]


def test_disconnected_slots_are_not_called(button):
    received = []
    slot = received.append
    button.connect("clicked(bool)", slot)
    assert button.disconnect("clicked(bool)", slot)
    assert not button.disconnect("clicked(bool)", slot)
    button.click()
    assert received == []


def test_name_is_the_object_name_and_children_are_found_by_class_name(qt):
    panel = qt.QWidget()
    label = qt.QLabel("text", panel)
    label.name = "title"
    assert label.objectName == "title"
    assert panel.findChild("QLabel", "title") is label
    assert panel.findChildren("QLabel") == [label]
    assert panel.findChild("QPushButton", "title") is None


def test_single_shot_is_a_property_of_a_timer_and_a_function_of_its_class(host, qt):
    ticks = []
    timer = qt.QTimer()
    timer.singleShot = True
    timer.interval = 5
    timer.connect("timeout()", lambda: ticks.append("timer"))
    timer.start()
    qt.QTimer.singleShot(0, lambda: ticks.append("function"))
    host.waitUntil(lambda: len(ticks) == 2)
    assert sorted(ticks) == ["function", "timer"]


def test_a_modal_dialog_needs_an_answer_of_the_test(host, qt):
    box = qt.QMessageBox()
    box.text = "Remove everything?"
    with pytest.raises(AssertionError, match="Remove everything"):
        box.exec_()
    host.messages.answers.append(qt.QMessageBox.Yes)
    assert box.exec_() == qt.QMessageBox.Yes
    assert host.messages.texts("dialog") == ["Remove everything?"] * 2

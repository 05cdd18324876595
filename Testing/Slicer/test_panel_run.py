"""The button, the progress and the messages."""

from __future__ import annotations

import pytest
from panel import ScriptedLogic, importable, loadUi


@pytest.fixture
def makePanel(scene):
    """makePanel(logic) -> (panel, widgets, results that the panel passed on)."""
    made = []

    def make(logic):
        ui, holder = loadUi()
        holder.show()
        from DPLSegmentModule.RunPanel import RunPanel

        results = []
        panel = RunPanel(
            ui, logic, lambda: {"device": "cpu"}, lambda prepared, applied: results.append((prepared, applied))
        )
        made.append((panel, holder))
        return panel, ui, results

    yield make
    for panel, holder in made:
        panel.cleanup()
        holder.deleteLater()


def inputError(sentence):
    importable()
    from DPLSegmentLib.errors import InputError

    return InputError(sentence)


def test_the_reason_is_in_the_tooltip_and_nothing_can_be_clicked(makePanel):
    logic = ScriptedLogic()
    panel, ui, _ = makePanel(logic)
    panel.setReason("There is no annotation; paint one.")
    assert not ui.segmentButton.enabled
    assert ui.segmentButton.toolTip == "There is no annotation; paint one."
    ui.segmentButton.click()
    assert not logic.prepared
    panel.setReason("")
    assert ui.segmentButton.enabled
    assert "paint" not in ui.segmentButton.toolTip


def test_progress_is_shown_in_percent_with_the_step(makePanel):
    logic = ScriptedLogic()
    panel, ui, _ = makePanel(logic)
    assert not ui.progressBar.visible and not ui.cancelButton.visible
    ui.segmentButton.click()
    assert logic.prepared == [{"device": "cpu"}]
    assert panel.isRunning and not ui.segmentButton.enabled
    assert ui.progressBar.visible and ui.cancelButton.visible and ui.cancelButton.enabled
    logic.runs[0].tell("onProgress", 0.42, "Encoding slices")
    assert ui.progressBar.value == 42 and ui.progressBar.maximum == 100
    assert ui.stepLabel.text == "Encoding slices"


def test_results_are_passed_on_and_the_button_comes_back(makePanel):
    logic = ScriptedLogic()
    panel, ui, results = makePanel(logic)
    ui.segmentButton.click()
    logic.runs[0].tell("onFinished", ["result"])
    assert [applied for _, applied in results] == [["result"]]
    assert ui.segmentButton.enabled and not ui.progressBar.visible and not ui.cancelButton.visible
    assert not panel.isRunning and not ui.messageLabel.visible


def test_notes_of_the_run_are_shown(makePanel):
    logic = ScriptedLogic()
    _, ui, _ = makePanel(logic)
    ui.segmentButton.click()
    logic.runs[0].notes = ["The GPU has too little free memory; continuing on the CPU.", "One scan failed."]
    logic.runs[0].tell("onFinished", ["result"])
    assert "too little free memory" in ui.messageLabel.text and "One scan failed." in ui.messageLabel.text


def test_cancel_asks_the_run_and_says_that_the_scene_is_unchanged(host, makePanel):
    logic = ScriptedLogic()
    panel, ui, results = makePanel(logic)
    ui.segmentButton.click()
    ui.cancelButton.click()
    assert logic.runs[0].cancelled and not ui.cancelButton.enabled
    assert panel.isRunning  # until the thread has stopped
    logic.runs[0].tell("onCancelled")
    assert ui.segmentButton.enabled and not results
    assert "unchanged" in ui.messageLabel.text
    assert not host.messages.texts("error")


def test_a_failed_run_is_said_on_the_panel_and_aloud(host, makePanel):
    logic = ScriptedLogic()
    _, ui, results = makePanel(logic)
    ui.segmentButton.click()
    logic.runs[0].tell("onFailed", "The memory was not enough for this scan; crop it.")
    assert ui.messageLabel.visible and ui.messageLabel.text == "The memory was not enough for this scan; crop it."
    assert host.messages.texts("error") == ["The memory was not enough for this scan; crop it."]
    assert ui.segmentButton.enabled and not results


def test_unusable_input_is_said_on_the_panel_only(host, makePanel):
    logic = ScriptedLogic(error=inputError("The scan is empty; choose another one."))
    panel, ui, _ = makePanel(logic)
    ui.segmentButton.click()
    assert ui.messageLabel.text == "The scan is empty; choose another one."
    assert not host.messages.texts("error")
    assert not panel.isRunning and ui.segmentButton.enabled and not ui.progressBar.visible
    logic.error = None
    ui.segmentButton.click()
    assert not ui.messageLabel.visible


def test_an_unexpected_error_leaves_a_usable_panel(makePanel):
    panel, ui, _ = makePanel(ScriptedLogic(error=RuntimeError("surprise")))
    ui.segmentButton.click()
    assert "unexpected" in ui.messageLabel.text and "RuntimeError" in ui.messageLabel.text
    assert not panel.isRunning and ui.segmentButton.enabled


def test_a_second_click_while_the_first_is_being_prepared_does_nothing(makePanel):
    logic = ScriptedLogic()
    panel, ui, _ = makePanel(logic)
    prepare = logic.prepareJob

    def prepareWithQuestions(**inputs):
        # Installing PyTorch shows dialogs, and meanwhile the panel stays alive.
        panel.setReason("")
        assert not ui.segmentButton.enabled
        panel.segment()
        return prepare(**inputs)

    logic.prepareJob = prepareWithQuestions
    ui.segmentButton.click()
    assert len(logic.prepared) == len(logic.runs) == 1


def test_a_panel_that_goes_away_abandons_its_run(host, scene):
    logic = ScriptedLogic()
    ui, holder = loadUi()
    from DPLSegmentModule.RunPanel import RunPanel

    panel = RunPanel(ui, logic, dict, lambda *_: None)
    ui.segmentButton.click()
    panel.cleanup()
    assert logic.runs[0].abandoned
    holder.deleteLater()

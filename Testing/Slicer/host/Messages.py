"""What the module would have shown to the user: recorded instead of shown, with the answers a test has chosen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """kind: "info", "warning", "error", "confirm", "message", "delay", "status" or "dialog"."""

    kind: str
    text: str
    windowTitle: str = ""
    detailedText: str = ""


class Messages(list):
    """A list of `Message`. A dialog that waits for an answer takes it from `answers`; without one it is an error.

    answers: queue of what the user will answer, in order: True or False for a confirmation, a Qt button for others.
    """

    def __init__(self):
        super().__init__()
        self.answers = []

    def texts(self, kind: str | None = None) -> list[str]:
        return [message.text for message in self if kind in (None, message.kind)]

    def clear(self) -> None:
        super().clear()
        self.answers.clear()

    def record(self, kind: str, text, windowTitle=None, detailedText=None, **_options) -> None:
        self.append(Message(kind, str(text), windowTitle or "", detailedText or ""))

    def answer(self, question: str):
        if not self.answers:
            raise AssertionError(f"The module asks the user, and the test gave no answer: {question}")
        return self.answers.pop(0)

    def install(self) -> None:
        """Replaces the display functions of slicer.util and modal dialogs."""
        import qt
        import slicer

        from . import PythonQt

        def display(kind):
            return lambda text, windowTitle=None, parent=None, standardButtons=None, **options: self.record(
                kind, text, windowTitle, **options
            )

        def confirm(text, windowTitle=None, parent=None, **options):
            self.record("confirm", text, windowTitle, **options)
            return bool(self.answer(text))

        def messageBox(text, parent=None, **options):
            self.record("message", text, **options)
            return self.answers.pop(0) if self.answers else qt.QMessageBox.Ok

        def showDialog(dialog):
            text = dialog.text if isinstance(dialog, qt.QMessageBox) else dialog.windowTitle
            self.record("dialog", text, dialog.windowTitle)
            return self.answer(text)

        def staticBox(parent, title, text, *_buttons):
            self.record("dialog", text, title)
            return self.answer(text)

        def delayDisplay(message, autoCloseMsec=1000, parent=None, **_options):
            self.record("delay", message)
            slicer.app.processEvents()

        def showStatusMessage(message, duration=0):
            self.record("status", message)
            return True

        slicer.util.infoDisplay = display("info")
        slicer.util.warningDisplay = display("warning")
        slicer.util.errorDisplay = display("error")
        for name in ("OkCancel", "YesNo", "RetryClose"):
            setattr(slicer.util, f"confirm{name}Display", confirm)
        slicer.util.messageBox = messageBox
        slicer.util.delayDisplay = delayDisplay
        slicer.util.showStatusMessage = showStatusMessage
        for name in ("information", "question", "warning", "critical"):
            setattr(qt.QMessageBox, name, staticmethod(staticBox))
        PythonQt.modalHandler = showDialog

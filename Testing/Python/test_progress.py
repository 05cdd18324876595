from __future__ import annotations

from DPLSegmentLib.progress import ProgressDisplay


class Screen:
    def __init__(self, terminal: bool) -> None:
        self.text, self._terminal = "", terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_progress_is_one_redrawn_line_on_a_terminal_and_a_few_lines_elsewhere():
    screen, log = Screen(True), Screen(False)
    for display in (ProgressDisplay(screen), ProgressDisplay(log)):
        for step in range(101):
            display(step / 100, f"slice {step}")
        display.close()
    assert screen.text.count("\n") == 1 and "100%" in screen.text and "\r" in screen.text
    assert 8 <= log.text.count("\n") <= 12 and "\r" not in log.text and "100% slice 100" in log.text

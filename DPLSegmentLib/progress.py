"""Showing progress: a bar that redraws itself on a terminal, plain lines anywhere else."""

from __future__ import annotations

import re
import shutil
import time
from typing import TextIO

_BAR = 28
_REDRAW_SECONDS = 0.1
_LINE_STEP = 0.1


class ProgressDisplay:
    """A ``progress(fraction, message)`` callback that writes to ``stream``; :meth:`close` ends the bar's
    line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._drawn_at = float("-inf")
        self._bar_open = False
        self._line: tuple[str, float] | None = None

    def __call__(self, fraction: float, message: str) -> None:
        """Show that ``fraction`` (0 to 1) of the job is done and ``message`` is under way."""
        fraction = min(max(fraction, 0.0), 1.0)
        if self._terminal:
            self._draw(fraction, message)
        else:
            self._print(fraction, message)

    def note(self, sentence: str) -> None:
        """Show a sentence on a line of its own."""
        self.close()
        self._stream.write(f"{sentence}\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave the cursor on a fresh line."""
        if self._bar_open:
            self._stream.write("\n")
            self._stream.flush()
            self._bar_open = False

    def _draw(self, fraction: float, message: str) -> None:
        now = time.monotonic()
        if fraction < 1 and now - self._drawn_at < _REDRAW_SECONDS:
            return
        self._drawn_at, self._bar_open = now, True
        filled = round(fraction * _BAR)
        line = f"[{'#' * filled}{'.' * (_BAR - filled)}] {fraction:4.0%} {message}"
        width = shutil.get_terminal_size().columns - 1
        self._stream.write("\r" + line[:width].ljust(width))
        self._stream.flush()

    def _print(self, fraction: float, message: str) -> None:
        # A log needs one line per step of the work, not one per slice.
        step = re.sub(r"\d+", "", message)
        if self._line == (step, fraction):
            return
        if self._line and self._line[0] == step and fraction < 1 and fraction - self._line[1] < _LINE_STEP:
            return
        self._line = (step, fraction)
        self._stream.write(f"{fraction:4.0%} {message}\n")
        self._stream.flush()

"""What a training run writes down: a CSV row an update, TensorBoard where it is installed, progress with time left."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..progress import ProgressDisplay

LINE_SECONDS = 30.0


class TrainingLog:
    """CSV file ``log.csv`` (columns fixed at the start) and folder ``tensorboard`` in a run's output folder.

    A resumed run goes on after update ``update``: later rows, of what was lost when the run stopped, are taken out.
    """

    def __init__(self, output: Path, columns: Sequence[str], update: int = 0) -> None:
        self._path = output / "log.csv"
        self._columns = ["update", *columns, "minutes"]
        self._rewind(update)
        self._stream = self._path.open("a", newline="")
        self._writer = csv.writer(self._stream)
        if self._path.stat().st_size == 0:
            self._writer.writerow(self._columns)
            self._stream.flush()
        self.note: str | None = None  # what the user should know
        self._board = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(output / "tensorboard"), purge_step=update + 1 if update else None)
        except ImportError:
            self.note = "TensorBoard is not installed, so log.csv alone is written."

    def _rewind(self, update: int) -> None:
        if not self._path.exists():
            return
        with self._path.open(newline="") as stream:
            rows = list(csv.reader(stream))
        kept = rows[:1] + [row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) <= update]
        if not update or rows[:1] != [self._columns]:
            kept = []
        temporary = self._path.with_suffix(".part")
        with temporary.open("w", newline="") as stream:
            csv.writer(stream).writerows(kept)
        temporary.replace(self._path)

    def write(self, update: int, values: Mapping[str, float], minutes: float) -> None:
        """One update's figures; columns without a figure stay empty."""
        shown = [f"{values[name]:.6f}" if name in values else "" for name in self._columns[1:-1]]
        self._writer.writerow([update, *shown, f"{minutes:.2f}"])
        self._stream.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, update)

    def close(self) -> None:
        """Flush and close the files."""
        self._stream.close()
        if self._board is not None:
            self._board.close()


class Progress:
    """Shows how far training is: a bar on a terminal, a line every half minute elsewhere."""

    def __init__(self, total: int, done: int = 0, quiet: bool = False) -> None:
        self.total, self._first, self._started, self._said = total, done, time.monotonic(), float("-inf")
        self._quiet = quiet
        self._bar = ProgressDisplay(sys.stderr) if sys.stderr.isatty() and not quiet else None

    @property
    def minutes(self) -> float:
        """Since this process began to train."""
        return (time.monotonic() - self._started) / 60

    def show(self, update: int, loss: float) -> None:
        """Say that ``update`` updates are done."""
        left = self.minutes / max(1, update - self._first) * (self.total - update)
        text = f"update {update} of {self.total}, loss {loss:.3f}, {_duration(left)} left"
        if self._bar is not None:
            self._bar(update / self.total, text)
        elif not self._quiet and (time.monotonic() - self._said > LINE_SECONDS or update == self.total):
            self._said = time.monotonic()
            print(text, flush=True)

    def note(self, sentence: str) -> None:
        """Show a sentence on a line of its own."""
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.note(sentence)
        else:
            print(sentence, flush=True)

    def close(self) -> None:
        """Leave the cursor on a fresh line."""
        if self._bar is not None:
            self._bar.close()


def _duration(minutes: float) -> str:
    if minutes < 2:
        return f"{minutes * 60:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"

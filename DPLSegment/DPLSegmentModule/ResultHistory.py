"""Undo of results: one step per run."""

from __future__ import annotations

from collections.abc import Sequence

import slicer

from DPLSegmentModule.ResultWriter import AppliedResult, undoChanges

LARGEST_NUMBER_OF_STEPS = 10


class ResultHistory:
    """Takes back the latest runs, the last one first.

    Only what a run wrote is taken back: what the user has changed in other segments since then stays.
    """

    def __init__(self) -> None:
        self._steps: list[list[AppliedResult]] = []

    def add(self, applied: Sequence[AppliedResult]) -> None:
        """Remember the results of one run, just applied."""
        if applied:
            self._steps.append(list(applied))
            del self._steps[:-LARGEST_NUMBER_OF_STEPS]

    def canUndo(self) -> bool:
        """Whether there is a run of which something is still in the scene."""
        while self._steps and not any(
            changes.steps and changes.isPossible for result in self._steps[-1] for changes in result.changes
        ):
            self._steps.pop()
        return bool(self._steps)

    def undo(self) -> bool:
        """Take back the latest run; nodes that are gone are passed over. Returns whether there was one."""
        if not self.canUndo():
            return False
        with slicer.util.RenderBlocker():
            undoChanges(self._steps.pop())
        return True

    def clear(self) -> None:
        """Forget everything; for when the scene is closed."""
        self._steps.clear()

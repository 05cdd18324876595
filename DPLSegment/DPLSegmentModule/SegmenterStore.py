"""Keeps the loaded network between two clicks, with the scans it has encoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from DPLSegmentModule.SegmentationJob import RunOptions


class SegmenterStore:
    """At most one segmenter, made when it is first asked for. One run at a time may use it."""

    def __init__(self, load: Callable[[RunOptions], Any]) -> None:
        self._load = load
        self._key: tuple | None = None
        self._segmenter: Any = None

    def get(self, options: RunOptions) -> Any:
        """The segmenter for these options: the one of the last run if they are the same. May be called in the thread
        of a run. Raises InputError as the loader does."""
        key = (options.device, options.weightsPath, options.variants, options.seed)
        if self._segmenter is None or key != self._key:
            self._segmenter = None  # two networks at once would need twice the memory
            self._segmenter, self._key = self._load(options), key
        return self._segmenter

    def drop(self) -> None:
        """Forget the segmenter and its scans."""
        self._segmenter = self._key = None

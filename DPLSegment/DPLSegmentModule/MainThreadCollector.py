"""Keeps Python's cyclic garbage collection on the main thread while another thread computes."""

from __future__ import annotations

import gc


class MainThreadCollector:
    """Between :meth:`start` and :meth:`stop` garbage is collected only by :meth:`collect`.

    By itself Python collects in whichever thread happens to allocate the object too many. That may be the worker, and
    the garbage may be somebody's widget or MRML node, which must be destroyed on the main thread.
    """

    def __init__(self) -> None:
        self._isActive = False

    def start(self) -> None:
        """Switch automatic collection off, if it is on."""
        self._isActive = gc.isenabled()
        if self._isActive:
            gc.disable()

    def collect(self) -> None:
        """Collect what Python would have collected by now; called on the main thread, often."""
        if not self._isActive:
            return
        counts, thresholds = gc.get_count(), gc.get_threshold()
        for generation in (1, 0):  # not the oldest: that takes long, and a run is short
            if counts[generation] > thresholds[generation] > 0:
                gc.collect(generation)
                return

    def stop(self) -> None:
        """Back to automatic collection."""
        if self._isActive:
            gc.enable()
            self._isActive = False

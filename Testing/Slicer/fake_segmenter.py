"""A segmenter that computes nothing, for tests of the control flow: how long it takes and how it ends can be chosen."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np


class FakeSegmenter:
    """Behaves like DPLSegmentLib.OneShotSegmenter; every query's result is the annotation itself.

    ``seconds``: how long one query takes. ``error``: raised halfway. ``stubborn``: never asks whether it should stop.
    ``note``: told through ``message``, as a fall-back to the CPU is.
    """

    def __init__(self, seconds=0.0, error=None, stubborn=False, note=""):
        self.seconds, self.error, self.stubborn, self.note = seconds, error, stubborn, note
        self.message = None
        self.options = []
        self.threads = set()
        self.queries = []

    def load(self, options):
        """The segmenter factory."""
        self.options.append(options)
        self.threads.add(threading.current_thread())
        return self

    def set_support(self, volume, labels, *, progress=None, should_cancel=None):
        self.support, self.masks = volume, labels
        progress(1.0, "support ready")

    def segment(self, query=None, *, progress=None, should_cancel=None):
        from DPLSegmentLib.errors import stop_if

        self.threads.add(threading.current_thread())
        self.queries.append(query)
        start = time.monotonic()
        while (elapsed := time.monotonic() - start) < self.seconds:
            if not self.stubborn:
                stop_if(should_cancel)
            progress(elapsed / self.seconds, f"after {elapsed:.3f} s")
            time.sleep(0.002)
        if self.note:
            self.message(self.note)
        if self.error is not None:
            raise self.error
        progress(1.0, "done")
        array = (self.support if query is None else query).array
        masks = {n: np.broadcast_to(mask.any(axis=0), array.shape).copy() for n, mask in self.masks.items()}
        report = {
            "labels": {
                str(n): {"voxels": int(mask.sum()), "volume_ml": 1.0, "annotated_slices": [0]}
                for n, mask in masks.items()
            },
            "slice_axis": 2,
            "device": "cpu",
            "torch": "none",
            "seed": 0,
            "seconds": {"total": self.seconds},
        }
        uncertainty = np.full(array.shape, 0.25, np.float32)
        doubts = SimpleNamespace(of=lambda n: np.full(array.shape, n / 10, np.float32))
        return SimpleNamespace(
            mask=masks.__getitem__, labels=None, uncertainty=uncertainty, report=report, doubts=doubts
        )

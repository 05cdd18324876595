"""Loads networks from the library, once PyTorch is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from DPLSegmentModule.Dependencies import TorchDependency
from DPLSegmentModule.SegmentationJob import RunOptions


def libraryLoader(dependencies: TorchDependency) -> Callable[[RunOptions], Any]:
    """Loads networks; for the thread of a run, which must not keep the logic and its nodes alive."""

    def load(options: RunOptions) -> Any:
        dependencies.load()
        from DPLSegmentLib.segmenter import OneShotSegmenter

        return OneShotSegmenter.load(
            device=options.device, weights=options.weightsPath, seed=options.seed, variants=options.variants
        )

    return load

"""One-shot segmentation of medical scans: annotate one slice, get the whole scan segmented.

Importing the package does not import torch; the segmenter does, when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import Cancelled, InputError
from .geometry import Volume
from .version import __version__

if TYPE_CHECKING:
    from .segmenter import OneShotSegmenter, SegmentationResult

__all__ = ["Cancelled", "InputError", "OneShotSegmenter", "SegmentationResult", "Volume", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("OneShotSegmenter", "SegmentationResult"):
        from . import segmenter

        return getattr(segmenter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

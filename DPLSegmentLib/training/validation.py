"""Validation while training: one annotated slice, the rest of the same scan, by the very code that users run.

Held-out generated bodies are always there. Labelled scans that a user gives with ``--validation`` decide which averaged
weights are kept as the best; they are then no test data any more, and figures to be reported come from other scans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..checkpoint import WeightsInfo
from ..errors import InputError
from ..geometry import Volume
from ..model import DPLModel, ModelConfig
from ..quiet import native_messages_hidden
from ..reading import read_annotation, read_volume
from ..segmenter import OneShotSegmenter
from ..synthetic import generate_scan
from .configs import Grid
from .prepare import natural_frame
from .scan_files import find_scans

FIRST_SEED = 900_000  # far from those that training bodies are made of
MOST_ORGANS = 8  # of a generated body
MIN_SLICES = 3
MIN_VOXELS = 100


@dataclass(frozen=True, eq=False)
class ValidationScan:
    """A scan, its true masks (k, j, i) by label, and the slice axis."""

    volume: Volume
    masks: dict[int, np.ndarray]
    slice_axis: int


def generated_scans(count: int, grid: Grid) -> list[ValidationScan]:
    """Held-out bodies of a shape and spacing, in CT-like, T2-like and T1-like looks by turns."""
    found = []
    for n in range(count):
        scan = generate_scan(FIRST_SEED + n, *grid, ("ct", "t2", "t1")[n % 3])
        masks = {label: scan.labels == label for label in scan.organs[:MOST_ORGANS]}
        found.append(ValidationScan(scan.volume, masks, 2))
    return found


def labelled_scans(folder: Path, limit: int = 6) -> list[ValidationScan]:
    """The first scans below a folder that have a label map beside them.

    Raises InputError if there are none, or if they cannot be read.
    """
    found = []
    for scan in find_scans([folder]):
        if scan.labels is None or len(found) >= limit:
            continue
        with native_messages_hidden():
            volume = read_volume(scan.path)
            masks, _ = read_annotation(scan.labels, volume)
        axis = natural_frame(volume).slice_axis
        kept = {v: m for v, m in masks.items() if m.sum() >= MIN_VOXELS and len(_slices(m, axis)) >= MIN_SLICES}
        if kept:
            found.append(ValidationScan(volume, kept, axis))
    if not found:
        raise InputError(f"The validation folder '{folder}' holds no scan with a label map beside it.")
    return found


def _slices(mask: np.ndarray, slice_axis: int) -> np.ndarray:
    return np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != 2 - slice_axis)))


def one_slice_dice(model: DPLModel, device: torch.device, scans: Sequence[ValidationScan]) -> float:
    """Mean over scans of the mean over labels of the 3-D Dice without the annotated slice, in [0, 1].

    Each label is annotated on its largest slice.
    """
    model.eval()
    segmenter = OneShotSegmenter(model, WeightsInfo("weights in training", "", None, 0), device)
    figures = []
    for scan in scans:
        axis = 2 - scan.slice_axis
        annotated, places = {}, {}
        for label, mask in scan.masks.items():
            areas = mask.sum(axis=tuple(a for a in range(3) if a != axis))
            places[label] = int(areas.argmax())
            where = [slice(None)] * 3
            where[axis] = places[label]
            annotated[label] = np.zeros_like(mask)
            annotated[label][tuple(where)] = mask[tuple(where)]
        segmenter.set_support(scan.volume, annotated, slice_axis=scan.slice_axis)
        result = segmenter.segment()
        dices = []
        for label, mask in scan.masks.items():
            truth, found = (np.delete(m, places[label], axis=axis) for m in (mask, result.mask(label)))
            dices.append(2.0 * (truth & found).sum() / max(1, truth.sum() + found.sum()))
        figures.append(float(np.mean(dices)))
        segmenter.clear_cache()
    return float(np.mean(figures))


class Validation:
    """Figures of averaged weights: ``synthetic`` always, ``real`` where labelled scans were given."""

    def __init__(self, bodies: int, grid: Grid, folder: Path | None = None) -> None:
        self._scans = {"synthetic": generated_scans(bodies, grid)} if bodies else {}
        if folder is not None:
            self._scans["real"] = labelled_scans(folder)

    @property
    def decides(self) -> str:
        """Which of the figures chooses the best weights."""
        return "real" if "real" in self._scans else "synthetic"

    def __call__(self, config: ModelConfig, average: dict[str, Tensor], device: torch.device) -> dict[str, float]:
        """Figures of weights ``average`` by name."""
        model = DPLModel(config)
        model.load_state_dict(average)
        return {name: one_slice_dice(model.to(device), device, scans) for name, scans in self._scans.items()}

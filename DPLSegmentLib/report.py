"""Facts about a result, for people and for JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .annotation import Annotation
from .scan import PreparedScan
from .version import __version__


def make_report(
    scan: PreparedScan,
    mask_of: Callable[[int], np.ndarray],
    uncertainty_of: Callable[[int], np.ndarray],
    annotation: Annotation,
    same_scan: bool,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Per label: voxels, volume in ml, slices, mean uncertainty and the least certain slice (volume's own indices);
    ``mask_of(label)`` is the label's (k, j, i) mask, ``uncertainty_of(label)`` the uncertainty about it alone."""
    axis = 2 - scan.frame.slice_axis
    voxel_ml = float(abs(np.linalg.det(scan.volume.ijk_to_world[:3, :3]))) / 1000.0
    entries = {}
    for label in annotation.masks:
        mask = mask_of(label)
        area = mask.sum(axis=tuple(a for a in range(3) if a != axis))
        slices = np.flatnonzero(area)
        total = int(area.sum())
        entry: dict[str, Any] = {
            "voxels": total,
            "volume_ml": total * voxel_ml,
            "annotated_slices": list(annotation.slices[label]),
        }
        if total:
            # Slice by slice: no copy of a large volume for every label.
            values, inside = (np.moveaxis(array, axis, 0) for array in (uncertainty_of(label), mask))
            sums = np.array([values[index][inside[index]].sum(dtype=float) for index in slices])
            mean = sums / area[slices]
            entry |= {
                "first_slice": int(slices[0]),
                "last_slice": int(slices[-1]),
                "mean_uncertainty": float(sums.sum() / total),
                "least_certain_slice": int(slices[int(mean.argmax())]),
            }
        entries[str(label)] = entry
    return {
        "version": __version__,
        "torch": torch.__version__,
        "same_scan": same_scan,
        "slice_axis": scan.frame.slice_axis,
        "labels": entries,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }

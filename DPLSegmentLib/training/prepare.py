"""From a scan of any modality to a training scan: canonical slices, small pixels, pseudo-objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional as F

from ..errors import InputError
from ..geometry import SliceFrame, Volume, slice_frame, world_axes
from ..preprocessing import intensity_map
from .modality import (
    AIR_THRESHOLD,
    body_mask,
    clipped_hu,
    faint_body_mask,
    is_hounsfield,
    tissue_contrast,
)
from .objects import DEFAULT_LEVELS, FAINT_LEVELS, pseudo_objects
from .training_scan import TrainingScan, coarsened

MAX_SIZE = 256  # pixels along the longer in-plane side, as in the network
THINNEST_MM = 1.5  # thinner slices are averaged: episodes show 2.5 mm and more
FEWEST_SLICES = 5
_ANISOTROPIC = 1.4  # a spacing this much larger than the others says which axis the slices were taken along


def natural_frame(volume: Volume) -> SliceFrame:
    """The frame of the slices as they were acquired: along the coarsest axis, or axial where none stands out."""
    spacing = volume.spacing
    coarsest = int(np.argmax(spacing))
    others = np.delete(spacing, coarsest).max()
    axial = world_axes(volume).index(2)
    return slice_frame(volume, coarsest if spacing[coarsest] > _ANISOTROPIC * others else axial)


def prepare_scan(
    volume: Volume,
    name: str,
    labels: Mapping[int, np.ndarray] | None = None,
    label_names: Sequence[str] = (),
    hu_offset: float | None = None,
    max_size: int = MAX_SIZE,
) -> TrainingScan:
    """Crop a scan to the body, make its pixels square and at most ``max_size`` a side, find its pseudo-objects.

    Args:
        volume: a valid scan of any modality.
        name: what the scan is called in the cache.
        labels: masks (k, j, i) by value 1..255, kept as genuine structures.
        label_names: of the values 1, 2, ...
        hu_offset: what to add to the stored values to get HU (the scan is then taken for a CT); None: a CT in HU is
            recognised, anything else is treated like MR.
        max_size: pixels along the longer in-plane side.

    Raises:
        InputError: a scan of too few slices, or without a body.
    """
    found = prepare_parts(volume, name, labels, label_names, hu_offset, max_size)
    return found[0]


def prepare_parts(
    volume: Volume,
    name: str,
    labels: Mapping[int, np.ndarray] | None = None,
    label_names: Sequence[str] = (),
    hu_offset: float | None = None,
    max_size: int = MAX_SIZE,
    drop: np.ndarray | None = None,
) -> list[TrainingScan]:
    """As ``prepare_scan``, without the slices on which ``drop`` (k, j, i) bool is anywhere true.

    What is left of the scan above and below them becomes scans of their own; they are cut before anything is computed,
    so that nothing of a dropped slice gets into training. May be empty if too little is left.
    """
    frame = natural_frame(volume)
    array = frame.apply(volume.array)
    truth = np.zeros(array.shape, np.uint8)
    for value, mask in (labels or {}).items():
        truth[frame.apply(mask)] = value
    if drop is None:
        runs = [slice(0, len(array))]
        if len(array) < FEWEST_SLICES:
            raise InputError(f"The scan '{name}' has {len(array)} slices; training needs {FEWEST_SLICES} or more.")
    else:
        runs = kept_runs(~frame.apply(drop).any(axis=(1, 2)))
    hounsfield = hu_offset is not None or is_hounsfield(array)
    parts = []
    for number, run in enumerate(runs):
        part_name = name if drop is None else f"{name}_part{number + 1}"
        image = clipped_hu(array[run], hu_offset or 0.0) if hounsfield else array[run].astype(np.float32)
        parts.append(_prepare(image, truth[run], frame.spacing, part_name, tuple(label_names), hounsfield, max_size))
    return parts


def kept_runs(keep: np.ndarray) -> list[slice]:
    """Runs of at least ``FEWEST_SLICES`` true values of a boolean line (n,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a >= FEWEST_SLICES]


def _prepare(
    image: np.ndarray,
    truth: np.ndarray,
    spacing: tuple[float, float, float],
    name: str,
    label_names: tuple[str, ...],
    hounsfield: bool,
    max_size: int,
) -> TrainingScan:
    image, truth, slice_mm = _thicker(image, truth, spacing[0])
    box = _bounding_box(_body(image, (slice_mm, *spacing[1:]), hounsfield), margin=(0, 4, 4))
    image, truth = image[box], truth[box]
    image, truth, pixel = _resized(image, truth, spacing[1:], max_size)
    spacing = (slice_mm, pixel, pixel)
    body = _body(image, spacing, hounsfield)
    levels = DEFAULT_LEVELS if hounsfield else FAINT_LEVELS
    found = pseudo_objects(tissue_contrast(image, hounsfield), spacing, body, levels)
    regions, groups, objects = coarsened(found.regions, found.groups, found.objects)
    return TrainingScan(
        name=name,
        kind="scan",
        image=np.round(255.0 * intensity_map(image)(image)).astype(np.uint8),
        spacing=np.asarray(spacing, np.float32),
        regions=regions,
        groups=groups,
        objects=objects,
        labels=truth if truth.any() else truth[:0],
        label_names=label_names,
    )


def _body(image: np.ndarray, spacing: tuple[float, float, float], hounsfield: bool) -> np.ndarray:
    return body_mask(image, AIR_THRESHOLD) if hounsfield else faint_body_mask(image, spacing)


def _thicker(image: np.ndarray, truth: np.ndarray, slice_mm: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Average neighbouring slices that are thinner than ``THINNEST_MM``; the labels are those of the middle one."""
    count = int(THINNEST_MM / slice_mm + 1e-6)
    if count < 2 or len(image) < count * FEWEST_SLICES:
        return image, truth, slice_mm
    whole = len(image) // count * count
    stacked = image[:whole].reshape(-1, count, *image.shape[1:])
    return stacked.mean(axis=1, dtype=np.float32), truth[count // 2 : whole : count], slice_mm * count


def _bounding_box(mask: np.ndarray, margin: Sequence[int]) -> tuple[slice, slice, slice]:
    box = []
    for axis in range(3):
        line = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(max(int(line[0]) - margin[axis], 0), min(int(line[-1]) + 1 + margin[axis], mask.shape[axis])))
    return box[0], box[1], box[2]


def _resized(
    image: np.ndarray, truth: np.ndarray, spacing: tuple[float, float], max_size: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Square pixels, never smaller than the scan's own finer ones, at most ``max_size`` along the longer side."""
    rows, columns = image.shape[1:]
    extent = (rows * spacing[0], columns * spacing[1])
    pixel = max(max(extent) / max_size, min(spacing))
    size = (max(1, round(extent[0] / pixel)), max(1, round(extent[1] / pixel)))
    if size == (rows, columns):
        return image, truth, pixel
    stack = torch.from_numpy(np.ascontiguousarray(image))[:, None]
    image = F.interpolate(stack, size=size, mode="bilinear", align_corners=False, antialias=True)[:, 0].numpy()
    marks = torch.from_numpy(np.ascontiguousarray(truth))[:, None].float()
    return image, F.interpolate(marks, size=size, mode="nearest-exact")[:, 0].byte().numpy(), pixel

"""What an annotation means: which label is annotated on which slices.

A label counts as annotated on exactly the slices where it has voxels; on those slices every other voxel is
background for it. Labels may lie on different slices, on several slices, and may overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .errors import InputError
from .geometry import Volume, world_axes

LARGEST_LABEL = 65535


@dataclass(frozen=True, eq=False)
class Annotation:
    """Masks and annotated slices of each label.

    ``masks``: label value -> bool (k, j, i); ``slice_axis``: IJK axis (0 = i, 1 = j, 2 = k); ``slices``:
    label value -> increasing indices along that axis on which the label is annotated.
    """

    masks: dict[int, np.ndarray]
    slice_axis: int
    slices: dict[int, tuple[int, ...]]

    def overlaps(self) -> dict[int, frozenset[int]]:
        """Which other labels share voxels with each label: a tumour drawn inside its liver stays inside it."""
        found: dict[int, set[int]] = {value: set() for value in self.masks}
        planes = {
            value: {index: mask.take(index, axis=2 - self.slice_axis) for index in self.slices[value]}
            for value, mask in self.masks.items()
        }
        values = sorted(planes)
        for n, one in enumerate(values):
            for other in values[n + 1 :]:
                common = planes[one].keys() & planes[other].keys()
                if any((planes[one][index] & planes[other][index]).any() for index in common):
                    found[one].add(other)
                    found[other].add(one)
        return {value: frozenset(others) for value, others in found.items()}


def interpret_annotation(
    labels: np.ndarray | Mapping[int, np.ndarray],
    volume: Volume,
    slice_axis: int | None = None,
    slice_index: int | None = None,
) -> Annotation:
    """Read an annotation drawn on ``volume``.

    ``labels`` is a label map (k, j, i) of whole numbers (0 = background), or one (k, j, i) mask per label,
    which may overlap. Without ``slice_axis`` (IJK) it is the axis on which the labels lie on fewest slices;
    ties go to the coarsest spacing, then to S before A before R. With ``slice_index`` (along that axis, in
    the volume's own order) only that slice counts as annotated. Raises InputError for an empty annotation,
    another shape than the volume's, impossible label values, or an axis or slice that does not exist.
    """
    masks = _masks(labels, volume.array.shape)
    if slice_axis is None:
        slice_axis = _find_slice_axis(masks, volume)
    elif slice_axis not in (0, 1, 2):
        raise InputError(f"The slice axis is {slice_axis}; it must be 0, 1 or 2 (the i, j or k axis of the scan).")
    if slice_index is not None:
        masks = _restrict(masks, slice_axis, slice_index, volume.shape_ijk[slice_axis])
    slices = {value: _occupied(mask, slice_axis) for value, mask in masks.items()}
    return Annotation(masks, int(slice_axis), slices)


def split_labels(labels: np.ndarray) -> dict[int, np.ndarray]:
    """Label map of whole numbers from 0 to 65535 -> one bool mask per label, by increasing value.

    Floating label maps are accepted when every voxel is whole. Raises InputError otherwise.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "biuf":
        raise InputError(f"The annotation has voxels of type {labels.dtype}; give whole numbers.")
    # Annotations are sparse: sorting only their foreground is what keeps this fast on large scans.
    values = np.unique(labels[labels != 0])
    if labels.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.round(values)).all()):
        raise InputError("The annotation has values that are not whole numbers; give a label map, not a grey image.")
    if len(values) and values[0] < 0:
        raise InputError(f"The annotation has the negative label {int(values[0])}; label values start at 1.")
    if len(values) and values[-1] > LARGEST_LABEL:
        raise InputError(f"The annotation has the label {int(values[-1])}; values up to {LARGEST_LABEL} are allowed.")
    return {int(value): labels == value for value in values}


def _masks(labels: np.ndarray | Mapping[int, np.ndarray], shape: tuple[int, ...]) -> dict[int, np.ndarray]:
    given = labels if isinstance(labels, Mapping) else {0: np.asarray(labels)}
    for part in given.values():
        if np.shape(part) != tuple(shape):
            raise InputError(
                f"The annotation has the size {_size(np.shape(part))} but its scan has {_size(shape)}; "
                "annotate that scan itself."
            )
    if isinstance(labels, Mapping):
        for value in labels:
            if not 0 < int(value) <= LARGEST_LABEL or int(value) != value:
                raise InputError(f"The label value {value} is not a whole number from 1 to {LARGEST_LABEL}.")
        masks = {int(value): np.asarray(mask) != 0 for value, mask in sorted(labels.items())}
        masks = {value: mask for value, mask in masks.items() if mask.any()}
    else:
        masks = split_labels(given[0])
    if not masks:
        raise InputError("The annotation is empty; mark each structure on at least one slice.")
    return masks


def _find_slice_axis(masks: Mapping[int, np.ndarray], volume: Volume) -> int:
    counts = [sum(len(_occupied(mask, axis)) for mask in masks.values()) for axis in range(3)]
    # Spacings are compared with a tolerance because files round them.
    steps = np.round(np.log(volume.spacing), 3)
    world = world_axes(volume)
    return min(range(3), key=lambda axis: (counts[axis], -steps[axis], -world[axis]))


def _restrict(masks: Mapping[int, np.ndarray], slice_axis: int, index: int, count: int) -> dict[int, np.ndarray]:
    if not 0 <= index < count:
        raise InputError(f"The annotated slice {index} does not exist; the scan has slices 0 to {count - 1}.")
    chosen = [slice(None)] * 3
    chosen[2 - slice_axis] = slice(index, index + 1)
    kept = {}
    for value, mask in masks.items():
        if mask[tuple(chosen)].any():
            kept[value] = np.zeros_like(mask)
            kept[value][tuple(chosen)] = mask[tuple(chosen)]
    if not kept:
        raise InputError(f"The annotation is empty on slice {index}; choose the slice that was annotated.")
    return kept


def _occupied(mask: np.ndarray, ijk_axis: int) -> tuple[int, ...]:
    others = tuple(axis for axis in range(3) if axis != 2 - ijk_axis)
    return tuple(int(index) for index in np.flatnonzero(mask.any(axis=others)))


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(count) for count in reversed(shape))

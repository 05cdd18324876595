"""A picture of a segmentation: grey slices with coloured outlines, as one PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .annotation import Annotation
from .errors import InputError
from .geometry import SliceFrame, Volume
from .pending import PendingFiles
from .preprocessing import intensity_map
from .segments import Segment, completed

_COLUMNS, _ROWS = 4, 2
_PANEL = 320  # pixels along the longer side of a slice
_GAP = 4
_FILL = 0.55


def write_picture(
    path: str | Path,
    volume: Volume,
    frame: SliceFrame,
    annotation: Annotation,
    labels: np.ndarray,
    segments: Sequence[Segment],
    pending: PendingFiles | None = None,
) -> None:
    """Write eight slices of ``volume`` as a PNG: the annotation filled in on its slice, then the result
    outlined.

    Grey values are those the network sees, so that soft tissue shows in a CT without choosing a window.
    ``labels`` is (k, j, i) on the volume's grid; ``frame`` is the volume's frame for the annotation's slice
    axis. The first panel is the slice with the largest annotated area, the others are spread evenly over the
    segmented slices. Raises InputError when the file cannot be written.
    """
    colors = _colors(segments, labels, annotation)
    image, result = frame.apply(volume.array).astype(np.float32), frame.apply(labels)
    grey = intensity_map(image)(image)
    drawn = np.zeros(result.shape, dtype=result.dtype)
    for value, mask in annotation.masks.items():
        drawn[frame.apply(mask)] = value
    start = int(np.count_nonzero(drawn, axis=(1, 2)).argmax())
    pixels = frame.spacing[1:]
    panels = [_panel(grey[start], drawn[start], colors, pixels, filled=True)]
    panels += [_panel(grey[n], result[n], colors, pixels) for n in _spread(result, _COLUMNS * _ROWS - 1)]
    sheet = _montage(panels)
    path = Path(path)
    with nullcontext(pending) if pending is not None else PendingFiles() as files:
        temporary = files.add(path, ".png")
        try:
            sitk.WriteImage(sitk.GetImageFromArray(sheet, isVector=True), str(temporary))
        except RuntimeError:
            raise InputError(f"The picture '{path}' cannot be written; check the free space of its disk.") from None


def _colors(segments: Sequence[Segment], labels: np.ndarray, annotation: Annotation) -> dict[int, np.ndarray]:
    values = {*annotation.masks, *(int(value) for value in np.unique(labels[labels > 0]))}
    return {segment.value: np.array(segment.color) for segment in completed(segments, values)}


def _spread(result: np.ndarray, count: int) -> list[int]:
    """Slice indices spread evenly over those that carry a label (over all slices when none does)."""
    occupied = np.flatnonzero(result.any(axis=(1, 2)))
    first, last = (occupied[0], occupied[-1]) if len(occupied) else (0, len(result) - 1)
    return [int(round(position)) for position in np.linspace(first, last, count + 2)[1:-1]]


def _panel(
    grey: np.ndarray,
    labels: np.ndarray,
    colors: Mapping[int, np.ndarray],
    spacing: tuple[float, ...],
    filled: bool = False,
) -> np.ndarray:
    """One slice (row, column) as an RGB panel of square pixels, float in [0, 1]."""
    grey = _enlarged(grey, spacing, sitk.sitkLinear)
    labels = _enlarged(labels, spacing, sitk.sitkNearestNeighbor)
    # Two pixels wide: the part of each label that an erosion by two takes away.
    image = sitk.GetImageFromArray(labels)
    inner = sitk.GetArrayFromImage(sitk.LabelContour(image, False)) > 0
    rest = sitk.GetImageFromArray(np.where(inner, 0, labels))
    outline = np.where(inner, labels, sitk.GetArrayFromImage(sitk.LabelContour(rest, False)))
    panel = np.repeat(grey[..., None], 3, axis=2)
    for value in np.unique(labels[labels > 0]):
        if filled:
            inside = labels == value
            panel[inside] = (1 - _FILL) * panel[inside] + _FILL * colors[int(value)]
        panel[outline == value] = colors[int(value)]
    return panel


def _enlarged(array: np.ndarray, spacing: tuple[float, ...], interpolator: int) -> np.ndarray:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((spacing[1], spacing[0]))
    extent = np.array(image.GetSize()) * image.GetSpacing()
    pixel = float(extent.max()) / _PANEL
    size = np.maximum(np.round(extent / pixel), 1).astype(int)
    # Voxel centres, not corners, are the origin: shift so that both images cover the same area.
    origin = 0.5 * (pixel - np.array(image.GetSpacing()))
    grown = sitk.Resample(
        sitk.ConstantPad(image, (1, 1), (1, 1)) if min(image.GetSize()) < 2 else image,
        size.tolist(),
        sitk.Transform(),
        interpolator,
        origin.tolist(),
        (pixel, pixel),
        (1.0, 0.0, 0.0, 1.0),
        0.0,
        image.GetPixelID(),
        True,
    )
    return sitk.GetArrayFromImage(grown)


def _montage(panels: Sequence[np.ndarray]) -> np.ndarray:
    height, width = panels[0].shape[:2]
    sheet = np.zeros((_ROWS * (height + _GAP) + _GAP, _COLUMNS * (width + _GAP) + _GAP, 3))
    for number, panel in enumerate(panels):
        row = _GAP + (number // _COLUMNS) * (height + _GAP)
        column = _GAP + (number % _COLUMNS) * (width + _GAP)
        if number == 0:  # a white frame marks the annotated slice
            sheet[row - _GAP : row + height + _GAP, column - _GAP : column + width + _GAP] = 1
        sheet[row : row + height, column : column + width] = panel
    return np.round(sheet * 255).astype(np.uint8)

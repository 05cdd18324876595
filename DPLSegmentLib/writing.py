"""Writing label maps, scalar maps and reports, each atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .errors import InputError
from .geometry import Volume
from .pending import PendingFiles, require_writable
from .segments import Segment, completed, format_segments

SEGMENTATION_SUFFIX = ".seg.nrrd"
WRITABLE = (SEGMENTATION_SUFFIX, ".nii.gz", ".nii", ".nrrd", ".mha")


def require_writable_image(path: Path, what: str) -> None:
    """Raise InputError unless an image can be written at ``path`` (supported suffix, writable place)."""
    _suffix(path, what)
    require_writable(path, what)


def write_labels(
    path: str | Path,
    labels: np.ndarray,
    reference: Volume,
    segments: Sequence[Segment] = (),
    pending: PendingFiles | None = None,
) -> None:
    """Write a label map (k, j, i) of values 0 to 65535 on the grid of ``reference``, as uint8 if they fit.

    A ``.seg.nrrd`` file also carries ``segments``; labels without one get a generated name and colour. With
    ``pending`` the file appears when that block ends, otherwise at once. Raises InputError when it cannot be
    written.
    """
    path = Path(path)
    largest = int(labels.max(initial=0))
    volume = replace(reference, array=labels.astype(np.uint8 if largest <= 255 else np.uint16))
    header = {}
    if _suffix(path, "output") == SEGMENTATION_SUFFIX:
        values = [int(value) for value in np.flatnonzero(np.bincount(labels[labels > 0].ravel()))]
        header = format_segments(completed(segments, values), reference.shape_ijk)
    _write_image(path, volume, header, pending)


def write_scalar(path: str | Path, array: np.ndarray, reference: Volume, pending: PendingFiles | None = None) -> None:
    """Write a scalar map (k, j, i) on the grid of ``reference``; floats as float32. InputError likewise."""
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    _write_image(Path(path), replace(reference, array=array), {}, pending)


def write_json(path: str | Path, content: Mapping[str, Any], pending: PendingFiles | None = None) -> None:
    """Write a report as UTF-8 JSON. Raises InputError when it cannot be written."""
    path = Path(path)
    with _block(pending) as files:
        temporary = files.add(path, ".json")
        try:
            temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as problem:
            raise InputError(f"The output '{path}' cannot be written ({problem.strerror}).") from None


def _write_image(path: Path, volume: Volume, header: Mapping[str, str], pending: PendingFiles | None) -> None:
    suffix = _suffix(path, "output")
    image = volume.to_sitk()
    for key, text in header.items():
        image.SetMetaData(key, text)
    with _block(pending) as files:
        temporary = files.add(path, suffix)
        try:
            sitk.WriteImage(image, str(temporary), suffix != ".nii")
        except RuntimeError:
            raise InputError(f"The output '{path}' cannot be written; check the free space of its disk.") from None


def _suffix(path: Path, what: str) -> str:
    for suffix in WRITABLE:
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return suffix
    raise InputError(f"The {what} '{path}' has no supported suffix; use one of {', '.join(WRITABLE)}.")


def _block(pending: PendingFiles | None) -> PendingFiles | nullcontext[PendingFiles]:
    return nullcontext(pending) if pending is not None else PendingFiles()

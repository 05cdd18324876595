"""Reading scans and annotations from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .annotation import LARGEST_LABEL, split_labels
from .dicom import read_dicom_folder
from .errors import InputError
from .geometry import Volume
from .grid import place, require_same_grid
from .nifti_size import is_complete
from .segments import Segment, generated_segment, parse_segments

READABLE = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")


def read_volume(path: str | Path) -> Volume:
    """The scan in a file (.nii, .nii.gz, .nrrd, .mha, .mhd) or in a folder of DICOM slices, already
    validated.

    Raises InputError when it is missing, unreadable or unsupported, not a single real 3-D image, or not a
    usable scan (see :meth:`Volume.validate`).
    """
    path = Path(path)
    volume = Volume.from_sitk(_read_image(path, "scan"), path.name)
    volume.validate()
    return volume


def read_annotation(path: str | Path, reference: Volume) -> tuple[dict[int, np.ndarray], list[Segment]]:
    """The masks in a label map or Slicer segmentation, and the names and colours of its labels.

    Masks are bool (k, j, i) on the grid of ``reference``, by label value; labels without voxels have no mask.
    A Slicer segmentation may have overlapping segments (layers) and may be cropped to its extent; two of its
    segments that share one value in different layers get distinct values, because a label map needs that.
    Raises InputError for files that cannot be read, values that are not whole numbers from 0 to 65535, and
    any other grid.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"The annotation '{path}' is a folder; give a label map or a .seg.nrrd file.")
    image = _read_image(path, "annotation")
    layer_count = image.GetNumberOfComponentsPerPixel()
    metadata = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    try:
        described = parse_segments(metadata, layer_count)
    except ValueError as error:
        raise InputError(
            f"The annotation '{path}' has a damaged segment description ({error}); save it again."
        ) from None
    if described and layer_count > 1:
        layers = [sitk.VectorIndexSelectionCast(image, layer) for layer in range(layer_count)]
    else:
        layers = [image]
    volumes = [Volume.from_sitk(layer, path.name) for layer in layers]
    if not (described or path.name.lower().endswith(".seg.nrrd")):
        require_same_grid(volumes[0], reference, "annotation")
    found = [split_labels(volume.array) for volume in volumes]
    masks: dict[int, np.ndarray] = {}
    segments: list[Segment] = []
    all_segments = _all_segments(described, found)
    original_values = {segment.value for segment, _ in all_segments}
    for segment, layer in all_segments:
        mask = found[layer].get(segment.value)
        own_values = {other.value for other in segments}
        if segment.value in own_values:
            segment = replace(segment, value=_free_value(original_values | own_values))
        segments.append(segment)
        if mask is not None:
            masks[segment.value] = place(mask, volumes[layer], reference)
    return masks, segments


def require_readable_suffix(path: Path, what: str) -> None:
    """Raise InputError unless this file name has a suffix that can be read."""
    if not path.name.lower().endswith(READABLE):
        raise InputError(f"The {what} '{path}' is of an unsupported kind; give one of {', '.join(READABLE)}.")


def _read_image(path: Path, what: str) -> sitk.Image:
    if not path.exists():
        raise InputError(f"The {what} '{path}' does not exist; check the path.")
    try:
        if path.is_dir():
            return read_dicom_folder(path)
        require_readable_suffix(path, what)
        if path.name.lower().endswith((".nii", ".nii.gz")) and not is_complete(path):
            raise InputError(f"The {what} '{path}' is damaged or cut short; copy or export it again.")
        return sitk.ReadImage(str(path))
    except OSError as error:
        raise InputError(f"The {what} '{path}' cannot be read ({error.strerror}); check its permissions.") from None
    except RuntimeError as error:
        if any(word in str(error) for word in ("determinant", "orthonormal", "Zero-valued spacing")):
            problem = "has axis directions that cannot be inverted; repair its orientation"
        else:
            problem = "cannot be read as an image; it is damaged or of another kind"
        raise InputError(f"The {what} '{path}' {problem}.") from None


def _all_segments(
    described: list[tuple[Segment, int]], found: list[dict[int, np.ndarray]]
) -> list[tuple[Segment, int]]:
    """The described segments, then generated ones for values in the voxels that no description names."""
    known = {(layer, segment.value) for segment, layer in described}
    unnamed = [(layer, value) for layer, masks in enumerate(found) for value in masks if (layer, value) not in known]
    return described + [(generated_segment(value), layer) for layer, value in unnamed]


def _free_value(taken: set[int]) -> int:
    free = next((value for value in range(1, LARGEST_LABEL + 1) if value not in taken), None)
    if free is None:
        raise InputError("The annotation has more segments than a label map can hold; split it.")
    return free

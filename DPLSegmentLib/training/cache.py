"""Training cache: prepared scans as small ``.npz`` files that are loaded once.

Command line: ``python -m DPLSegmentLib.training.cache --data DIR --output DIR``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .objects import PseudoObjects, body_mask, pseudo_objects

HEADNECK_NAMES = ("brainstem", "cord", "right parotid", "left parotid", "oesophagus", "larynx", "mandible")
HU_RANGE = (-1000, 1500)
OBJECT_WINDOW = (-160.0, 240.0)
AIR_THRESHOLD = -300.0


@dataclass(frozen=True, eq=False)
class TrainingScan:
    """One prepared scan; arrays are (slice, row, column) with slices to superior, rows to posterior, columns
    to left.

    ``image`` int16, HU clipped to -1000..1500; ``spacing`` mm (slice, row, column); ``regions``, ``groups``
    and ``objects`` as in ``PseudoObjects``; ``labels`` uint8 real labels (all 0 without); ``label_names`` of
    values 1, 2, ...
    """

    name: str
    image: np.ndarray
    spacing: np.ndarray
    regions: np.ndarray
    groups: np.ndarray
    objects: np.ndarray
    labels: np.ndarray
    label_names: tuple[str, ...]

    def object_labels(self, level: int) -> np.ndarray:
        """Pseudo-object label volume of one level (0 fine .. coarse), int32."""
        return self.objects[level][self.regions]

    def group_labels(self, level: int) -> np.ndarray:
        """Whole partition of one level (for contrast changes per region), int32."""
        return self.groups[level][self.regions]

    def save(self, path: Path) -> None:
        """Write as uncompressed ``.npz``."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        np.savez(path, **{k: np.asarray(v) for k, v in fields.items()})

    @classmethod
    def load(cls, path: Path) -> TrainingScan:
        """Read a file written by ``save``."""
        with np.load(path) as data:
            fields = {name: data[name] for name in cls.__dataclass_fields__}
        fields["name"] = str(fields["name"])
        fields["label_names"] = tuple(str(name) for name in fields["label_names"])
        return cls(**fields)


def load_cache(folder: str | Path) -> list[TrainingScan]:
    """All scans of a cache folder, sorted by file name."""
    paths = sorted(Path(folder).glob("*.npz"))
    if not paths:
        raise InputError(f"The training cache {folder} holds no .npz files; prepare it first.")
    return [TrainingScan.load(path) for path in paths]


def prepare_scan(
    image: sitk.Image,
    name: str,
    labels: sitk.Image | None = None,
    label_names: Sequence[str] = (),
    hu_offset: float = 0.0,
    max_size: int = 256,
    max_upsample: float = 1.0,
) -> TrainingScan:
    """Orient, crop to the body, resample in-plane and find the pseudo-objects of a CT scan.

    ``hu_offset`` is added to the stored values to get HU. The longest in-plane side becomes at most
    ``max_size`` pixels; images are enlarged at most ``max_upsample`` times. Slices are never resampled.
    """
    image = sitk.DICOMOrient(image, "LPS")
    hu = np.clip(sitk.GetArrayFromImage(image).astype(np.float32) + hu_offset, *HU_RANGE)
    box = _bounding_box(body_mask(hu, AIR_THRESHOLD), margin=(0, 4, 4))
    cropped = sitk.GetImageFromArray(hu)
    cropped.CopyInformation(image)
    cropped = cropped[box[2], box[1], box[0]]
    grid = _target_grid(cropped, max_size, max_upsample)
    hu = sitk.GetArrayFromImage(_resample(cropped, grid, sitk.sitkLinear))
    truth = np.zeros(hu.shape, np.uint8)
    if labels is not None:
        labels = sitk.DICOMOrient(labels, "LPS")
        truth = sitk.GetArrayFromImage(_resample(labels, grid, sitk.sitkNearestNeighbor)).astype(np.uint8)
    spacing = grid.GetSpacing()[::-1]
    body = body_mask(hu, AIR_THRESHOLD)
    low, high = OBJECT_WINDOW
    # Beyond the window everything is lung or bone: flattened, or marrow and cortex become separate segments.
    found: PseudoObjects = pseudo_objects(np.clip((hu - low) / (high - low), -0.25, 1.15), spacing, body)
    kind = np.uint16 if found.regions.max() < 65536 else np.int32
    return TrainingScan(
        name=name,
        image=np.round(hu).astype(np.int16),
        spacing=np.asarray(spacing, np.float32),
        regions=found.regions.astype(kind),
        groups=found.groups,
        objects=found.objects,
        labels=truth,
        label_names=tuple(label_names),
    )


def build_cache(data: Path, output: Path, headneck: int = 40) -> Iterator[TrainingScan]:
    """Prepare ``unlabelled_ct/*`` and the first ``headneck`` scans of ``headneck_ct`` under ``data``; yields
    each."""
    output.mkdir(parents=True, exist_ok=True)
    for path in sorted((data / "unlabelled_ct").glob("*.nii.gz")):
        scan = prepare_scan(sitk.ReadImage(str(path)), path.name.removesuffix(".nii.gz"))
        scan.save(output / f"{scan.name}.npz")
        yield scan
    for path in sorted((data / "headneck_ct").glob("*_ct.nii.gz"))[:headneck]:
        name = path.name.removesuffix("_ct.nii.gz")
        labels = sitk.ReadImage(str(path.with_name(f"{name}_label.nii.gz")))
        scan = prepare_scan(sitk.ReadImage(str(path)), f"headneck_{name}", labels, HEADNECK_NAMES, hu_offset=-1000.0)
        scan.save(output / f"{scan.name}.npz")
        yield scan


def _bounding_box(mask: np.ndarray, margin: Sequence[int]) -> tuple[slice, slice, slice]:
    box = []
    for axis in range(3):
        line = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(max(int(line[0]) - margin[axis], 0), min(int(line[-1]) + 1 + margin[axis], mask.shape[axis])))
    return tuple(box)


def _target_grid(image: sitk.Image, max_size: int, max_upsample: float) -> sitk.Image:
    """Empty image that covers ``image`` with square in-plane pixels of the wanted size."""
    spacing, size = image.GetSpacing(), image.GetSize()
    extent = [size[axis] * spacing[axis] for axis in range(2)]
    pixel = max(max(extent) / max_size, min(spacing[:2]) / max_upsample)
    pixels = [max(round(length / pixel), 1) for length in extent]
    grid = sitk.Image([*pixels, size[2]], sitk.sitkUInt8)
    grid.SetSpacing([pixel, pixel, spacing[2]])
    grid.SetDirection(image.GetDirection())
    shift = [(pixel - spacing[0]) / 2 / spacing[0], (pixel - spacing[1]) / 2 / spacing[1], 0.0]
    grid.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(shift))
    return grid


def _resample(image: sitk.Image, grid: sitk.Image, interpolator: int) -> sitk.Image:
    factor = grid.GetSpacing()[0] / image.GetSpacing()[0]
    if interpolator == sitk.sitkLinear and factor > 1.05:
        sigma = 0.4 * image.GetSpacing()[0] * (factor**2 - 1) ** 0.5
        image = sitk.SmoothingRecursiveGaussian(image, [sigma, sigma, 1e-3 * image.GetSpacing()[2]])
    # Border pixel centres of the coarser grid may lie half a pixel outside of the finer one.
    return sitk.Resample(
        image,
        grid,
        sitk.Transform(),
        interpolator,
        float(sitk.GetArrayViewFromImage(image).min()),
        image.GetPixelID(),
        interpolator == sitk.sitkLinear,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m DPLSegmentLib.training.cache", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with unlabelled_ct and headneck_ct")
    parser.add_argument("--output", type=Path, required=True, help="folder for the .npz files")
    parser.add_argument("--headneck", type=int, default=40, help="how many head-neck scans to take")
    options = parser.parse_args(arguments)
    for scan in build_cache(options.data, options.output, options.headneck):
        counts = [int(np.count_nonzero(np.unique(row))) for row in scan.objects]
        print(f"{scan.name}: {scan.image.shape}, objects per level {counts}", flush=True)


if __name__ == "__main__":
    main()

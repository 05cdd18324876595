"""The sets of real scans that the benchmarks know: which files, which labels, and what they are called.

A set is a folder of this name inside the data folder; label maps lie beside their images.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # benchmarks measure the checkout they lie in, installed or not

from DPLSegmentLib import InputError, Volume  # noqa: E402


@dataclass(frozen=True)
class ScanSet:
    """How a set's files are named (``*`` is the scan's own part), and its label names by value."""

    image: str
    label: str
    labels: dict[int, str]
    smallest: int = 0  # labels with this many voxels or fewer are left out


SETS = {
    "chaos_t2": ScanSet(
        "image_*.nii.gz", "label_*.nii.gz", {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
    ),
    "trunk_ct": ScanSet("image_*.nii.gz", "label_*.nii.gz", {}, smallest=500),  # names in its labels.json
    "card_bssfp": ScanSet("image_*.nii.gz", "label_*.nii.gz", {1: "myocardium", 2: "LV blood pool", 3: "RV"}),
    "headneck_ct": ScanSet(
        "*_ct.nii.gz",
        "*_label.nii.gz",
        {
            1: "brainstem",
            2: "spinal cord",
            3: "right parotid",
            4: "left parotid",
            5: "oesophagus",
            6: "larynx",
            7: "mandible",
        },
    ),
    "liver_ct": ScanSet("image_*.nii.gz", "label_*.nii.gz", {1: "liver", 2: "tumour"}),
}


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan and its reference: ``truth`` is a (k, j, i) label map on the grid of ``volume``."""

    name: str
    volume: Volume
    truth: np.ndarray
    labels: dict[int, str]  # those that are in this scan and large enough, by value

    @property
    def spacing_kji(self) -> tuple[float, float, float]:
        """Voxel size in mm along k, j, i."""
        i, j, k = (float(step) for step in self.volume.spacing)
        return k, j, i


def scan_names(folder: Path, set_name: str) -> list[str]:
    """Names of the set's scans, in natural order. Raises InputError when there are none."""
    before, after = SETS[set_name].image.split("*")
    files = sorted((folder / set_name).glob(SETS[set_name].image))
    names = [file.name[len(before) : len(file.name) - len(after)] for file in files]
    if not names:
        raise InputError(f"No scans of {set_name} in {folder}; give the folder that contains {set_name}/ as --data.")
    return sorted(names, key=lambda name: (len(name), name))


def load_scan(folder: Path, set_name: str, name: str) -> Scan:
    """Read one scan and its reference. Raises InputError when a file is missing or the grids differ."""
    chosen = SETS[set_name]
    volume = Volume.from_sitk(_read(folder / set_name / chosen.image.replace("*", name)), name)
    reference = _read(folder / set_name / chosen.label.replace("*", name))
    truth = sitk.GetArrayFromImage(reference)
    if truth.shape != volume.array.shape:
        raise InputError(f"The label map of {set_name} {name} is not on its image's grid; get both files again.")
    counts = np.bincount(truth.ravel())
    names = chosen.labels or _names_beside(folder / set_name)
    present = [value for value in np.flatnonzero(counts).tolist() if value and counts[value] > chosen.smallest]
    return Scan(name, volume, truth, {value: names.get(value, f"label {value}") for value in present})


def load_scans(folder: Path, set_name: str, limit: int | None = None) -> Iterator[Scan]:
    """The set's scans one by one, the first ``limit`` of them."""
    for name in scan_names(folder, set_name)[:limit]:
        yield load_scan(folder, set_name, name)


def _names_beside(folder: Path) -> dict[int, str]:
    """Label names by value from a TotalSegmentator ``labels.json`` (its "total" task)."""
    names = json.loads((folder / "labels.json").read_text(encoding="utf-8"))["total"]
    return {int(value): name.replace("_", " ") for value, name in names.items()}


def _read(path: Path) -> sitk.Image:
    if not path.is_file():
        raise InputError(f"The file {path} is missing; get the set again.")
    return sitk.ReadImage(str(path))

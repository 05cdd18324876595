"""Sets of scans with reference label maps: which files belong together, what the labels are called, which folds.

A set is a folder; a scan's label map lies beside its image. Known sets have an entry in ``SETS``; any other folder
works if its files are called ``image_NAME.nii.gz`` and ``label_NAME.nii.gz``. Names of labels are read from a
``labels.json`` beside the files if there is one: ``{"1": "liver", ...}``, or such a table under ``"total"``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..geometry import Volume

FOLD_SIZE = 5  # consecutive scans, as in the few-shot literature on CHAOS
_KEPT = 24  # scans kept in memory


@dataclass(frozen=True)
class ScanSet:
    """How a set's files are named (``*`` is the scan's own part), and its label names by value."""

    image: str = "image_*.nii.gz"
    label: str = "label_*.nii.gz"
    labels: dict[int, str] = field(default_factory=dict)
    smallest: int = 0  # labels with this many voxels or fewer are left out


SETS = {
    "chaos_t2": ScanSet(labels={1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}),
    "trunk_ct": ScanSet(smallest=500),
    "card_bssfp": ScanSet(labels={1: "myocardium", 2: "LV blood pool", 3: "RV"}),
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
    "liver_ct": ScanSet(labels={1: "liver", 2: "tumour"}),
}


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan and its reference: ``truth`` is a (k, j, i) label map on the grid of ``volume``.

    ``labels`` names those that are in this scan and large enough, by value.
    """

    name: str
    volume: Volume
    truth: np.ndarray
    labels: dict[int, str]

    @property
    def spacing_kji(self) -> tuple[float, float, float]:
        """Voxel size in mm along k, j, i."""
        i, j, k = (float(step) for step in self.volume.spacing)
        return k, j, i


def scan_names(folder: Path, set_name: str) -> list[str]:
    """Names of the set's scans in natural order (2 before 10). Raises InputError when there are none."""
    pattern = _layout(set_name).image
    before, after = pattern.split("*")
    files = (folder / set_name).glob(pattern)
    names = [file.name[len(before) : len(file.name) - len(after)] for file in files]
    if not names:
        raise InputError(
            f"There are no scans called '{pattern}' in '{folder / set_name}'; "
            "give the folder that contains the set's folder as --data."
        )
    return sorted(names, key=lambda name: (len(name), name))


def folds(names: list[str], size: int = FOLD_SIZE) -> list[list[str]]:
    """Consecutive groups of ``size`` scans; the last one may be smaller."""
    return [names[start : start + size] for start in range(0, len(names), size)]


def check_scan(folder: Path, set_name: str, name: str) -> None:
    """Raise InputError when a scan or its label map is missing, unreadable, or on another grid than the other."""
    sizes = []
    for path in _paths(folder, set_name, name):
        if not path.is_file():
            raise InputError(f"The file '{path}' is missing; complete the set.")
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            raise InputError(f"The file '{path}' cannot be read as an image; replace it.") from None
        sizes.append(reader.GetSize())
    if sizes[0] != sizes[1]:
        raise InputError(f"The label map of {set_name} {name} is not on its image's grid; get both files again.")


@lru_cache(maxsize=_KEPT)
def load_scan(folder: Path, set_name: str, name: str) -> Scan:
    """Read one scan and its reference. Raises InputError when a file is missing or the grids differ."""
    check_scan(folder, set_name, name)
    image, reference = (sitk.ReadImage(str(path)) for path in _paths(folder, set_name, name))
    layout = _layout(set_name)
    truth = sitk.GetArrayFromImage(reference)
    if truth.dtype.kind == "f":
        truth = np.rint(truth).astype(np.int32)
    counts = np.bincount(truth[truth > 0])
    names = layout.labels or _names_beside(folder / set_name)
    present = [value for value in np.flatnonzero(counts).tolist() if counts[value] > layout.smallest]
    return Scan(
        name, Volume.from_sitk(image, name), truth, {value: names.get(value, f"label {value}") for value in present}
    )


def _layout(set_name: str) -> ScanSet:
    return SETS.get(set_name, ScanSet())


def _paths(folder: Path, set_name: str, name: str) -> tuple[Path, Path]:
    layout = _layout(set_name)
    return tuple(folder / set_name / pattern.replace("*", name) for pattern in (layout.image, layout.label))


def _names_beside(folder: Path) -> dict[int, str]:
    try:
        stored = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        stored = stored.get("total", stored)
        return {int(value): str(name).replace("_", " ") for value, name in stored.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError):
        raise InputError(f"The file '{folder / 'labels.json'}' is not a table of label names by value.") from None

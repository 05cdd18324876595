"""Finding scans, and the label maps that belong to them, in folders of the user's."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ..errors import InputError
from ..reading import READABLE

# Files named like these are annotations or results, not scans.
LABEL_WORDS = ("label", "labels", "labelmap", "seg", "segmentation", "mask", "gt", "groundtruth", "annotation")
NOT_SCANS = (*(f"*{word}*" for word in LABEL_WORDS if word not in ("gt", "seg")), "*_seg.*", "seg_*", "*.seg.*")
NOT_SCANS += ("*segment*", "*_gt.*", "gt_*", "*supervoxel*", "*uncertainty*")
_SCAN_WORDS = ("image", "images", "img", "im", "scan", "vol", "volume", "ct", "mr", "mri", "t1", "t2")


@dataclass(frozen=True)
class ScanFile:
    """A scan (file, or folder of one DICOM series), the label map beside it if there is one, and the folder, among
    those given, that it was found in."""

    path: Path
    labels: Path | None
    folder: Path

    @property
    def name(self) -> str:
        """A name for the scan: the folder's and the file's without suffix."""
        inside = self.path.relative_to(self.folder) if self.path != self.folder else Path(self.path.name)
        stem = stem_of(self.path)
        words = [self.folder.name, *inside.parts[:-1], stem] if self.path != self.folder else [stem]
        return re.sub(r"[^A-Za-z0-9.-]+", "_", "_".join(words))


def stem_of(path: Path) -> str:
    """File name without the suffix of an image."""
    name = path.name
    for suffix in sorted((".seg.nrrd", *READABLE), key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def natural_key(path: Path) -> tuple:
    """Sorts ``image_2`` before ``image_10``."""
    return tuple((0, int(t), "") if t.isdigit() else (1, 0, t) for t in re.split(r"(\d+)", str(path).lower()) if t)


def find_scans(folders: Sequence[Path], pattern: str | None = None, exclude: str | None = None) -> list[ScanFile]:
    """All scans below the folders, in natural order folder by folder.

    Args:
        folders: searched with their subfolders; a folder of DICOM slices is one scan.
        pattern: only files with such names (as in a shell, for instance ``image_*``).
        exclude: no files with such names; by default those that look like label maps (``NOT_SCANS``).

    Raises:
        InputError: a folder that does not exist, or none with a scan.
    """
    found: list[ScanFile] = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"The data folder '{folder}' does not exist; check the path.")
        files = [path for path in folder.rglob("*") if path.is_file()]
        images = [path for path in files if path.name.lower().endswith(READABLE) and not path.name.startswith(".")]
        scans = [path for path in images if _is_scan(path, pattern, exclude)]
        maps = {_key(path): path for path in images if path not in scans and _label_words(path)}
        here = [ScanFile(path, maps.get(_key(path)), folder) for path in scans]
        others = {path.parent for path in files} - {path.parent for path in images}
        here += [ScanFile(path, None, folder) for path in others if sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(path))]
        if not here:
            raise InputError(f"The data folder '{folder}' holds no scans{_with(pattern, exclude)}.")
        found += sorted(here, key=lambda scan: natural_key(scan.path))
    return found


def fold_of(scans: Sequence[ScanFile], fold: int, size: int = 5) -> tuple[list[ScanFile], list[ScanFile]]:
    """Split scans, in order, into (others, test): fold K tests scans K·size to (K + 1)·size - 1, as ``evaluate`` does.

    Raises InputError if there is no such fold, or nothing is left for training.
    """
    count = -(-len(scans) // size)
    if not 0 <= fold < count or len(scans) <= size:
        raise InputError(f"There is no fold {fold}: {len(scans)} scans make folds 0 to {count - 1} of up to {size}.")
    test = list(scans[fold * size : (fold + 1) * size])
    return [scan for scan in scans if scan not in test], test


def _is_scan(path: Path, pattern: str | None, exclude: str | None) -> bool:
    name = path.name.lower()
    if pattern is not None and not fnmatch.fnmatch(name, pattern.lower()):
        return False
    unwanted = NOT_SCANS if exclude is None else (exclude.lower(),)
    # A pattern that asks for such names is taken at its word.
    return (pattern is not None and exclude is None) or not any(fnmatch.fnmatch(name, text) for text in unwanted)


def _words(path: Path) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", path.name.lower().split(".")[0]) if word]


def _label_words(path: Path) -> bool:
    return path.name.lower().endswith(".seg.nrrd") or any(word in LABEL_WORDS for word in _words(path))


def _key(path: Path) -> tuple:
    """What a scan and its label map have in common: folder and name without the words for either."""
    words = [word for word in _words(path) if word not in LABEL_WORDS and word not in _SCAN_WORDS]
    return (path.parent, *words)


def _with(pattern: str | None, exclude: str | None) -> str:
    text = f" that match '{pattern}'" if pattern else ""
    return text + (f" and are not '{exclude}'" if exclude else "")

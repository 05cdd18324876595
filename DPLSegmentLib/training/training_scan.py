"""One prepared scan of the training cache, and how it is kept in a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .codec import read_arrays, smallest, write_arrays

FORMAT = "DPLSegment training scan 2"
MANIFEST = "cache.json"


@dataclass(frozen=True, eq=False)
class TrainingScan:
    """One prepared scan; arrays are (slice, row, column) with slices to superior, rows to posterior, columns to left
    (for axial scans; see ``geometry.slice_frame`` for others).

    ``kind``: 'scan' or 'synthetic'; ``image`` uint8, 0..255 for the 0..1 of ``intensity_map`` (no slices in a generated
    body, which is drawn when it is needed); ``spacing`` mm (slice, row, column); ``regions`` a partition, 0 outside the
    body; ``groups`` and ``objects`` (levels, regions + 1) as in ``PseudoObjects``; ``labels`` uint8 genuine labels (no
    slices without); ``label_names`` of values 1, 2, ...; ``tissues`` of regions 1, 2, ... of a generated body, as in
    ``Anatomy.kinds``.
    """

    name: str
    kind: str
    image: np.ndarray
    spacing: np.ndarray
    regions: np.ndarray
    groups: np.ndarray
    objects: np.ndarray
    labels: np.ndarray
    label_names: tuple[str, ...] = ()
    tissues: tuple[str, ...] = ()

    def object_labels(self, level: int) -> np.ndarray:
        """Pseudo-object label volume of one level (0 fine .. coarse), int32."""
        return self.objects[level][self.regions]

    def group_labels(self, level: int) -> np.ndarray:
        """Whole partition of one level (for contrast changes per region), int32."""
        return self.groups[level][self.regions]

    def save(self, path: Path) -> int:
        """Write compactly; returns the size in bytes."""
        arrays = {
            "format": np.array(FORMAT),
            "name": np.array(self.name),
            "kind": np.array(self.kind),
            "image": self.image,
            "spacing": np.asarray(self.spacing, np.float32),
            "regions": self.regions,
            "groups": self.groups,
            "objects": self.objects,
            "labels": self.labels,
            "label_names": np.array(json.dumps(self.label_names)),
            "tissues": np.array(json.dumps(self.tissues)),
        }
        return write_arrays(path, arrays, images=("image",), labels=("regions", "labels", "groups", "objects"))

    @classmethod
    def load(cls, path: Path) -> TrainingScan:
        """Read a file written by ``save``. Raises InputError if it is damaged or of another kind."""
        arrays = read_arrays(path)
        if str(arrays.get("format")) != FORMAT:
            raise InputError(f"The cache file '{path}' is of another version; prepare the cache again.")
        return cls(
            name=str(arrays["name"]),
            kind=str(arrays["kind"]),
            image=arrays["image"],
            spacing=arrays["spacing"],
            regions=arrays["regions"],
            groups=arrays["groups"].astype(np.int32),
            objects=arrays["objects"].astype(np.int32),
            labels=arrays["labels"],
            label_names=tuple(json.loads(str(arrays["label_names"]))),
            tissues=tuple(json.loads(str(arrays["tissues"]))),
        )


def coarsened(regions: np.ndarray, groups: np.ndarray, objects: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same hierarchy on the regions of its finest level, which are far fewer: regions, groups and objects."""
    numbers, first, inverse = np.unique(groups[0], return_index=True, return_inverse=True)
    if numbers[0] != 0:
        raise ValueError("group 0 must be the outside")
    return smallest(inverse[regions]), groups[:, first], objects[:, first]


def is_cache(folder: Path) -> bool:
    """Whether a folder is a prepared cache."""
    return (folder / MANIFEST).is_file()


def cache_files(folder: Path) -> list[Path]:
    """The scans of a prepared cache, in the order of their names. Raises InputError if it is none, or not complete."""
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        paths = [folder / str(name) for name in listed]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"The folder '{folder}' is no training cache; prepare one first.") from error
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not paths:
        raise InputError(f"The training cache '{folder}' lacks {missing[0] if missing else 'scans'}; prepare it again.")
    return sorted(paths)


def load_cache(folder: str | Path) -> list[TrainingScan]:
    """All scans of a prepared cache."""
    return [TrainingScan.load(path) for path in cache_files(Path(folder))]

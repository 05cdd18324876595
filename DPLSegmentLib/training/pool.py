"""The pool of training objects: every organ-like segment of every prepared scan, ready to be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..preprocessing import intensity_map
from .cache import TrainingScan, load_cache

MIN_SLICES = 3
MIN_SOLIDITY = 0.35  # share of an object's pixels whose in-plane neighbours are all its own


@dataclass(eq=False)
class PoolScan:
    """One scan of the pool; arrays are (slice, row, column), ``image`` float16 in [0, 1]."""

    name: str
    kind: str
    image: np.ndarray
    partition: np.ndarray  # regions for contrast changes
    labels: list[np.ndarray]  # one label volume a level
    slice_mm: float
    pixel_mm: float
    objects: list[tuple[int, int, tuple[slice, slice, slice], float]]  # level, id, box, weight


@dataclass
class Target:
    """One object of one scan."""

    scan: PoolScan
    level: int
    number: int
    box: tuple[slice, slice, slice]

    @property
    def slices(self) -> tuple[int, int]:
        """First and last slice with the object."""
        return self.box[0].start, self.box[0].stop - 1

    @property
    def count(self) -> int:
        return len(self.scan.image)

    @property
    def slice_mm(self) -> float:
        return self.scan.slice_mm

    @property
    def pixel_mm(self) -> float:
        return self.scan.pixel_mm

    def area(self, z: int) -> int:
        """Pixels of the object in slice ``z``."""
        if not self.box[0].start <= z < self.box[0].stop:
            return 0
        return int((self.scan.labels[self.level][z, self.box[1], self.box[2]] == self.number).sum())

    def masks(self, zs: list[int]) -> np.ndarray:
        """(len(zs), rows, columns) bool."""
        return np.stack([self.scan.labels[self.level][z] == self.number for z in zs])

    def images(self, zs: list[int], box: tuple[int, int, int, int] | None) -> np.ndarray:
        """(len(zs), rows, columns) float32, cropped to (top, bottom, left, right) if given."""
        return _part(self.scan.image, zs, box).astype(np.float32)

    def regions(self, zs: list[int], box: tuple[int, int, int, int] | None) -> np.ndarray:
        """Partition (len(zs), rows, columns) int64, cropped like ``images``."""
        return _part(self.scan.partition, zs, box).astype(np.int64)


def _part(array: np.ndarray, zs: list[int], box: tuple[int, int, int, int] | None) -> np.ndarray:
    part = array[zs]
    return part if box is None else part[:, box[0] : box[1], box[2] : box[3]]


def _compact(labels: np.ndarray) -> np.ndarray:
    """The same labels in as few bytes as they need: a pool holds hundreds of scans in memory."""
    return labels.astype(np.uint16 if labels.max() < 65536 else np.int32)


def _objects(level: int, labels: np.ndarray, genuine: bool) -> list[tuple[int, int, tuple, float]]:
    """Objects of one label volume with the weights they are drawn with.

    Genuine structures all count, large ones a little more, so that vessels and other thin things are learned too. Of
    pseudo-objects the large and solid ones are drawn more often than slivers between organs.
    """
    counts = np.bincount(labels.ravel())
    solidity = np.ones(len(counts))
    if not genuine:
        inside = labels.copy()
        for axis in (1, 2):
            for shift in (1, -1):
                inside[np.roll(labels, shift, axis) != labels] = 0
        solidity = np.bincount(inside.ravel(), minlength=len(counts)) / np.maximum(counts, 1)
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or box[0].stop - box[0].start < MIN_SLICES or counts[number] < 150:
            continue
        if solidity[number] < MIN_SOLIDITY:
            continue
        weight = float(counts[number]) ** (0.25 if genuine else 0.5) * float(solidity[number]) ** 2
        found.append((level, number, box, weight))
    return found


def pool_scan(scan: TrainingScan) -> list[PoolScan]:
    """A prepared scan as pool entries: one with its pseudo-objects, one with its real labels if it has any."""
    image = intensity_map(scan.image)(scan.image).astype(np.float16)
    slice_mm, pixel_mm = float(scan.spacing[0]), float(scan.spacing[1])
    levels = len(scan.objects)
    partition = _compact(scan.group_labels(min(1, levels - 1)))
    kind = "synthetic" if scan.name.startswith("synth") else ("headneck" if scan.name.startswith("headneck") else "ct")
    labels = [_compact(scan.object_labels(level)) for level in range(levels)]
    objects = [entry for level in range(levels) for entry in _objects(level, labels[level], kind == "synthetic")]
    entries = [PoolScan(scan.name, kind, image, partition, labels, slice_mm, pixel_mm, objects)] if objects else []
    if scan.labels.any():
        truth = scan.labels
        found = _objects(0, truth, True)
        if found:
            entries.append(PoolScan(scan.name, "labelled", image, partition, [truth], slice_mm, pixel_mm, found))
    return entries


class TrainingPool:
    """Draws targets: first the kind of scan by ``shares``, then a scan, then one of its objects."""

    def __init__(self, scans: list[PoolScan], shares: dict[str, float]) -> None:
        kinds = [kind for kind in shares if any(scan.kind == kind for scan in scans)]
        weights = np.array([shares[kind] for kind in kinds], dtype=float)
        self.kinds, self.shares = kinds, weights / weights.sum()
        self.by_kind = {kind: [scan for scan in scans if scan.kind == kind] for kind in kinds}
        self._subjects: dict[str, list[PoolScan]] = {}
        for scan in scans:
            if scan.kind == "synthetic":
                self._subjects.setdefault(subject(scan.name), []).append(scan)
        self._weights = {id(scan): np.array([entry[3] for entry in scan.objects]) for scan in scans}

    @classmethod
    def load(cls, folders: list[Path], shares: dict[str, float]) -> TrainingPool:
        """From one or more prepared cache folders."""
        return cls([entry for folder in folders for scan in load_cache(folder) for entry in pool_scan(scan)], shares)

    def draw(self, rng: np.random.Generator) -> Target:
        """One target."""
        kind = self.kinds[int(rng.choice(len(self.kinds), p=self.shares))]
        scans = self.by_kind[kind]
        scan = scans[int(rng.integers(len(scans)))]
        weights = self._weights[id(scan)]
        level, number, box, _ = scan.objects[int(rng.choice(len(weights), p=weights / weights.sum()))]
        return Target(scan, level, number, box)

    def partner(self, target: Target, rng: np.random.Generator) -> Target | None:
        """The same structure in another patient: another labelled scan, or the second patient of a generated subject;
        None if there is none."""
        if target.scan.kind == "labelled":
            others = [scan for scan in self.by_kind["labelled"] if scan is not target.scan]
        else:
            others = [scan for scan in self._subjects.get(subject(target.scan.name), []) if scan is not target.scan]
        if not others:
            return None
        other = others[int(rng.integers(len(others)))]
        for level, number, box, _ in other.objects:
            if (level, number) == (target.level, target.number):
                return Target(other, level, number, box)
        return None


def subject(name: str) -> str:
    """What scans of one generated subject have in common: the name without what follows '_patient'."""
    return name.split("_patient")[0]

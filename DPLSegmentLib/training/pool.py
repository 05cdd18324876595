"""The pool of training objects: every organ-like segment of every prepared scan, ready to be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..errors import InputError
from .looks import Look, draw_look, render_slices
from .training_scan import TrainingScan, load_cache

MIN_SLICES = 3
TOUCHING = 0.15  # share of its outline that an object must touch another with to be joined with it
MIN_SOLIDITY = 0.35  # share of an object's pixels whose in-plane neighbours are all its own

Box = tuple[slice, slice, slice]
Crop = tuple[int, int, int, int]  # top, bottom, left, right


@dataclass(eq=False)
class PoolScan:
    """One scan of the pool; arrays are (slice, row, column).

    ``kind``: 'scan' (pseudo-objects), 'labelled' (genuine structures of a real scan) or 'synthetic'. ``image`` uint8,
    without slices for a generated body; ``structure`` and ``tables``: ``tables[level][structure]`` are the object
    numbers of a level; ``partition`` and ``partition_table``: regions that change contrast together; ``objects``:
    level, number, box, weight; ``tissues`` and ``counts`` (voxels per structure) of a generated body. Two or three
    bytes a voxel.
    """

    name: str
    kind: str
    image: np.ndarray
    structure: np.ndarray
    tables: np.ndarray
    partition: np.ndarray
    partition_table: np.ndarray
    spacing: tuple[float, float, float]
    objects: list[tuple[int, int, Box, float]]
    tissues: tuple[str, ...] = ()
    counts: np.ndarray | None = None

    @property
    def slice_mm(self) -> float:
        return self.spacing[0]

    @property
    def pixel_mm(self) -> float:
        return self.spacing[1]

    def draw_look(self, rng: np.random.Generator) -> Look | None:
        """How an episode shows this scan: a random look for a generated body, None for a real one."""
        return draw_look(self.tissues, self.counts, rng) if self.kind == "synthetic" else None


@dataclass
class Target:
    """One object of one scan."""

    scan: PoolScan
    level: int
    number: int
    box: Box
    other: int | None = None  # an object that touches this one, where both are to be taken for one

    @property
    def slices(self) -> tuple[int, int]:
        """First and last slice with the object."""
        return self.box[0].start, self.box[0].stop - 1

    @property
    def count(self) -> int:
        """Slices of the scan."""
        return len(self.scan.structure)

    @property
    def slice_mm(self) -> float:
        return self.scan.slice_mm

    @property
    def pixel_mm(self) -> float:
        return self.scan.pixel_mm

    def _hits(self) -> np.ndarray:
        table = self.scan.tables[self.level]
        return table == self.number if self.other is None else (table == self.number) | (table == self.other)

    def joined(self, rng: np.random.Generator) -> Target:
        """This object and one that touches it, as one; this one alone if no other of its level touches it enough."""
        _, rows, columns = self.box
        areas = self.areas(range(*self.box[0].indices(self.count)))
        structure = self.scan.structure[self.box[0].start + int(areas.argmax())]
        structure = structure[max(0, rows.start - 1) : rows.stop + 1, max(0, columns.start - 1) : columns.stop + 1]
        numbers = self.scan.tables[self.level][structure]
        own = numbers == self.number
        around = numbers[ndimage.binary_dilation(own) & ~own]
        touching = np.bincount(around[around > 0])
        boxes = {number: box for level, number, box, _ in self.scan.objects if level == self.level}
        enough = [int(n) for n in np.flatnonzero(touching >= TOUCHING * around.size) if int(n) in boxes]
        if not enough:
            return self
        other = enough[int(rng.integers(len(enough)))]
        box = tuple(
            slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(self.box, boxes[other], strict=True)
        )
        return Target(self.scan, self.level, self.number, box, other)

    def areas(self, zs: Sequence[int]) -> np.ndarray:
        """Pixels of the object in each of the slices, (len(zs),)."""
        hits, part = self._hits(), self.scan.structure[:, self.box[1], self.box[2]]
        inside = [self.box[0].start <= z < self.box[0].stop for z in zs]
        return np.array([int(hits[part[z]].sum()) if seen else 0 for z, seen in zip(zs, inside, strict=True)])

    def crop_union(self, zs: Sequence[int]) -> Crop:
        """The box (top, bottom, left, right) of the object over the slices; of the whole object if it is in none."""
        union = self._hits()[self.scan.structure[list(zs)][:, self.box[1], self.box[2]]].any(0)
        top, left = self.box[1].start, self.box[2].start
        if not union.any():
            return top, self.box[1].stop, left, self.box[2].stop
        rows, columns = np.flatnonzero(union.any(1)), np.flatnonzero(union.any(0))
        return top + int(rows[0]), top + int(rows[-1]) + 1, left + int(columns[0]), left + int(columns[-1]) + 1

    def masks(self, zs: Sequence[int], crop: Crop | None = None, shifts: np.ndarray | None = None) -> np.ndarray:
        """(len(zs), rows, columns) bool; ``shifts`` (len(zs), 2) pixels (down, right) by which slices have moved."""
        return self._hits()[cut(self.scan.structure, zs, crop, shifts)]

    def regions(self, zs: Sequence[int], crop: Crop | None = None, shifts: np.ndarray | None = None) -> np.ndarray:
        """Partition (len(zs), rows, columns) int64, cropped and shifted like the masks."""
        return self.scan.partition_table[cut(self.scan.partition, zs, crop, shifts)].astype(np.int64)

    def images(
        self,
        zs: Sequence[int],
        rng: np.random.Generator,
        look: Look | None,
        crop: Crop | None = None,
        shifts: np.ndarray | None = None,
        average: int = 1,
        thick: int = 1,
    ) -> np.ndarray:
        """(len(zs), rows, columns) float32 in [0, 1], cropped and shifted like the masks.

        Each is the mean of ``average`` slices spread over ``thick`` around it.
        """
        steps = np.round((np.arange(average) - (average - 1) / 2) * thick / average).astype(int)
        places = np.clip(np.asarray(zs)[:, None] + steps, 0, self.count - 1)
        source = self.scan.image if look is None else self.scan.structure
        parts = np.stack([cut(source, places[:, n], crop, shifts) for n in range(average)], axis=1)
        if look is None:
            return parts.mean(axis=1, dtype=np.float32) / np.float32(255)
        return render_slices(parts, look, self.scan.spacing, rng, thick)


def cut(array: np.ndarray, zs: Sequence[int], crop: Crop | None, shifts: np.ndarray | None) -> np.ndarray:
    """Slices of (slice, row, column), cropped to (top, bottom, left, right), each moved by its own (down, right)
    pixels; what comes in from outside of the array repeats its border."""
    top, bottom, left, right = crop or (0, array.shape[1], 0, array.shape[2])
    if shifts is None:
        return array[np.asarray(zs), top:bottom, left:right]
    part = np.empty((len(zs), bottom - top, right - left), array.dtype)
    for n, (z, (down, across)) in enumerate(zip(zs, shifts, strict=True)):
        rows = np.clip(np.arange(top, bottom) - down, 0, array.shape[1] - 1)
        columns = np.clip(np.arange(left, right) - across, 0, array.shape[2] - 1)
        part[n] = array[z][rows][:, columns]
    return part


def _objects(level: int, labels: np.ndarray, genuine: bool) -> list[tuple[int, int, Box, float]]:
    """Objects of one label volume with the weights they are drawn with.

    Genuine structures all count, large ones a little more, so that vessels and other thin things are learned too. Of
    pseudo-objects the large and solid ones are drawn more often than slivers between organs.
    """
    counts = np.bincount(labels.ravel())
    solidity = np.ones(len(counts))
    if not genuine:
        same = labels[:, 1:] == labels[:, :-1]
        inside = np.zeros(labels.shape, bool)
        inside[:, 1:-1] = same[:, 1:] & same[:, :-1]
        same = labels[:, :, 1:] == labels[:, :, :-1]
        inside[:, :, 1:-1] &= same[:, :, 1:] & same[:, :, :-1]
        inside[:, :, [0, -1]] = False
        solidity = np.bincount(labels[inside], minlength=len(counts)) / np.maximum(counts, 1)
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
    """A prepared scan as pool entries: one with its pseudo-objects, one with its genuine labels if it has any."""
    spacing = tuple(float(value) for value in scan.spacing)
    levels = len(scan.objects)
    genuine = scan.kind == "synthetic"
    objects = [e for level in range(levels) for e in _objects(level, scan.object_labels(level), genuine)]
    table = scan.groups[min(1, levels - 1)]
    shared = {"image": scan.image, "partition": scan.regions, "partition_table": table, "spacing": spacing}
    entries = []
    if objects:
        entry = PoolScan(scan.name, scan.kind, structure=scan.regions, tables=scan.objects, objects=objects, **shared)
        if genuine:
            entry.tissues, entry.counts = scan.tissues, np.bincount(scan.regions.ravel(), minlength=len(table))
        entries.append(entry)
    if scan.labels.any():
        found = _objects(0, scan.labels, True)
        same = np.arange(256, dtype=np.int32)[None]
        if found:
            entries.append(PoolScan(scan.name, "labelled", structure=scan.labels, tables=same, objects=found, **shared))
    return entries


class TrainingPool:
    """Draws targets: first the kind of scan by ``shares``, then a scan, then one of its objects."""

    def __init__(self, scans: Sequence[PoolScan], shares: Mapping[str, float]) -> None:
        kinds = [kind for kind in shares if shares[kind] > 0 and any(scan.kind == kind for scan in scans)]
        if not kinds:
            raise InputError("There is nothing to train on: no scan has a structure on three or more slices.")
        weights = np.array([shares[kind] for kind in kinds], dtype=float)
        self.kinds, self.shares = kinds, weights / weights.sum()
        self.by_kind = {kind: [scan for scan in scans if scan.kind == kind] for kind in kinds}
        # A large scan shows more than a small one; forty small crops must not crowd out four whole bodies.
        self._scan_weights = {
            kind: _normalised([scan.structure.size if kind == "scan" else 1 for scan in self.by_kind[kind]])
            for kind in kinds
        }
        self._subjects: dict[str, list[PoolScan]] = {}
        for scan in scans:
            if scan.kind == "synthetic":
                self._subjects.setdefault(subject(scan.name), []).append(scan)
        self._weights = {id(scan): _normalised([entry[3] for entry in scan.objects]) for scan in scans}

    @classmethod
    def load(cls, folders: Sequence[Path], shares: Mapping[str, float]) -> TrainingPool:
        """From one or more prepared cache folders."""
        return cls([entry for folder in folders for scan in load_cache(folder) for entry in pool_scan(scan)], shares)

    def draw(self, rng: np.random.Generator) -> Target:
        """One target."""
        kind = self.kinds[int(rng.choice(len(self.kinds), p=self.shares))]
        scans = self.by_kind[kind]
        scan = scans[int(rng.choice(len(scans), p=self._scan_weights[kind]))]
        level, number, box, _ = scan.objects[int(rng.choice(len(scan.objects), p=self._weights[id(scan)]))]
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


def _normalised(weights: Sequence[float]) -> np.ndarray:
    array = np.asarray(weights, dtype=float)
    return array / array.sum()


def subject(name: str) -> str:
    """What scans of one generated subject have in common: the name without what follows '_patient'."""
    return name.split("_patient")[0]

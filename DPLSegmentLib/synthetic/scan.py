"""A synthetic scan: image, truth and their place in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry import Volume
from .anatomy import Anatomy, generate_anatomy
from .rendering import render

_WANTED = (
    "liver",
    "spleen",
    "left kidney",
    "right kidney",
    "stomach wall",
    "pancreas",
    "aorta",
    "vena cava",
    "gallbladder",
    "bladder",
    "left ventricle",
    "vertebrae",
    "left psoas",
    "right psoas",
)


@dataclass(frozen=True, eq=False)
class SyntheticScan:
    """A generated image and its anatomy, arrays (slice, row, column), slices to superior, rows to posterior,
    columns to the patient's left. ``organs``: labels a user would annotate (large enough, on several slices).
    """

    image: np.ndarray
    labels: np.ndarray
    names: dict[int, str]
    spacing: tuple[float, float, float]
    organs: tuple[int, ...]

    @property
    def ijk_to_world(self) -> np.ndarray:
        """(4, 4) to RAS mm, the middle of the grid at the origin; array order is (k, j, i)."""
        matrix = np.diag([-self.spacing[2], -self.spacing[1], self.spacing[0], 1.0])
        matrix[:3, 3] = -matrix[:3, :3] @ ((np.asarray(self.image.shape[::-1]) - 1) / 2)
        return matrix

    @property
    def volume(self) -> Volume:
        """The image as a volume."""
        return Volume(self.image, self.ijk_to_world, "synthetic scan")

    @property
    def label_volume(self) -> Volume:
        """The labels on the grid of ``volume``."""
        return Volume(self.labels, self.ijk_to_world, "synthetic labels")


def annotated_organs(anatomy: Anatomy, min_ml: float = 4.0, min_slices: int = 3) -> tuple[int, ...]:
    """Labels of organs that are large enough and on enough slices to be segmented."""
    voxel_ml = float(np.prod(anatomy.spacing)) / 1000
    organs = []
    for label, name in anatomy.names.items():
        mask = anatomy.labels == label
        if name in _WANTED and mask.sum() * voxel_ml >= min_ml and mask.any(axis=(1, 2)).sum() >= min_slices:
            organs.append(label)
    return tuple(organs)


def generate_scan(
    seed: int,
    shape: Sequence[int] = (40, 160, 160),
    spacing: Sequence[float] = (5.0, 2.0, 2.0),
    contrast: str = "ct",
) -> SyntheticScan:
    """A scan of a random body, the same for the same arguments. See ``generate_anatomy`` and ``render``."""
    anatomy = generate_anatomy(seed, shape, spacing)
    image = render(anatomy, seed, contrast)
    return SyntheticScan(image, anatomy.labels, anatomy.names, anatomy.spacing, annotated_organs(anatomy))

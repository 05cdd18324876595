"""Random bodies: which structures there are and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from .deformation import displacement, warp_labels
from .frame import build_frame
from .organs import build_organs
from .shapes import Canvas, Piece
from .vessels import build_vessels


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Labelled structures of one body.

    ``labels`` int16 (slice, row, column): slices to superior, rows to posterior, columns to the patient's
    left; 0 is the air around the body. ``names`` and ``kinds`` ('organ', 'vessel', 'bone', 'bowel', 'fat',
    'muscle', 'skin', 'air', 'fluid', 'lesion', 'couch', 'foam') per label; ``spacing`` mm (slice, row, column).
    """

    labels: np.ndarray
    names: dict[int, str]
    kinds: dict[int, str]
    spacing: tuple[float, float, float]


@dataclass
class Builder:
    """What the parts of the body are painted with: a canvas, its randomness, and the structures so far."""

    canvas: Canvas
    names: dict[int, str] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)

    @property
    def rng(self) -> np.random.Generator:
        """Source of all randomness of this body."""
        return self.canvas.rng

    def add(self, name: str, kind: str, pieces: Sequence[Piece], over: Sequence[int]) -> int:
        """Paint a new structure over the labels ``over`` and return its label."""
        label = len(self.names) + 1
        self.names[label], self.kinds[label] = name, kind
        self.canvas.paint(label, pieces, over)
        return label

    def near(self, values: Sequence[float], sigma: float) -> np.ndarray:
        """Values (3,) moved by a normal random step in mm."""
        return np.asarray(values, np.float64) + self.rng.normal(0.0, sigma, 3)

    def about(self, values: Sequence[float], spread: float = 0.15) -> np.ndarray:
        """Sizes (3,) scaled together and each by a little."""
        common = np.exp(self.rng.normal(0.0, spread))
        return np.asarray(values, np.float64) * common * np.exp(self.rng.normal(0.0, spread / 2, 3))

    def tilt(self, sigma: float = 0.2) -> np.ndarray:
        """Random rotation angles (3,)."""
        return self.rng.normal(0.0, sigma, 3)


def generate_anatomy(
    seed: int, shape: Sequence[int] = (40, 160, 160), spacing: Sequence[float] = (5.0, 2.0, 2.0)
) -> Anatomy:
    """A random body that fills the grid in-plane and runs through it along the slices; the same for one seed.

    ``shape`` voxels and ``spacing`` mm as (slice, row, column). Raises InputError if either cannot be used.
    """
    if len(shape) != 3 or min(shape[1:]) < 32 or shape[0] < 1:
        raise InputError(f"A synthetic body needs (slices, rows >= 32, columns >= 32), not {tuple(shape)}.")
    if len(spacing) != 3 or not min(spacing) > 0:
        raise InputError(f"The spacing of a synthetic body must be three positive lengths in mm, not {tuple(spacing)}.")
    rng = np.random.default_rng([seed, 1])
    extent = np.asarray(shape) * np.asarray(spacing)
    scale = min(extent[2] / 2 / 176, extent[1] / 2 / 128) * rng.uniform(0.85, 0.98)
    builder = Builder(Canvas(rng, shape, spacing, scale, centre_z=float(np.clip(rng.normal(10.0, 25.0), -60, 80))))
    inside = build_frame(builder)
    found = build_organs(builder, inside)
    build_vessels(builder, inside, found)
    return _compact(builder, spacing)


def _compact(builder: Builder, spacing: Sequence[float]) -> Anatomy:
    """Leave out structures that lie off the grid."""
    labels = builder.canvas.labels
    present = np.unique(labels[labels > 0])
    table = np.zeros(len(builder.names) + 1, np.int16)
    table[present] = np.arange(1, present.size + 1)
    names = {int(table[p]): builder.names[int(p)] for p in present}
    kinds = {int(table[p]): builder.kinds[int(p)] for p in present}
    return Anatomy(table[labels], names, kinds, tuple(float(s) for s in spacing))


def second_patient(anatomy: Anatomy, seed: int, strength: float = 1.0) -> Anatomy:
    """The same structures in another body: strongly but smoothly deformed, labels and names kept.

    ``strength`` 0 gives the same body; 1 moves structures by about 10 mm on a body of adult size.
    """
    rng = np.random.default_rng([seed, 2])
    shape, spacing = anatomy.labels.shape, anatomy.spacing
    unit = min(shape[1] * spacing[1], shape[2] * spacing[2]) / 320
    shift = displacement(rng, shape, spacing, 90 * unit, 9 * unit * strength)
    shift += displacement(rng, shape, spacing, 40 * unit, 3 * unit * strength)
    for axis in range(3):
        view = [1, 1, 1]
        view[axis] = shape[axis]
        place = ((np.arange(shape[axis]) - (shape[axis] - 1) / 2) * spacing[axis]).reshape(view)
        shift[axis] += place * np.float32(np.exp(rng.normal(0.0, 0.06 * strength)) - 1)
    shift[0] += rng.normal(0.0, 8 * unit * strength)
    return Anatomy(warp_labels(anatomy.labels, shift, spacing), dict(anatomy.names), dict(anatomy.kinds), spacing)

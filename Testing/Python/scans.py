"""Small scans with known truth for the end-to-end tests, and ways to turn, annotate and score them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from DPLSegmentLib import Volume

BALL, TUBE = 1, 2

# How to turn an array: numpy axes in their new order, and which of the new axes are reversed.
turns = st.tuples(
    st.sampled_from(list(itertools.permutations(range(3)))), st.tuples(st.booleans(), st.booleans(), st.booleans())
)


def frame(spacing: Sequence[float], shape: Sequence[int]) -> np.ndarray:
    """(4, 4) of a plain axial scan, ``spacing`` and ``shape`` as (k, j, i): i to the left, j to posterior, k up."""
    matrix = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.asarray(shape[::-1]) - 1) / 2) + (12.5, -7.25, 31.0)
    return matrix


def phantom(
    shape: Sequence[int] = (9, 56, 56),
    spacing: Sequence[float] = (6.0, 4.0, 4.0),
    *,
    shift: Sequence[float] = (0.0, 0.0, 0.0),
    size: float = 1.0,
    seed: int = 0,
) -> tuple[Volume, np.ndarray]:
    """A grey body with a bright ball (label 1), which ends inside the scan, and a dark slanting tube (label 2).

    Sizes are fractions of the scan's extent; ``shift`` (k, j, i) in the same unit moves everything, ``size`` scales
    ball and tube.
    """
    k, j, i = (
        ((np.arange(count) + 0.5) / count * 2 - 1 - move).reshape([-1 if axis == n else 1 for n in range(3)])
        for axis, (count, move) in enumerate(zip(shape, shift, strict=True))
    )
    image = np.full(shape, 5.0) + np.where((j / 0.85) ** 2 + (i / 0.9) ** 2 + 0 * k < 1, 100.0, 0.0)
    ball = (k / 0.7) ** 2 + ((j + 0.1) / 0.34) ** 2 + ((i + 0.35) / 0.34) ** 2 < size**2
    tube = ((j - 0.1 * k - 0.15) / 0.22) ** 2 + ((i - 0.45) / 0.2) ** 2 < size**2
    labels = np.zeros(shape, np.uint16)
    labels[tube], labels[ball] = TUBE, BALL
    image[tube], image[ball] = 55.0, 170.0
    image += np.random.default_rng(seed).normal(0.0, 4.0, shape)
    return Volume(image.astype(np.float32), frame(spacing, shape), "phantom"), labels


def annotate(truth: np.ndarray, places: Mapping[int, Iterable[int]] | None = None, axis: int = 0) -> np.ndarray:
    """``truth`` where each label is annotated: on its largest slice along numpy ``axis``, or on the given slices."""
    drawn = np.zeros_like(truth)
    for value in np.unique(truth[truth > 0]).tolist():
        mask = truth == value
        area = mask.sum(axis=tuple(n for n in range(3) if n != axis))
        for place in [int(area.argmax())] if places is None else places.get(value, ()):
            chosen = tuple(place if n == axis else slice(None) for n in range(3))
            drawn[chosen][mask[chosen]] = value
    return drawn


def dice(labels: np.ndarray, truth: np.ndarray, value: int, drawn: np.ndarray | None = None, axis: int = 0) -> float:
    """3-D Dice of one label, the slices on which ``drawn`` shows it left out."""
    found, wanted = labels == value, truth == value
    if drawn is not None:
        annotated = (drawn == value).any(axis=tuple(n for n in range(3) if n != axis), keepdims=True)
        found, wanted = found & ~annotated, wanted & ~annotated
    return float(2 * (found & wanted).sum() / max(1, found.sum() + wanted.sum()))


def turned(array: np.ndarray, turn: tuple[Sequence[int], Sequence[bool]]) -> np.ndarray:
    """The array with its axes in another order and some of them reversed."""
    order, flips = turn
    return np.ascontiguousarray(np.flip(np.transpose(array, order), [n for n, flip in enumerate(flips) if flip]))


def turned_volume(volume: Volume, turn: tuple[Sequence[int], Sequence[bool]]) -> Volume:
    """The same voxels in the same places of the patient, stored in another order."""
    to_old = np.zeros((4, 4))
    to_old[3, 3] = 1.0
    for new, (old, flip) in enumerate(zip(*turn, strict=True)):
        to_old[2 - old, 2 - new] = -1.0 if flip else 1.0
        to_old[2 - old, 3] = volume.array.shape[old] - 1 if flip else 0.0
    return Volume(turned(volume.array, turn), volume.ijk_to_world @ to_old, volume.name)


def rotation(axis: Sequence[float], degrees: float) -> np.ndarray:
    """(4, 4) rotation about an axis through the origin."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix = np.eye(4)
    angle = np.radians(degrees)
    matrix[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return matrix

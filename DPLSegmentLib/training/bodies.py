"""Generated bodies for training: random grids, couches, second patients, and the shape they are cached in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..synthetic import Anatomy, generate_anatomy, second_patient, with_couch
from .codec import smallest
from .training_scan import TrainingScan

FIRST_SEED = 10_000
COUCH_RATE = 0.6
# Sheets around the body, and what is outside of it, are no objects a user would segment.
_NO_OBJECTS = ("skin", "subcutaneous fat", "inner fat", "muscle wall", "couch", "couch foam")


def random_grid(seed: int) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    """Shape 30..60 x 128..224 x same and spacing 2..8 mm x pixels that show about 400 mm, as (slice, row,
    column)."""
    rng = np.random.default_rng([seed, 4])
    pixels = int(rng.integers(16, 29)) * 8
    pixel = float(rng.uniform(340, 440)) / pixels
    return (int(rng.integers(30, 61)), pixels, pixels), (float(rng.uniform(2, 8)), pixel, pixel)


def body_scan(anatomy: Anatomy, seed: int, patient: int = 1) -> TrainingScan:
    """A generated body for the cache, with one level of objects, its structures, and no image.

    An image would be one look out of many, and hundreds of times larger than the structures it is drawn from.
    """
    table = np.arange(max(anatomy.names, default=0) + 1, dtype=np.int32)
    objects = np.array([0 if anatomy.names.get(int(i), "skin") in _NO_OBJECTS else i for i in table], np.int32)
    shape = anatomy.labels.shape
    return TrainingScan(
        name=f"synth_{seed:04d}_patient{patient}",
        kind="synthetic",
        image=np.zeros((0, *shape[1:]), np.uint8),
        spacing=np.asarray(anatomy.spacing, np.float32),
        regions=smallest(anatomy.labels),
        groups=table[None],
        objects=objects[None],
        labels=np.zeros((0, *shape[1:]), np.uint8),
        label_names=tuple(anatomy.names[int(i)] for i in table[1:]),
        tissues=tuple(anatomy.kinds[int(i)] for i in table[1:]),
    )


def generate_bodies(
    count: int,
    pairs: int,
    first_seed: int = FIRST_SEED,
    grid: tuple[tuple[int, int, int], tuple[float, float, float]] | None = None,
) -> Iterator[TrainingScan]:
    """``count`` random bodies; the first ``pairs`` of them also as a second patient. ``grid``: shape and spacing of
    all, drawn for each if None."""
    for seed in range(first_seed, first_seed + count):
        anatomy = generate_anatomy(seed, *(grid or random_grid(seed)))
        patients = [anatomy, second_patient(anatomy, seed)] if seed < first_seed + pairs else [anatomy]
        for patient, body in enumerate(patients, start=1):
            number = 2 * seed + patient
            lies = np.random.default_rng([number, 5]).random() < COUCH_RATE
            yield body_scan(with_couch(body, number) if lies else body, seed, patient)

"""The couch a patient lies on: a curved plate with a hard shell, and a mattress, behind the body."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy


def with_couch(anatomy: Anatomy, seed: int) -> Anatomy:
    """The same body on a couch; the same for one seed. The air around the body alone gives way."""
    rng = np.random.default_rng([seed, 6])
    labels = anatomy.labels.copy()
    _, rows, columns = labels.shape
    occupied = np.flatnonzero((labels > 0).any(axis=(0, 2)))
    if not len(occupied):
        return anatomy
    back = (int(occupied[-1]) + 1) * anatomy.spacing[1]
    across = (np.arange(columns) - (columns - 1) / 2) * anatomy.spacing[2] + rng.normal(0.0, 8.0)
    half = 0.5 * columns * anatomy.spacing[2] * rng.uniform(0.7, 1.0)
    # The edges of most couches rise towards the patient.
    top = back - rng.uniform(0.0, 6.0) - rng.uniform(0.0, 25.0) * (across / half) ** 2
    mattress, plate, shell = rng.uniform(0.0, 16.0), rng.uniform(10.0, 35.0), rng.uniform(1.5, 4.0)
    depth = np.arange(rows)[:, None] * anatomy.spacing[1] - top[None]
    wide = (np.abs(across) < half)[None]
    foam = wide & (depth >= 0) & (depth < mattress + plate)
    inside = depth - mattress
    hard = wide & (((inside >= 0) & (inside < shell)) | ((inside >= plate - shell) & (inside < plate)))
    free = labels == 0
    names, kinds = dict(anatomy.names), dict(anatomy.kinds)
    for name, kind, area in (("couch foam", "foam", foam & ~hard), ("couch", "couch", hard)):
        place = free & area[None]
        if place.any():
            value = max(names, default=0) + 1
            labels[place] = value
            names[value], kinds[value] = name, kind
    return Anatomy(labels, names, kinds, anatomy.spacing)

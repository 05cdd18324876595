"""Synthetic bodies in the format of the training cache.

Command line: ``python -m DPLSegmentLib.training.synthetic_cache --output DIR --count N``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..synthetic import Anatomy, generate_anatomy, render, second_patient
from .cache import TrainingScan

# Sheets around the body are no objects a user would segment.
_FRAME = ("skin", "subcutaneous fat", "inner fat", "muscle wall")


def random_grid(seed: int) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    """Shape 30..60 x 128..224 x same and spacing 2..8 mm x pixels that show about 400 mm, as (slice, row,
    column)."""
    rng = np.random.default_rng([seed, 4])
    pixels = int(rng.integers(16, 29)) * 8
    pixel = float(rng.uniform(340, 440)) / pixels
    return (int(rng.integers(30, 61)), pixels, pixels), (float(rng.uniform(2, 8)), pixel, pixel)


def synthetic_training_scan(anatomy: Anatomy, seed: int, patient: int = 1) -> TrainingScan:
    """Training scan with one level: its regions are the structures, its image a CT-like rendering."""
    table = np.arange(max(anatomy.names) + 1, dtype=np.int32)
    objects = np.array([0 if anatomy.names.get(int(i), "skin") in _FRAME else i for i in table], np.int32)
    return TrainingScan(
        name=f"synth_{seed:04d}_patient{patient}",
        image=np.round(np.clip(render(anatomy, seed + 500_000 * (patient - 1), "ct"), -1000, 1500)).astype(np.int16),
        spacing=np.asarray(anatomy.spacing, np.float32),
        regions=anatomy.labels.astype(np.uint16),
        groups=table[None],
        objects=objects[None],
        labels=np.zeros(anatomy.labels.shape, np.uint8),
        label_names=tuple(anatomy.names[i] for i in sorted(anatomy.names)),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m DPLSegmentLib.training.synthetic_cache", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the .npz files")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--pairs", type=int, default=75, help="how many of them also get a second patient")
    parser.add_argument("--first-seed", type=int, default=10_000)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    for seed in range(options.first_seed, options.first_seed + options.count):
        anatomy = generate_anatomy(seed, *random_grid(seed))
        patients = [anatomy, second_patient(anatomy, seed)] if seed < options.first_seed + options.pairs else [anatomy]
        for patient, body in enumerate(patients, start=1):
            scan = synthetic_training_scan(body, seed, patient)
            scan.save(options.output / f"{scan.name}.npz")
            print(f"{scan.name}: {scan.image.shape}, {np.count_nonzero(scan.objects)} structures", flush=True)


if __name__ == "__main__":
    main()

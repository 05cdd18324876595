"""Wall time and peak memory of the command line on two CPU cores, process start included.

Runs ``python -m DPLSegmentLib segment`` on generated scans with four annotated labels and prints a table; the
exit code is 1 when a limit is exceeded. The cases ``other`` and ``thin`` segment another patient of the same size::

    python Testing/Benchmarks/time_and_memory.py [--cases small,large,other,thin] [--weights W] [--output results.json]

Unix only (the child's own peak memory comes from ``wait4``).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # benchmarks measure the checkout they lie in, installed or not

from DPLSegmentLib.synthetic import generate_scan  # noqa: E402

CORES = 2
LABELS = 4
SEED, QUERY_SEED = 1, 2  # of the generated bodies


@dataclass(frozen=True)
class Case:
    """A scan's size (columns, rows, slices), whether another patient's is segmented, and what it may cost."""

    size: tuple[int, int, int]
    seconds: float
    gibibytes: float
    another_patient: bool = False


@dataclass(frozen=True)
class Cost:
    """What one run took."""

    case: str
    seconds: float
    gibibytes: float
    within_limits: bool


CASES = {
    "small": Case((256, 256, 36), 25.0, 3.0),
    "large": Case((512, 512, 129), 120.0, 4.0),
    "other": Case((256, 256, 36), 40.0, 3.0, another_patient=True),
    "thin": Case((256, 256, 155), 120.0, 4.0, another_patient=True),
}


def main() -> int:
    """Measure the chosen cases and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ", ".join(CASES)
    options.add_argument("--cases", default=",".join(CASES), help=f"comma-separated, of {names} (default: all)")
    options.add_argument("--weights", type=Path, help="weights file (default: the bundled one)")
    options.add_argument("--output", type=Path, help="JSON file for the figures")
    arguments = options.parse_args()
    chosen = arguments.cases.split(",")
    if unknown := set(chosen) - set(CASES):
        options.error(f"no such case: {', '.join(sorted(unknown))}")

    costs = [measure(name, CASES[name], arguments.weights) for name in chosen]
    print("| scan | seconds | allowed | GiB | allowed |\n| --- | --- | --- | --- | --- |")
    for cost in costs:
        case = CASES[cost.case]
        size = " x ".join(map(str, case.size)) + (", another patient" if case.another_patient else "")
        print(f"| {size} | {cost.seconds:.1f} | {case.seconds:g} | {cost.gibibytes:.2f} | {case.gibibytes:g} |")
    if arguments.output:
        arguments.output.write_text(json.dumps([asdict(cost) for cost in costs], indent=1) + "\n", encoding="utf-8")
    return 0 if all(cost.within_limits for cost in costs) else 1


def measure(name: str, case: Case, weights: Path | None = None) -> Cost:
    """Run the command line once on generated scans of the case's size."""
    with tempfile.TemporaryDirectory() as folder:
        scan, annotation, output, query = (
            str(Path(folder, f"{file}.nii.gz")) for file in ("scan", "annotation", "out", "query")
        )
        # In a process of its own: Linux counts what the parent of a child held in the peak of the child.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as maker:
            maker.submit(write_case, case.size, scan, annotation).result()
            if case.another_patient:
                maker.submit(write_case, case.size, query, annotation=None, seed=QUERY_SEED).result()
        command = [sys.executable, "-m", "DPLSegmentLib", "segment", "--quiet", "--device", "cpu"]
        command += ["--support", scan, "--annotation", annotation, "--output", output]
        if case.another_patient:
            command += ["--query", query]
        if weights:
            command += ["--weights", str(weights.resolve())]
        seconds, gibibytes = _run(command)
    return Cost(name, seconds, gibibytes, seconds <= case.seconds and gibibytes <= case.gibibytes)


def write_case(size: tuple[int, int, int], scan_path: str, annotation: str | None, seed: int = SEED) -> None:
    """Write a generated CT resampled to ``size``, and its four largest organs, each on its largest slice."""
    scan = generate_scan(seed)
    image = _resampled(scan.volume.to_sitk(), size, sitk.sitkLinear)
    labels = sitk.GetArrayFromImage(_resampled(scan.label_volume.to_sitk(), size, sitk.sitkNearestNeighbor))
    # Interpolation smooths the noise away; real scans of this size have some in every voxel.
    noisy = sitk.GetArrayFromImage(image) + np.random.default_rng(seed).normal(0, 10, labels.shape)
    voxels = sitk.GetImageFromArray(np.rint(noisy).astype(np.int16))
    voxels.CopyInformation(image)
    sitk.WriteImage(voxels, scan_path)
    if annotation is None:
        return

    counts = np.bincount(labels.ravel())
    organs = sorted(scan.organs, key=lambda organ: -counts[organ])[:LABELS]
    if len(organs) < LABELS:
        raise RuntimeError(f"The generated scan has only {len(organs)} organs; choose another seed.")
    drawn = np.zeros(labels.shape, np.uint8)
    for value, organ in enumerate(organs, start=1):
        index = int((labels == organ).sum(axis=(1, 2)).argmax())
        drawn[index][labels[index] == organ] = value
    painted = sitk.GetImageFromArray(drawn)
    painted.CopyInformation(image)
    sitk.WriteImage(painted, annotation)


def _resampled(image: sitk.Image, size: tuple[int, int, int], interpolator: int) -> sitk.Image:
    """The same field of view on a grid of ``size`` voxels."""
    spacing = [old * step / new for old, step, new in zip(image.GetSize(), image.GetSpacing(), size, strict=True)]
    return sitk.Resample(
        image, size, sitk.Transform(), interpolator, image.GetOrigin(), spacing, image.GetDirection(), 0.0
    )


def _run(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak resident GiB of a command on two cores. Raises RuntimeError when it fails."""
    environment = os.environ | {"OMP_NUM_THREADS": str(CORES), "MKL_NUM_THREADS": str(CORES)}
    start = time.perf_counter()
    child = subprocess.Popen(command, cwd=ROOT, env=environment)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(child.pid, sorted(os.sched_getaffinity(0))[:CORES])
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)  # already waited for: keeps Popen from trying again
    if child.returncode:
        raise RuntimeError(f"'{' '.join(command)}' ended with exit code {child.returncode}.")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return seconds, usage.ru_maxrss * unit / 2**30


if __name__ == "__main__":
    sys.exit(main())

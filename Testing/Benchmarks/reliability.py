"""Does the uncertainty mean what it says? How often voxels are wrong, by the probability of that which was given.

Voxels within 10 mm of the found surface of a label, by the uncertainty about that label alone; every label of every
scan counts as much as another. The same scan (S1), or another patient (R1) by scans that follow one another in a fold.

    python Testing/Benchmarks/reliability.py --data DIR --set chaos_t2 [--protocol R1] [--weights W]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # benchmarks measure the checkout they lie in, installed or not

from DPLSegmentLib import InputError, OneShotSegmenter  # noqa: E402
from DPLSegmentLib.evaluation.methods import DplMethod  # noqa: E402
from DPLSegmentLib.evaluation.protocols import PROTOCOLS, make_episode  # noqa: E402
from DPLSegmentLib.evaluation.scans import folds, load_scan, scan_names  # noqa: E402
from DPLSegmentLib.evaluation.uncertainty import near_surface  # noqa: E402

EDGES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)


def pairs_of_scans(names: list[str], protocol: str) -> list[tuple[str, str]]:
    """(support, query)."""
    if protocol == "S1":
        return [(name, name) for name in names]
    return [(part[n], part[(n + 1) % len(part)]) for part in folds(names) if len(part) > 1 for n in range(len(part))]


def voxels(options: argparse.Namespace) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of every label of every pair: probabilities given, and whether the voxels are wrong."""
    method = DplMethod(OneShotSegmenter.load(device=options.device, weights=options.weights))
    for support, query in pairs_of_scans(scan_names(options.data, options.set), options.protocol):
        scans = [load_scan(options.data, options.set, name) for name in (support, query)]
        episode = make_episode(PROTOCOLS[options.protocol], *scans, 1)
        prediction = method.segment(episode, 0)
        for label in episode.scored:
            found, truth = prediction.masks[label], scans[1].truth == label
            near = near_surface(found, scans[1].spacing_kji) & episode.scored_slices(label)[:, None, None]
            if near.any():
                yield prediction.about(label)[near], (found != truth)[near]


def reliability(found: Iterator[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(bins, 3): share of the voxels, mean probability given, share of them that is wrong."""
    sums, labels = np.zeros((len(EDGES) - 1, 3)), 0
    for given, wrong in found:
        place = np.digitize(given, EDGES[1:-1], right=True)
        parts = [np.bincount(place, values, len(sums)) for values in (np.ones(len(given)), given, wrong)]
        sums += np.stack(parts, axis=1) / len(given)
        labels += 1
    counts = sums[:, :1]
    return np.concatenate([counts / max(1, labels), sums[:, 1:] / np.where(counts, counts, np.nan)], axis=1)


def main() -> int:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="chaos_t2")
    parser.add_argument("--protocol", choices=("S1", "R1"), default="S1")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    try:
        table = reliability(voxels(options))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print("| probability | voxels | given | wrong |\n| --- | --- | --- | --- |")
    for (low, high), (share, given, wrong) in zip(zip(EDGES, EDGES[1:], strict=False), table, strict=True):
        print(f"| {low:g} to {high:g} | {share:.3f} | {given:.3f} | {wrong:.3f} |")
    print(f"\nMean difference, weighed by voxels: {np.nansum(table[:, 0] * np.abs(table[:, 1] - table[:, 2])):.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""One annotated slice, the rest of the same scan: DPLSegment and three baselines, side by side.

Each label is annotated on its largest slice along the acquisition axis (the k axis of the file); the score is
3-D Dice over all other slices, averaged over the labels of a scan and then over scans::

    python Testing/Benchmarks/same_scan.py --data DIR --set chaos_t2 [--methods dpl,growcut,flow,knn]
           [--limit N] [--output results.json]

``growcut`` is Slicer's Grow from seeds (needs slicer-core), ``flow`` TV-L1 optical flow (needs scikit-image),
``knn`` nearest neighbours on raw patches and position (needs scipy): ``pip install ".[benchmark]"``. The
baselines segment each label by itself; "labels alone" is their mean Dice before conflicts are resolved.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from baselines.conflicts import resolve
from data import Scan, load_scans
from protocol import Score, annotation_of, largest_slices, organ_scores, parser, save, scan_limit, table

from DPLSegmentLib import InputError
from DPLSegmentLib.evaluation import dice

BASELINES = {
    "growcut": "baselines.grow_from_seeds",
    "flow": "baselines.optical_flow",
    "knn": "baselines.nearest_neighbours",
}
# (scan, annotated slice of each label) -> (label map, mean Dice of its labels alone, for baselines)
Method = Callable[[Scan, dict[int, int]], tuple[np.ndarray, float | None]]


def main() -> int:
    """Run the chosen methods on the chosen set and print the table."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument(
        "--methods",
        default="dpl,growcut,flow,knn",
        help="comma-separated, of dpl, growcut, flow, knn (default: all)",
    )
    arguments = options.parse_args()
    try:
        methods = {name: _method(name, arguments) for name in arguments.methods.split(",")}
        scores = []
        for scan in load_scans(arguments.data, arguments.set, scan_limit(arguments.limit)):
            for name, method in methods.items():
                scores.append(_score(scan, name, method))
                print(
                    f"{scan.name} {name}: {scores[-1].mean:.3f} in {scores[-1].seconds:.1f} s",
                    file=sys.stderr,
                )
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(scores))
    if arguments.output:
        save(
            arguments.output,
            "same scan, 3-D Dice without each label's annotated slice",
            arguments.set,
            scores,
        )
    return 0


def _score(scan: Scan, name: str, method: Method) -> Score:
    slices = largest_slices(scan)
    start = time.perf_counter()
    labels, alone = method(scan, slices)
    seconds = time.perf_counter() - start
    return Score(scan.name, name, organ_scores(labels, scan, excluded=slices), seconds, alone)


def _method(name: str, arguments) -> Method:
    if name == "dpl":
        return _dpl(arguments)
    if name not in BASELINES:
        raise InputError(f"There is no method '{name}'; choose from dpl, {', '.join(BASELINES)}.")
    baseline = importlib.import_module(BASELINES[name])

    def run(scan: Scan, slices: dict[int, int]) -> tuple[np.ndarray, float]:
        drawn = {value: {index: scan.truth[index] == value} for value, index in slices.items()}
        alone = []

        def scores() -> Iterator[tuple[int, np.ndarray]]:
            for value, score in baseline.scores(scan.volume.array, scan.spacing_kji, drawn):
                alone.append(dice(score > 0.5, scan.truth == value, [slices[value]]))
                yield value, score

        labels = resolve(scan.truth.shape, drawn, scores())
        return labels, float(np.mean(alone))

    return run


def _dpl(arguments) -> Method:
    from DPLSegmentLib import OneShotSegmenter

    segmenter = OneShotSegmenter.load(device=arguments.device, weights=arguments.weights)

    def run(scan: Scan, slices: dict[int, int]) -> tuple[np.ndarray, None]:
        segmenter.clear_cache()  # encoding belongs to the time of a scan
        segmenter.set_support(scan.volume, annotation_of(scan, slices), slice_axis=2)
        return segmenter.segment().labels, None

    return run


if __name__ == "__main__":
    sys.exit(main())

"""One annotated slice of one patient, the whole scan of another: DPLSegment on abdominal MR.

Support: scan 2 of chaos_t2, each organ annotated on its largest slice. Queries: all other scans of the set;
every slice counts. 3-D Dice, averaged over the organs of a query and then over queries::

    python Testing/Benchmarks/another_patient.py --data DIR [--support 2] [--limit N] [--output results.json]
"""

from __future__ import annotations

import sys
import time

from data import load_scan, scan_names
from protocol import Score, annotation_of, largest_slices, organ_scores, parser, save, scan_limit, table

from DPLSegmentLib import InputError, OneShotSegmenter

SET = "chaos_t2"


def main() -> int:
    """Segment every query from the one support and print the table."""
    options = parser(__doc__.splitlines()[0], default_set=SET)
    options.add_argument("--support", default="2", metavar="NAME", help="the annotated scan (default: 2)")
    arguments = options.parse_args()
    try:
        names = scan_names(arguments.data, SET)
        if arguments.support not in names:
            raise InputError(f"There is no scan '{arguments.support}' in {SET}; choose from {', '.join(names)}.")
        names.remove(arguments.support)
        support = load_scan(arguments.data, SET, arguments.support)
        segmenter = OneShotSegmenter.load(device=arguments.device, weights=arguments.weights)
        segmenter.set_support(support.volume, annotation_of(support, largest_slices(support)), slice_axis=2)
        scores = []
        for name in names[: scan_limit(arguments.limit)]:
            query = load_scan(arguments.data, SET, name)
            start = time.perf_counter()
            labels = segmenter.segment(query.volume).labels
            seconds = time.perf_counter() - start
            scores.append(Score(name, "dpl", organ_scores(labels, query), seconds))
            print(f"{name}: {scores[-1].mean:.3f} in {seconds:.1f} s", file=sys.stderr)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(scores))
    if arguments.output:
        save(arguments.output, f"another patient, support {SET} {arguments.support}, all slices", SET, scores)
    return 0


if __name__ == "__main__":
    sys.exit(main())

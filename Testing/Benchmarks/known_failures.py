"""A picture of what goes wrong: structures of one scan, annotated on one slice, as found and as they are.

Each panel looks at the scan from the front: the image is the mean over the structure's depth, orange is what was found,
the blue line what is there, the white line the annotated slice.
Needs the installed project with its ``benchmark`` extra.

    python Testing/Benchmarks/known_failures.py --data DIR --set trunk_ct --labels 52 79 18 20 --output failures.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from DPLSegmentLib import InputError, OneShotSegmenter
from DPLSegmentLib.evaluation.metrics import dice
from DPLSegmentLib.evaluation.protocols import PROTOCOLS, SLICE_AXIS, make_episode
from DPLSegmentLib.evaluation.scans import load_scan, scan_names

MARGIN = 12  # voxels around a structure
FOUND, TRUE = "#e69f00", "#56b4e9"


def coronal_box(masks: list[np.ndarray]) -> tuple[slice, slice, slice]:
    """(k, j, i) box around masks, with a margin along k and i."""
    places = np.argwhere(np.any(masks, axis=0))
    low, high = places.min(0), places.max(0) + 1
    reach = np.array([MARGIN, 0, MARGIN])
    low = np.maximum(low - reach, 0)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high + reach, strict=True))


def panel(axes, image: np.ndarray, truth: np.ndarray, found: np.ndarray, drawn: int, spacing, title: str) -> None:
    """One structure from the front, feet down."""
    box = coronal_box([truth, found])
    back = np.clip(image[box], *np.percentile(image[box], [2, 99])).mean(axis=1)
    across, up = spacing[2] * back.shape[1], spacing[0] * back.shape[0]
    extent = (0.0, across, 0.0, up)
    axes.imshow(back, cmap="gray", origin="lower", extent=extent, interpolation="nearest")
    shown = found[box].any(axis=1)
    axes.imshow(
        np.ma.masked_where(~shown, shown), cmap=_one_color(FOUND), origin="lower", extent=extent, alpha=0.6, vmin=0
    )
    axes.contour(truth[box].any(axis=1).astype(float), [0.5], colors=TRUE, linewidths=1.4, extent=extent)
    axes.axhline((drawn - box[0].start + 0.5) * spacing[0], color="white", linewidth=0.8)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def _one_color(color: str):
    from matplotlib.colors import ListedColormap

    return ListedColormap([color])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that contains the set's folder")
    parser.add_argument("--set", required=True, help="set of scans")
    parser.add_argument("--scan", help="name of the scan (default: the first)")
    parser.add_argument("--labels", type=int, nargs="+", required=True, help="structures to show")
    parser.add_argument("--weights", help="weights file (default: the bundled one)")
    parser.add_argument("--output", type=Path, required=True, help="PNG to write")
    options = parser.parse_args()
    try:
        draw(options)
    except InputError as error:
        parser.error(str(error))
    print(f"Wrote {options.output}")


def draw(options: argparse.Namespace) -> None:
    """Segment, and write the picture. Raises InputError for bad input."""
    scan = load_scan(options.data, options.set, options.scan or scan_names(options.data, options.set)[0])
    episode = make_episode(PROTOCOLS["S1"], scan, scan, 1)
    unknown = [label for label in options.labels if label not in episode.drawn]
    if unknown:
        known = ", ".join(map(str, sorted(episode.drawn)))
        raise InputError(f"The scan '{scan.name}' does not show the label {unknown[0]}; choose among {known}.")
    segmenter = OneShotSegmenter.load(weights=options.weights)
    segmenter.set_support(scan.volume, episode.annotation(), slice_axis=SLICE_AXIS)
    result = segmenter.segment()
    figure = Figure(figsize=(2.3 * len(options.labels), 3.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for number, label in enumerate(options.labels, start=1):
        truth, found = scan.truth == label, result.mask(label)
        (drawn,) = episode.drawn[label]
        title = f"{scan.labels[label]}: {dice(found, truth, [drawn]):.2f}"
        axes = figure.add_subplot(1, len(options.labels), number)
        panel(axes, scan.volume.array, truth, found, drawn, scan.spacing_kji, title)
    figure.savefig(options.output)


if __name__ == "__main__":
    main()

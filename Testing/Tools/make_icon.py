"""Draw the extension's icon: a stack of slices, an organ in each, and one of them painted by hand.

    python Testing/Tools/make_icon.py

writes Resources/Icons/DPLSegment.png, 128 x 128 pixels on a transparent ground. Needs matplotlib (the ``benchmark``
extra).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Polygon
from matplotlib.path import Path as Outline

SIZE = 128
ICON = Path(__file__).parents[2] / "Resources" / "Icons" / "DPLSegment.png"

# A slice seen from above and the front: unit square [-1, 1]^2 to pixels, y upwards.
TO_PIXELS = np.array([[31.0, 31.0], [-15.5, 15.5]])
CENTRES = (33.0, 64.0, 95.0)  # of the three slices, from the bottom to the top
PAINTED = 2

SLICE, SLICE_EDGE = "#8fa6c0", "#40536b"
PAINTED_SLICE, PAINTED_EDGE = "#ffffff", "#1f2d3d"
FOUND, FOUND_EDGE = "#ffc48f", "#b8601c"
ORGAN, ORGAN_EDGE = "#e8590c", "#8f3200"

# Sizes of the organ in the slices: it tapers, as organs do.
ORGAN_SCALES = (0.95, 1.1, 1.0)


def on_slice(points: np.ndarray, centre: float) -> np.ndarray:
    """(n, 2) points of the unit square to pixels on the slice whose middle is ``centre`` pixels up."""
    return points @ TO_PIXELS.T + (SIZE / 2, centre)


def bean() -> Outline:
    """A closed outline like a liver's: wide on one side, hollow below."""
    angle = np.linspace(0, 2 * np.pi, 97)
    radius = 0.66 + 0.10 * np.cos(angle - 2.5) - 0.17 * np.exp(-(((angle - 5.2) / 0.45) ** 2))
    return Outline(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), closed=True)


def draw() -> Figure:
    """The icon as a figure of 128 x 128 pixels at 100 dots per inch."""
    figure = Figure(figsize=(SIZE / 100, SIZE / 100), dpi=100)
    figure.patch.set_alpha(0)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, SIZE), ylim=(0, SIZE))
    axes.set_axis_off()
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    for index, (centre, scale) in enumerate(zip(CENTRES, ORGAN_SCALES, strict=True)):
        painted = index == PAINTED
        face, edge, width = (PAINTED_SLICE, PAINTED_EDGE, 2.2) if painted else (SLICE, SLICE_EDGE, 1.4)
        axes.add_patch(
            Polygon(on_slice(square, centre), closed=True, facecolor=face, edgecolor=edge, lw=width, joinstyle="round")
        )
        face, edge, width = (ORGAN, ORGAN_EDGE, 1.6) if painted else (FOUND, FOUND_EDGE, 1.2)
        outline = bean()
        organ = Outline(on_slice(outline.vertices * scale, centre), closed=True)
        axes.add_patch(PathPatch(organ, facecolor=face, edgecolor=edge, lw=width))
    return figure


def main() -> None:
    """Write the icon."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ICON)
    output = parser.parse_args().output
    output.parent.mkdir(parents=True, exist_ok=True)
    draw().savefig(output, dpi=100, transparent=True, metadata={"Software": None})
    print(output)


if __name__ == "__main__":
    main()

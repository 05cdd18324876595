"""The figure of an evaluation: Dice of every pair of scans, organ by organ and method by method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .results import Row
from .tables import over_seeds

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_HEIGHT, _COLUMN, _MARGIN = 480, 26, 12


def write_figure(path: Path, rows: Sequence[Row], title: str) -> None:
    """Write a PNG: one dot a pair of scans, a box from the first to the third quartile, a bar at the median.

    With matplotlib it has axes and names; without it there are the bare dots and boxes, organ by organ in the order of
    the tables, methods side by side in each, and lines at every tenth of Dice.
    """
    rows = over_seeds(rows)
    organs = list(dict.fromkeys(row.organ for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    values = {
        (organ, method): np.array([row.dice for row in rows if (row.organ, row.method) == (organ, method)])
        for organ in organs
        for method in methods
    }
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        sitk.WriteImage(sitk.GetImageFromArray(_drawn(organs, methods, values), isVector=True), str(path))
        return
    figure = Figure(figsize=(max(5.0, 1.2 + 0.35 * len(organs) * (len(methods) + 1)), 4.5), dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, organ in enumerate(organs):
        for number, method in enumerate(methods):
            found = values[organ, method]
            if len(found) == 0:
                continue
            x = place + (number - (len(methods) - 1) / 2) * 0.8 / len(methods)
            color = _COLORS[number % len(_COLORS)]
            axes.plot(x + _jitter(len(found)) * 0.5 / len(methods), found, ".", color=color, alpha=0.5, markersize=4)
            low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
            half = 0.3 / len(methods)
            axes.plot([x - half, x + half], [middle, middle], color=color, linewidth=2)
            axes.fill_between([x - half, x + half], low, high, color=color, alpha=0.2, linewidth=0)
    for number, method in enumerate(methods):
        axes.plot([], [], "s", color=_COLORS[number % len(_COLORS)], label=method)
    axes.set_xticks(
        range(len(organs)), organs, rotation=35 if len(organs) > 5 else 0, ha="right" if len(organs) > 5 else "center"
    )
    axes.set(ylim=(-0.02, 1.02), ylabel="3-D Dice", title=title)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, ncols=min(len(methods), 4), fontsize="small")
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})


def _drawn(organs: Sequence[str], methods: Sequence[str], values: dict) -> np.ndarray:
    """(rows, columns, 3) uint8."""
    width = _MARGIN * 2 + (len(methods) + 1) * _COLUMN * len(organs)
    sheet = np.full((_HEIGHT + 2 * _MARGIN, width, 3), 255, np.uint8)

    def row(dice: float) -> int:
        return _MARGIN + round((1 - dice) * (_HEIGHT - 1))

    for tenth in range(11):
        sheet[row(tenth / 10), _MARGIN:-_MARGIN] = 0 if tenth in (0, 10) else 210
    for place, organ in enumerate(organs):
        for number, method in enumerate(methods):
            found = values[organ, method]
            if len(found) == 0:
                continue
            color = np.array([int(_COLORS[number % len(_COLORS)][n : n + 2], 16) for n in (1, 3, 5)])
            left = _MARGIN + (place * (len(methods) + 1) + number) * _COLUMN + _COLUMN // 2
            low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
            box = sheet[row(high) : row(low) + 1, left : left + _COLUMN - 6]
            box[:] = (0.7 * box + 0.3 * color).astype(np.uint8)
            sheet[row(middle) - 1 : row(middle) + 1, left : left + _COLUMN - 6] = color
            centre = left + (_COLUMN - 6) // 2
            for shift, dice in zip(_jitter(len(found)), found, strict=True):
                x, y = centre + round(float(shift) * 8), row(float(dice))
                sheet[y - 1 : y + 2, x - 1 : x + 2] = color
    return sheet


def _jitter(count: int) -> np.ndarray:
    """Sideways places in -1 to 1 that keep dots apart; the same for every figure."""
    return (np.arange(count) * 0.618034) % 1.0 * 2 - 1

"""Two evaluations side by side: the paired difference of Dice, with an interval and a p-value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .results import Row, read_rows, read_settings
from .statistics import bootstrap_interval, sign_flip_test
from .tables import MEAN, figure_text, markdown, over_seeds

_SAME = ("protocol", "set")


@dataclass(frozen=True)
class Difference:
    """Second less first, mean Dice over ``pairs`` pairs of scans with ``queries`` queries."""

    organ: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    pairs: int
    queries: int


def compare(first: Sequence[Row], second: Sequence[Row]) -> list[Difference]:
    """Differences of the means, and of each organ, over the labels and pairs of scans that both have.

    Seeds are averaged first. The interval resamples queries and supports; the p-value flips the signs of the queries'
    mean differences, so that a query counts once, however many supports it had.

    Raises:
        InputError: nothing in common.
    """
    one, other = _by_place(first), _by_place(second)
    shared = [place for place in one if place in other]
    if not shared:
        raise InputError("The two evaluations have no pair of scans in common; compare runs on the same set.")
    organs = {MEAN: shared}
    for place in shared:
        organs.setdefault(one[place].organ, []).append(place)
    return [_difference(organ, places, one, other) for organ, places in organs.items()]


def read_side(text: str) -> tuple[Path, list[Row]]:
    """The rows of ``FOLDER`` or ``FOLDER:METHOD``; of a folder with several methods, ``dpl`` unless named.

    Raises:
        InputError: no such results.
    """
    folder, _, method = text.rpartition(":")
    if not folder or not (Path(folder) / "results.csv").is_file():
        folder, method = text, ""
    rows = read_rows(Path(folder))
    methods = list(dict.fromkeys(row.method for row in rows))
    chosen = method or ("dpl" if "dpl" in methods or not methods else methods[0])
    if chosen not in methods:
        raise InputError(f"There are no results of '{chosen}' in '{folder}'; it has {', '.join(methods) or 'none'}.")
    return Path(folder), [row for row in rows if row.method == chosen]


def check_comparable(first: Path, second: Path) -> None:
    """Raise InputError when two folders hold results of different protocols or sets."""
    one, other = (read_settings(folder).get("settings", {}) for folder in (first, second))
    for name in _SAME:
        if one.get(name) != other.get(name):
            raise InputError(
                f"The evaluations differ in their {name} ({one.get(name)}, {other.get(name)}); compare like with like."
            )


def comparison_table(differences: Sequence[Difference], first: str, second: str) -> str:
    """Markdown table of differences."""
    rows = [
        [
            part.organ,
            f"{part.first:.3f}",
            f"{part.second:.3f}",
            figure_text(part.difference, part.low, part.high, 4),
            f"{part.p_value:.4f}",
            f"{part.pairs} / {part.queries}",
        ]
        for part in differences
    ]
    return markdown(["Dice", first, second, "difference", "p", "pairs / queries"], rows)


def _by_place(rows: Sequence[Row]) -> dict[tuple, Row]:
    return {(row.fold, row.support, row.query, row.label): row for row in over_seeds(rows) if not math.isnan(row.dice)}


def _difference(organ: str, places: Sequence[tuple], one: dict[tuple, Row], other: dict[tuple, Row]) -> Difference:
    pairs: dict[tuple, list[tuple[float, float]]] = {}
    for place in places:
        pairs.setdefault(place[:3], []).append((one[place].dice, other[place].dice))
    means = np.array([np.mean(values, axis=0) for values in pairs.values()])
    change = means[:, 1] - means[:, 0]
    queries = [(fold, query) for fold, _, query in pairs]
    supports = [(fold, support) for fold, support, _ in pairs]
    low, high = bootstrap_interval(change, queries, supports)
    by_query: dict[tuple, list[float]] = {}
    for query, value in zip(queries, change, strict=True):
        by_query.setdefault(query, []).append(float(value))
    p_value = sign_flip_test([float(np.mean(values)) for values in by_query.values()])
    first, second = (float(value) for value in means.mean(axis=0))
    return Difference(organ, first, second, float(change.mean()), low, high, p_value, len(pairs), len(by_query))

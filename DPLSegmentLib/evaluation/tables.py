"""From single scores to tables: means over pairs of scans with intervals, every support by itself, seeds."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .results import NAN, Row
from .statistics import Statistic, bootstrap_interval, weighted_mean, weighted_median

MEAN = "mean"  # of a pair's labels


@dataclass(frozen=True)
class Measure:
    """A column: its title, where it comes from, and how it is summed up."""

    name: str
    title: str
    value: Callable[[Row], float]
    statistic: Statistic = weighted_mean
    digits: int = 3


MEASURES = (
    Measure("dice", "Dice", lambda row: row.dice),
    Measure("dice_alone", "Dice, labels alone", lambda row: row.dice_alone),
    Measure("hd95_mm", "HD95 in mm, median", lambda row: row.hd95, weighted_median, 1),
    Measure("surface_dice", "surface Dice", lambda row: row.surface_dice),
    Measure("auroc", "AUROC of the uncertainty", lambda row: row.auroc),
    Measure("auroc_alone", "AUROC of the uncertainty about the label alone", lambda row: row.auroc_alone),
    Measure("worst_found", "worst slice among the 3 most uncertain", lambda row: row.worst_found),
    Measure("worst_at_ends", "worst slice at the ends, uncertainty not looked at", lambda row: row.worst_at_ends),
)


@dataclass(frozen=True)
class Cell:
    """A figure with its 95 % interval, over so many pairs of scans."""

    method: str
    organ: str
    measure: str
    value: float
    low: float
    high: float
    pairs: int


def over_seeds(rows: Iterable[Row]) -> list[Row]:
    """One row for each method, pair and label: the mean over seeds."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault((row.method, row.fold, row.support, row.query, row.label), []).append(row)
    merged = []
    for part in groups.values():
        names = (
            "dice",
            "dice_alone",
            "hd95",
            "surface_dice",
            "auroc",
            "auroc_alone",
            "worst_found",
            "worst_at_ends",
            "found_ml",
            "seconds",
        )
        means = {name: float(np.mean([getattr(row, name) for row in part])) for name in names}
        merged.append(replace(part[0], seed=0, **means))
    return merged


def pair_values(rows: Iterable[Row], value: Callable[[Row], float]) -> dict[tuple[str, str, str], float]:
    """(fold, support, query) -> mean over the pair's labels, of those that have the measure."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if not math.isnan(value(row)):
            groups.setdefault((row.fold, row.support, row.query), []).append(value(row))
    return {pair: float(np.mean(values)) for pair, values in groups.items()}


def summary(rows: Sequence[Row]) -> list[Cell]:
    """Every measure of every method: of each organ, and of the pairs' means over their organs."""
    rows = over_seeds(rows)
    cells = []
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        groups = {organ: [row for row in own if row.organ == organ] for organ in dict.fromkeys(r.organ for r in own)}
        for organ, part in {MEAN: own, **groups}.items():
            cells += [cell for measure in MEASURES if (cell := _cell(method, organ, part, measure)) is not None]
    return cells


def _cell(method: str, organ: str, rows: Sequence[Row], measure: Measure) -> Cell | None:
    if organ == MEAN and measure.statistic is weighted_mean:
        found = pair_values(rows, measure.value)
    else:
        # A median of means would hide the organs that were not found at all.
        rows = [row for row in rows if not math.isnan(measure.value(row))]
        found = {(row.fold, row.support, row.query, row.label): measure.value(row) for row in rows}
    if not found:
        return None
    values = np.array(list(found.values()))
    queries = [(key[0], key[2]) for key in found]
    supports = [(key[0], key[1]) for key in found]
    value = float(measure.statistic(values, np.ones((1, len(values))))[0])
    low, high = bootstrap_interval(values, queries, supports, measure.statistic)
    pairs = len({key[:3] for key in found})
    return Cell(method, organ, measure.name, value, low, high, pairs)


def summary_csv(cells: Sequence[Cell]) -> str:
    """The cells as CSV text."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["method", "organ", "measure", "value", "low", "high", "pairs"])
    for cell in cells:
        numbers = ["" if math.isnan(number) else f"{number:.6g}" for number in (cell.value, cell.low, cell.high)]
        writer.writerow([cell.method, cell.organ, cell.measure, *numbers, cell.pairs])
    return stream.getvalue()


def measure_tables(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """(title, Markdown table) of every measure that has figures: organs down, methods across."""
    tables = []
    for measure in MEASURES:
        own = {(cell.organ, cell.method): cell for cell in cells if cell.measure == measure.name}
        if not own:
            continue
        methods = list(dict.fromkeys(method for _, method in own))
        organs = list(dict.fromkeys(organ for organ, _ in own))
        rows = [[organ, *(_text(own.get((organ, name)), measure.digits) for name in methods)] for organ in organs]
        pairs = [max((c.pairs for c in cells if c.method == name), default=0) for name in methods]
        rows.append(["pairs of scans", *map(str, pairs)])
        tables.append((measure.title, markdown(["", *methods], rows)))
    return tables


def support_table(rows: Sequence[Row], method: str) -> str:
    """Dice from each single support, over its queries: organs across, supports down in the order of their folds."""
    rows = [row for row in over_seeds(rows) if row.method == method]
    organs = list(dict.fromkeys(row.organ for row in rows))
    lines = []
    for fold, support in sorted({(row.fold, row.support) for row in rows}, key=lambda pair: tuple(map(_natural, pair))):
        own = [row for row in rows if (row.fold, row.support) == (fold, support)]
        per_organ = [[row.dice for row in own if row.organ == organ] for organ in organs]
        mean = np.mean(list(pair_values(own, lambda row: row.dice).values()))
        queries = len({row.query for row in own})
        lines.append([fold, support, f"{mean:.3f}", *(_mean(values) for values in per_organ), str(queries)])
    return markdown(["fold", "support", MEAN, *organs, "queries"], lines)


def seed_spread(rows: Sequence[Row], method: str) -> tuple[float, float, int]:
    """Mean Dice over seeds, standard deviation (n - 1) between seeds, number of seeds; over pairs that all seeds have.

    The deviation is NaN for one seed.
    """
    by_seed: dict[int, dict] = {}
    for row in rows:
        if row.method == method:
            by_seed.setdefault(row.seed, {})[(row.fold, row.support, row.query, row.label)] = row
    shared = set.intersection(*(set(part) for part in by_seed.values()))
    means = []
    for part in by_seed.values():
        values = pair_values([part[key] for key in sorted(shared)], lambda row: row.dice)
        means.append(np.mean(list(values.values())) if values else NAN)
    spread = float(np.std(means, ddof=1)) if len(means) > 1 else NAN
    return float(np.mean(means)), spread, len(means)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def figure_text(value: float, low: float, high: float, digits: int = 3) -> str:
    """``value [low, high]``; the value alone without an interval."""
    if math.isnan(low):
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _text(cell: Cell | None, digits: int) -> str:
    return "–" if cell is None else figure_text(cell.value, cell.low, cell.high, digits)


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}" if values else "–"


def _natural(name: str) -> tuple[int, str]:
    return len(name), name

"""The report of an evaluation: what was run, and every table, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .protocols import Protocol
from .results import Row
from .tables import MEAN, Cell, markdown, measure_tables, seed_spread, support_table


def make_report(
    rows: Sequence[Row], cells: Sequence[Cell], facts: dict[str, Any], protocol: Protocol, figure: str
) -> str:
    """The text of ``report.md``; ``facts`` is the content of ``settings.json``."""
    settings = facts["settings"]
    methods = list(dict.fromkeys(row.method for row in rows))
    tolerances = sorted({row.tolerance for row in rows})
    slices = f"{settings['annotated_slices']} annotated slice{'s' if settings['annotated_slices'] > 1 else ''} a label"
    parts = [
        f"# {settings['protocol']}, {settings['set']}",
        f"Protocol {protocol.name}: {protocol.summary}; {slices}, {settings['episodes']} episodes. "
        "In brackets: 95 % intervals from resampling queries and supports. "
        f'"{MEAN}" averages the labels of a pair of scans, then the pairs. Surface Dice at '
        f"{_span(tolerances)} mm. HD95 is a median, infinite where a label was not found; in the same scan it and "
        "surface Dice include the annotated slices.",
        f"![Dice of every pair of scans]({figure})",
    ]
    for title, table in measure_tables(cells):
        parts += [f"## {title}", table]
    if not protocol.same_scan:
        for method in methods:
            parts += [f"## Dice from each support: {method}", support_table(rows, method)]
        parts.append(
            "Published figures come from one support a fold, and codes differ in which: ADNet's takes the last scan of "
            "the fold. The mean over all supports is above."
        )
    parts += ["## Seeds and seconds", _seeds(rows, methods), "## How it was made"]
    parts += ["```\n" + "\n".join(facts["commands"]) + "\n```"] if facts["commands"] else []
    facts_lines = [f"- {name}: {value}" for name, value in facts["versions"].items()]
    facts_lines += [f"- weights, fold {fold}: SHA-256 {entry['sha256']}" for fold, entry in facts["weights"].items()]
    if settings["enhancement"]:
        changes = ", ".join(f"{name} = {value}" for name, value in settings["enhancement"].items())
        facts_lines.append(f"- enhancement: {changes}")
    parts.append("\n".join(facts_lines))
    return "\n\n".join(parts) + "\n"


def _seeds(rows: Sequence[Row], methods: Sequence[str]) -> str:
    lines = []
    for method in methods:
        mean, spread, count = seed_spread(rows, method)
        # All labels of a joint episode carry the time of the whole; those of binary ones add up.
        times: dict[tuple, set[float]] = {}
        for row in rows:
            if row.method == method:
                times.setdefault((row.seed, row.fold, row.support, row.query), set()).add(row.seconds)
        seconds = np.mean([sum(values) for values in times.values()])
        deviation = "–" if math.isnan(spread) else f"{spread:.4f}"
        lines.append([method, f"{mean:.3f}", deviation, str(count), f"{seconds:.1f}"])
    return markdown(["method", "mean Dice", "deviation between seeds", "seeds", "seconds a query"], lines)


def _span(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"

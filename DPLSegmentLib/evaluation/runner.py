"""Running an evaluation: every method on every pair of scans, each score written down as it comes."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import SimpleITK
import torch

from ..errors import InputError
from ..pending import PendingFiles, require_writable
from ..version import __version__
from ..writing import write_json
from .figure import write_figure
from .methods import Method
from .options import Group, Options, make_groups, shared_settings
from .protocols import Episode, Protocol, make_episode
from .report import make_report
from .results import SETTINGS, ResultFile, Row, agree
from .scans import Scan, load_scan
from .scoring import score
from .tables import summary, summary_csv

REPORT, SUMMARY, FIGURE = "report.md", "summary.csv", "figure.png"


def evaluate(options: Options, tell: Callable[[str], None]) -> list[Row]:
    """Run what is not done yet, then write tables and figure; returns all rows of the folder.

    ``tell`` gets one line an episode. Everything that a wrong option can do wrong is found before anything is written.

    Raises:
        InputError: options that do not fit together, scans or weights that cannot be used, an output folder that holds
            other results or cannot be written.
    """
    protocol, settings = shared_settings(options)
    groups = make_groups(options, protocol)
    weights = {
        group.fold: {"path": info.path, "sha256": info.sha256}
        for group in groups
        if (info := group.workshop.weights) is not None
    }
    stored = agree(options.output, settings, {fold: entry["sha256"] for fold, entry in weights.items()})
    results = ResultFile(options.output)
    _make_folder(options.output)
    facts = {
        "settings": settings,
        "weights": {**stored.get("weights", {}), **weights},
        "commands": [*stored.get("commands", []), *([options.command] if options.command else [])],
        "versions": _versions(),
        "device": options.device,
        "threads": torch.get_num_threads(),
    }
    write_json(options.output / SETTINGS, facts)
    results.open()
    for group in groups:
        _Run(group, options, protocol, settings, results, tell).all()
    rows = list(results.rows.values())
    _write(options.output, rows, facts, protocol)
    return rows


@dataclass
class _Run:
    """One group of scans."""

    group: Group
    options: Options
    protocol: Protocol
    settings: dict[str, Any]
    results: ResultFile
    tell: Callable[[str], None]

    def all(self) -> None:
        """Every method with every seed on every pair."""
        jobs = [
            (name, method, seed)
            for name, method in self.group.workshop.methods.items()
            for seed in (range(self.options.seeds) if method.seeded else (0,))
        ]
        supports = self.group.queries if self.protocol.same_scan else self.group.supports
        total, done, began = len(supports) * len(jobs), 0, time.perf_counter()
        for support in supports:
            for job in jobs:
                found = self._from_support(self._scan(support), *job)
                if found:
                    minutes = (time.perf_counter() - began) / (done + 1) * (total - done - 1) / 60
                    self.tell(
                        f"fold {self.group.fold}, support {support}, {job[0]}, seed {job[2]}: mean Dice "
                        f"{sum(row.dice for row in found) / len(found):.3f} ({done + 1} of {total} runs, about "
                        f"{minutes:.0f} min left)"
                    )
                done += 1

    def _from_support(self, support: Scan, name: str, method: Method, seed: int) -> list[Row]:
        """The rows of all queries of a support, those that are not known yet computed."""
        found = []
        for episode in self._episodes(support):
            keys = [(name, seed, self.group.fold, support.name, episode.query.name, label) for label in episode.scored]
            if not all(key in self.results.rows for key in keys):
                began = time.perf_counter()
                prediction = method.segment(episode, seed)
                seconds = time.perf_counter() - began
                facts = {"method": name, "seed": seed, "fold": self.group.fold, "seconds": seconds}
                rows = score(episode, prediction, tolerance=self.options.tolerance, **facts)
                self.results.add(rows)
                scores = ", ".join(f"{row.organ} {row.dice:.3f}" for row in rows[:6])
                self.tell(f"  {support.name} to {episode.query.name}: {scores} in {seconds:.1f} s")
            found += [self.results.rows[key] for key in keys]
        return found

    def _episodes(self, support: Scan) -> Iterator[Episode]:
        """Label by label on the outside, so that what the support gives is found once for all of its queries."""
        queries = [support.name] if self.protocol.same_scan else [n for n in self.group.queries if n != support.name]
        binary = self.settings["episodes"] == "binary"
        for label in support.labels if binary else (None,):
            for query in queries:
                scan = support if self.protocol.same_scan else self._scan(query)
                episode = make_episode(self.protocol, support, scan, self.settings["annotated_slices"])
                if label is None:
                    yield episode
                elif label in episode.scored:
                    yield episode.only(label)

    def _scan(self, name: str) -> Scan:
        return load_scan(self.options.data, self.options.set_name, name)


def _write(folder: Path, rows: Sequence[Row], facts: dict[str, Any], protocol: Protocol) -> None:
    cells = summary(rows)
    with PendingFiles() as pending:
        pending.add(folder / SUMMARY, ".csv").write_text(summary_csv(cells), encoding="utf-8")
        report = make_report(rows, cells, facts, protocol, FIGURE)
        pending.add(folder / REPORT, ".md").write_text(report, encoding="utf-8")
        title = f"{facts['settings']['protocol']}, {facts['settings']['set']}"
        write_figure(pending.add(folder / FIGURE, ".png"), rows, title)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"The folder '{folder}' cannot be made ({problem.strerror}); choose another place.") from None
    require_writable(folder / SETTINGS, "output")


def _versions() -> dict[str, str]:
    return {
        "DPLSegmentLib": __version__,
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "SimpleITK": SimpleITK.Version.VersionString(),
        "platform": f"{platform.system()} {platform.machine()}",
    }

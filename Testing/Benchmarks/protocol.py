"""What the accuracy benchmarks share: which slices are annotated, how a run is scored and written down."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from data import SETS, Scan

from DPLSegmentLib import InputError
from DPLSegmentLib.evaluation import dice

WIDEST = 8  # more organs than this make rows instead of columns


@dataclass(frozen=True)
class Score:
    """One method on one scan: ``organs`` is 3-D Dice by organ name.

    ``alone`` is the mean Dice of a method that segments each label by itself, before conflicts are resolved.
    """

    scan: str
    method: str
    organs: dict[str, float]
    seconds: float
    alone: float | None = None

    @property
    def mean(self) -> float:
        """Mean Dice over the scan's organs."""
        return float(np.mean(list(self.organs.values())))


def largest_slices(scan: Scan) -> dict[int, int]:
    """For each label the index (along k) of the slice on which it has most voxels, the first of equals."""
    return {value: int((scan.truth == value).sum(axis=(1, 2)).argmax()) for value in scan.labels}


def annotation_of(scan: Scan, slices: Mapping[int, int]) -> np.ndarray:
    """(k, j, i) uint16 label map of what the user drew: each label on its own slice only."""
    drawn = np.zeros(scan.truth.shape, np.uint16)
    for value, index in slices.items():
        drawn[index][scan.truth[index] == value] = value
    return drawn


def organ_scores(labels: np.ndarray, scan: Scan, excluded: Mapping[int, int] | None = None) -> dict[str, float]:
    """3-D Dice by organ name; each label's ``excluded`` slice (along k) does not count for it."""
    left_out = {value: [index] for value, index in (excluded or {}).items()}
    return {
        name: dice(labels == value, scan.truth == value, left_out.get(value, ())) for value, name in scan.labels.items()
    }


def table(scores: Sequence[Score]) -> str:
    """Markdown table of means over scans: methods down, organs across; for many organs turned round."""
    methods = list(dict.fromkeys(score.method for score in scores))
    organs = list(dict.fromkeys(name for score in scores for name in score.organs))
    rows = {}
    for method in methods:
        own = [score for score in scores if score.method == method]
        cells = {"mean": _number(score.mean for score in own)}
        for organ in organs:
            cells[organ] = _number(score.organs[organ] for score in own if organ in score.organs)
        if any(score.alone is not None for score in scores):
            alone = [score.alone for score in own if score.alone is not None]
            cells["labels alone"] = _number(alone) if alone else "–"
        cells["scans"] = str(len(own))
        cells["seconds a scan"] = f"{np.mean([score.seconds for score in own]):.1f}"
        rows[method] = cells
    titles = list(rows[methods[0]])
    if len(organs) <= WIDEST:
        return _markdown(["method", *titles], [[method, *rows[method].values()] for method in methods])
    return _markdown(["", *methods], [[title, *(rows[method][title] for method in methods)] for title in titles])


def save(path: Path, protocol: str, set_name: str, scores: Sequence[Score]) -> None:
    """Write every single score, and the means, as JSON."""
    methods = list(dict.fromkeys(score.method for score in scores))
    result = {
        "protocol": protocol,
        "set": set_name,
        "python": platform.python_version(),
        "mean": {m: float(np.mean([score.mean for score in scores if score.method == m])) for m in methods},
        "scores": [asdict(score) | {"mean": score.mean} for score in scores],
    }
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def parser(description: str, default_set: str | None = None) -> argparse.ArgumentParser:
    """The options that the accuracy benchmarks share; with ``default_set`` there is no choice of a set."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--data", type=Path, required=True, help="folder that contains the sets' folders")
    if default_set is None:
        made.add_argument("--set", choices=sorted(SETS), required=True, help="set of scans")
    made.add_argument("--limit", type=int, help="only the first so many scans")
    made.add_argument("--output", type=Path, help="JSON file for all single scores")
    made.add_argument("--device", default="cpu", help="device of the dpl method (default: cpu)")
    made.add_argument("--weights", type=Path, help="weights file of the dpl method (default: the bundled one)")
    return made


def scan_limit(limit: int | None) -> int | None:
    """A usable ``--limit``. Raises InputError below one scan."""
    if limit is not None and limit < 1:
        raise InputError(f"The limit is {limit} scans; give at least 1.")
    return limit


def _number(values: Iterable[float]) -> str:
    return f"{np.mean(list(values)):.3f}"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

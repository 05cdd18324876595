"""Single scores on disk: written as they come, read again when a run goes on."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import InputError

RESULTS, SETTINGS = "results.csv", "settings.json"
NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """One label of one episode by one method. Distances in mm, volumes in ml; NaN where a measure is not defined.

    ``dice_alone``: before conflicts between labels were resolved; ``auroc``, ``auroc_alone`` (of the
    uncertainty about this label alone), ``worst_found`` and ``worst_at_ends``: see
    :mod:`~.uncertainty`; ``seconds``: of the whole episode, encoding included where the scan was not encoded yet.
    """

    method: str
    seed: int
    fold: str
    support: str
    query: str
    label: int
    organ: str
    dice: float
    dice_alone: float
    hd95: float
    surface_dice: float
    tolerance: float
    auroc: float
    auroc_alone: float
    worst_found: float
    worst_at_ends: float
    truth_ml: float
    found_ml: float
    seconds: float

    @property
    def key(self) -> tuple:
        """What makes it this row and no other."""
        return self.method, self.seed, self.fold, self.support, self.query, self.label


class ResultFile:
    """``results.csv`` of a folder; a line that was being written when a run was killed is dropped."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / RESULTS
        self.rows = {row.key: row for row in read_rows(folder)} if self.path.is_file() else {}

    def open(self) -> None:
        """Write what is known, whole lines only; from here on rows are added."""
        temporary = self.path.with_name(f".{RESULTS}")
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(field.name for field in fields(Row))
            writer.writerows(_cells(row) for row in self.rows.values())
        os.replace(temporary, self.path)

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows and see that they are on the disk."""
        rows = list(rows)
        with self.path.open("a", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows(_cells(row) for row in rows)
            stream.flush()
            os.fsync(stream.fileno())
        self.rows |= {row.key: row for row in rows}


def read_rows(folder: Path) -> list[Row]:
    """The rows of a result folder. Raises InputError when there are none, or the file is another one."""
    path = folder / RESULTS
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise InputError(f"There is no {RESULTS} in '{folder}'; give the output folder of an evaluation.") from None
    names = [field.name for field in fields(Row)]
    lines = list(csv.reader(text[: text.rfind("\n") + 1].splitlines()))
    if not lines or lines[0] != names:
        raise InputError(f"The file '{path}' is not one of this version's evaluations; choose another folder.")
    kinds = {"str": str, "int": int, "float": lambda cell: float(cell) if cell else NAN}
    readers = [kinds[field.type] for field in fields(Row)]
    rows = [Row(*(read(cell) for read, cell in zip(readers, line, strict=True))) for line in lines[1:]]
    return list({row.key: row for row in rows}.values())


def read_settings(folder: Path) -> dict[str, Any]:
    """``settings.json`` of a result folder; empty if there is none."""
    try:
        return json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise InputError(f"The file '{folder / SETTINGS}' cannot be read; choose another folder.") from None


def agree(folder: Path, fixed: Mapping[str, Any], weights: Mapping[str, str]) -> dict[str, Any]:
    """The settings stored in a folder, if any, after a check that new results may join those there.

    Args:
        fixed: settings that must be the same for all results of a folder.
        weights: fold -> SHA-256 of the weights to be evaluated.

    Raises:
        InputError: the folder holds results of other settings, or of other weights for the same fold.
    """
    stored = read_settings(folder)
    if not stored:
        if (folder / RESULTS).exists():
            raise InputError(f"The folder '{folder}' has {RESULTS} but no {SETTINGS}; choose another --output.")
        return stored
    for name, value in fixed.items():
        if stored.get("settings", {}).get(name) != value:
            before = stored.get("settings", {}).get(name)
            raise InputError(
                f"The folder '{folder}' holds results with {name} = {before}, not {value}; choose another --output."
            )
    for fold, digest in weights.items():
        if stored.get("weights", {}).get(fold, {}).get("sha256", digest) != digest:
            raise InputError(f"The folder '{folder}' holds results of other weights; choose another --output.")
    return stored


def _cells(row: Row) -> list[str]:
    return [("" if value != value else f"{value:.6g}") if isinstance(value, float) else value for value in astuple(row)]

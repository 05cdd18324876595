"""The mean of the weights of several runs that began with the same ones.

Runs that differ in their episodes alone end in the same wide valley of the loss; its middle often generalises better
than any one of them, at no cost when it is used (model soups: Wortsman et al., ICML 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from .stored import read_stored

_NEEDED = ("average", "config", "update")


def average_runs(checkpoints: Sequence[Path]) -> dict[str, Any]:
    """What ``export`` needs of a checkpoint, for the mean of the averaged weights (EMA) of one or several runs.

    Raises InputError if a checkpoint cannot be read, or if the runs began with different weights: between these lies
    nothing useful.
    """
    stored = [_read(path) for path in checkpoints]
    first = stored[0]
    if len(stored) == 1:
        return {"runs": 1, **{name: first[name] for name in (*_NEEDED, "figures") if name in first}}
    for path, other in zip(checkpoints, stored, strict=True):
        if "start" not in other:
            raise InputError(f"'{path}' does not tell what its run began with; give the run's 'checkpoint.pt'.")
        if other["config"] != first["config"] or not _equal(other["start"], first["start"]):
            raise InputError(
                f"The runs '{checkpoints[0]}' and '{path}' began with different weights; average only runs that began "
                "with the same ones."
            )
    average = {
        name: torch.stack([each["average"][name].double() for each in stored]).mean(0).to(value.dtype)
        for name, value in first["average"].items()
    }
    update = sum(each["update"] for each in stored)
    return {"runs": len(stored), "average": average, "config": first["config"], "update": update}


def _read(path: Path) -> dict[str, Any]:
    stored = read_stored(path, "checkpoint")
    if not (isinstance(stored, dict) and stored.keys() >= set(_NEEDED)):
        raise InputError(f"'{path}' is no checkpoint of a training run; give its 'checkpoint.pt'.")
    return stored


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())

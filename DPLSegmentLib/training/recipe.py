"""Recipes: several runs, one after the other, each stage from the weights of the one before.

On few cores, and in few minutes of a GPU, parts are better trained one after the other than all at once: features and
prototypes first, then the walks, which cost most. A last stage that is named several times is run as often, each time
from the same weights and with a seed of its own, and the mean of these runs' weights is the outcome (``averaging.py``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from .configs import TrainingConfig
from .processes import Processes
from .run import RunConfig, export_average, train


def stage_folders(output: Path, names: Sequence[str]) -> list[Path]:
    """Where the stages of a recipe leave their runs; a single one in the output folder itself."""
    if len(names) == 1:
        return [output]
    return [output / f"stage-{number}-{name}" for number, name in enumerate(names, start=1)]


def shared_minutes(stages: Sequence[TrainingConfig], minutes: float) -> list[float]:
    """``minutes`` for all stages together, in the proportion of their own (evenly where one of them has none)."""
    own = [stage.minutes for stage in stages]
    if not all(own):
        return [minutes / len(stages)] * len(stages)
    return [minutes * part / sum(own) for part in own]


def train_recipe(
    runs: Sequence[RunConfig], output: Path, processes: Processes, progress: Callable[[float, str], None] | None = None
) -> list[Path]:
    """Train one or several stages in turn; returns the weights files of the last one, or the mean of its runs, in
    ``output`` (in the first process).

    A recipe that goes on finds its finished stages done: they have no update left.

    Raises InputError for anything that the user gave and that cannot be used.
    """
    last: list[Path] = []
    for number, run in enumerate(runs, start=1):
        if len(runs) > 1 and processes.first and not run.quiet:
            print(f"Stage {number} of {len(runs)}, {run.name}: {run.training.purpose}", flush=True)
        last = train(run, processes, progress)
    repeated = [run for run in runs if run.name == runs[-1].name]
    if len(repeated) > 1:
        return [export_average(repeated, output, processes.device)] if processes.first else []
    if len(runs) > 1:
        for path in last:
            for part in (path, path.with_name(f"{path.name}.sha256")):
                shutil.copyfile(part, output / part.name)
    return [output / path.name for path in last]

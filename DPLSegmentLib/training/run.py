"""One training run from folders of scans to exported weights: what the ``train`` command does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..checkpoint import save_weights
from ..errors import InputError
from ..model import DPLModel, ModelConfig
from ..version import __version__
from .averaging import average_runs
from .cache import DataConfig, prepare_cache
from .configs import TrainingConfig
from .initial import initial_model
from .loop import BEST, CHECKPOINT, Trainer
from .pool import TrainingPool, pool_scan
from .processes import Processes
from .training_scan import TrainingScan
from .validation import Validation

WEIGHTS_FILE, BEST_FILE, CACHE_FOLDER = "weights.pt", "weights-best.pt", "cache"


@dataclass(frozen=True)
class RunConfig:
    """One run. ``notes`` are kept in the exported weights: data, licence."""

    name: str
    training: TrainingConfig
    data: DataConfig
    output: Path
    cache: Path
    init: Path | None = None
    resume: bool = False
    validation: Path | None = None
    workers: int | None = None
    quiet: bool = False
    notes: tuple[tuple[str, str], ...] = ()


def require_fresh(output: Path, resume: bool) -> None:
    """Raise InputError if the output folder already holds something, unless the run is resumed."""
    if output.exists() and not output.is_dir():
        raise InputError(f"The output '{output}' is a file; give a folder.")
    if not resume and output.is_dir() and any(output.iterdir()):
        raise InputError(f"The output folder '{output}' is not empty; give another, or go on with --resume.")


def train(config: RunConfig, processes: Processes, progress: Callable[[float, str], None] | None = None) -> list[Path]:
    """Prepare the data, train, validate, export; returns the weights files (in the first process).

    Raises InputError for anything that the user gave and that cannot be used.
    """
    if processes.first:
        config.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.training.seed)
    model = initial_model(config.init)
    if config.training.follows is not None:
        model.config = replace(model.config, follows=config.training.follows)
    cache = config.cache
    if processes.first:
        prepare_cache(config.data, cache, progress)
    processes.wait()
    # The first process has prepared everything by now; the others find it done.
    files = prepare_cache(config.data, cache)
    pool = TrainingPool([e for path in files for e in pool_scan(TrainingScan.load(path))], dict(config.training.shares))
    validation = None
    if processes.first:
        training = config.training
        validation = Validation(training.validation_bodies, training.validation_grid, config.validation)
    trainer = Trainer(
        config.training, pool, config.output, model, processes, validation, config.workers, config.init is not None
    )
    if config.resume and trainer.resume() and processes.first and not config.quiet:
        print(f"Going on after update {trainer.update}.", flush=True)
    # Nobody may write a new checkpoint before everybody has read the old one.
    processes.wait()
    trainer.run(config.quiet)
    processes.wait()
    return export_run(config) if processes.first else []


def export_run(config: RunConfig) -> list[Path]:
    """Write the averaged weights of a finished run, the last and the best, each with its checksum."""
    written = []
    for source, target in ((CHECKPOINT, WEIGHTS_FILE), (BEST, BEST_FILE)):
        if (config.output / source).is_file():
            export(average_runs([config.output / source]), config.output / target, notes_of(config))
            written.append(config.output / target)
    return written


def export_average(runs: Sequence[RunConfig], output: Path, device: torch.device) -> Path:
    """Write the mean of the weights of finished runs that began with the same ones, measured as a run measures itself;
    returns the weights file."""
    last = runs[-1]
    found = average_runs([run.output / CHECKPOINT for run in runs])
    validation = Validation(last.training.validation_bodies, last.training.validation_grid, last.validation)
    found["figures"] = validation(ModelConfig.from_dict(found["config"]), found["average"], device)
    if not last.quiet:
        text = ", ".join(f"{name} {value:.3f}" for name, value in found["figures"].items())
        print(f"The mean of {len(runs)} runs' weights: Dice from one slice {text}", flush=True)
    export(found, output / WEIGHTS_FILE, notes_of(last))
    return output / WEIGHTS_FILE


def notes_of(config: RunConfig) -> dict[str, str]:
    """What is kept in exported weights of how they were trained."""
    names = sorted({folder.name for folder in config.data.data})
    data = f"{config.data.bodies} generated bodies" + (f"; scans of {', '.join(names)}" if names else "")
    return {"data": data, "config": config.name, **dict(config.notes)}


def export(state: dict[str, Any], output: Path, notes: dict[str, str]) -> str:
    """Write averaged weights (``average_runs``) in half precision; returns their SHA-256."""
    model = DPLModel(ModelConfig.from_dict(state["config"]))
    model.load_state_dict(state["average"])
    own = {
        "version": __version__,
        "updates": str(state["update"]),
        "initialisation": "EfficientNet-Lite0, ImageNet (Apache-2.0)",
    }
    if state["runs"] > 1:
        own["averaged runs"] = str(state["runs"])
    if "figures" in state:
        own["validation"] = json.dumps({name: round(value, 4) for name, value in state["figures"].items()})
    return save_weights(model, state["average"], output, own | notes)

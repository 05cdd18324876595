"""The ``train`` command: folders of scans in, weights out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..progress import ProgressDisplay

if TYPE_CHECKING:
    from ..training.run import RunConfig


def add_train_options(add: Callable[..., object], device: Callable[[str], str]) -> None:
    """The command's options; ``device`` checks the name of one."""
    add("--config", required=True, metavar="NAME", help="gpu, cpu, fold and others: Resources/Docs/Training.md")
    add("--data", type=Path, nargs="+", default=[], metavar="DIR", help="folders of scans, or prepared caches")
    add("--output", type=Path, required=True, metavar="DIR", help="folder of the run; new or empty without --resume")
    add("--resume", action="store_true", help="go on where the run in the output folder was stopped")
    add("--init", type=Path, metavar="WEIGHTS", help="start from these: a weights file or a run's checkpoint")
    add("--validation", type=Path, metavar="DIR", help="labelled scans that choose the best weights")
    add("--cache", type=Path, metavar="DIR", help="where to prepare the cache (default: in the output folder)")
    add("--device", type=device, default="auto", metavar="auto|cpu|cuda", help="where to compute")
    add("--labelled", type=Path, nargs="+", default=[], metavar="DIR", help="more folders, whose label maps are used")
    add("--offset", nargs="+", default=[], metavar="DIR=HU", help="add HU to the values of a folder's CT scans")
    add("--pattern", metavar="NAMES", help="use files with such names only, for instance 'image_*'")
    add("--exclude", metavar="NAMES", help="leave out such files (default: those named like label maps)")
    add("--fold", type=int, metavar="K", help="leave out fold K, from 0: five consecutive scans")
    add("--drop-organs", type=int, nargs="*", metavar="LABEL", help="leave out slices that show any (of these) labels")
    add("--updates", type=_count, metavar="N", help="instead of the configuration's")
    add("--minutes", type=_minutes, metavar="M", help="end after this time, instead of the configuration's")
    add("--bodies", type=_whole, metavar="N", help="generated bodies, instead of the configuration's")
    add("--seed", type=_whole, metavar="N", help="of all random numbers (default: 0)")
    add("--workers", type=_whole, metavar="N", help="processes that draw episodes (default: none on a CPU)")
    add("--quiet", action="store_true", help="show no progress")


def train(arguments: argparse.Namespace) -> None:
    """Run the command. Raises InputError for bad input."""
    try:
        import scipy  # noqa: F401
    except ImportError:
        raise InputError("Training needs more packages; install DPLSegment with its 'training' extra.") from None
    from ..training.processes import start_processes
    from ..training.recipe import train_recipe
    from ..training.run import require_fresh

    runs = _runs(arguments)
    require_fresh(arguments.output, arguments.resume)
    processes = start_processes(arguments.device)
    try:
        processes.wait()
        if not processes.first or arguments.quiet:
            written = train_recipe(runs, arguments.output, processes)
        else:
            with closing(ProgressDisplay(sys.stderr)) as display:
                written = train_recipe(runs, arguments.output, processes, display)
        if not arguments.quiet:
            for path in written:
                print(f"Wrote {path}")
    except KeyboardInterrupt:
        if processes.first:
            sys.stderr.write("Interrupted; go on with --resume.\n")
        raise SystemExit(130) from None
    finally:
        processes.stop()


def _runs(arguments: argparse.Namespace) -> list[RunConfig]:
    """The runs to make: the stages of a recipe, or the one run of a configuration."""
    from ..training.configs import named_config, stages_of
    from ..training.loop import CHECKPOINT
    from ..training.recipe import shared_minutes, stage_folders
    from ..training.run import CACHE_FOLDER

    output: Path = arguments.output
    names = stages_of(arguments.config)
    minutes = [None] * len(names)
    if arguments.minutes is not None:
        minutes = shared_minutes([named_config(name) for name in names], arguments.minutes)
    cache = arguments.cache or output / CACHE_FOLDER
    runs: list[RunConfig] = []
    for number, (name, folder, part) in enumerate(zip(names, stage_folders(output, names), minutes, strict=True)):
        before = [run.output / CHECKPOINT for run in runs if run.name != name]
        init = before[-1] if before else arguments.init
        runs.append(_run(arguments, name, folder, init, cache, part, repeat=names[:number].count(name)))
    return runs


def _run(
    arguments: argparse.Namespace,
    name: str,
    output: Path,
    init: Path | None,
    cache: Path,
    minutes: float | None,
    repeat: int,
) -> RunConfig:
    from ..training.cache import data_config
    from ..training.configs import named_config
    from ..training.run import RunConfig

    training = named_config(name)
    changes = {n: getattr(arguments, n) for n in ("updates", "bodies", "seed")} | {"minutes": minutes}
    changes = {name: value for name, value in changes.items() if value is not None}
    if "updates" in changes and "minutes" not in changes:
        changes["minutes"] = 0.0
    training = replace(training, **changes)
    training = replace(training, seed=training.seed + repeat)
    if training.goes_on and init is None:
        raise InputError(f"The configuration '{name}' goes on from other weights; give them with --init.")
    for folder, what in ((arguments.validation, "validation"), (arguments.cache, "cache")):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InputError(f"The {what} folder '{folder}' is a file; give a folder.")
    pairs = min(training.pairs_of_bodies, training.bodies)
    return RunConfig(
        name=name,
        training=training,
        data=data_config(arguments, training.bodies, pairs, grid=training.grid, max_size=training.max_size),
        output=output,
        cache=cache,
        init=init,
        resume=arguments.resume,
        validation=arguments.validation,
        workers=arguments.workers,
        quiet=arguments.quiet,
    )


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0")
    return int(text)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of minutes")
    return minutes


def _count(text: str) -> int:
    if _whole(text) < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return int(text)

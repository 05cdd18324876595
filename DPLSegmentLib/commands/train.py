"""The ``train`` command: folders of scans in, weights out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..progress import ProgressDisplay


def add_train_options(add: Callable[..., object], device: Callable[[str], str]) -> None:
    """The command's options; ``device`` checks the name of one."""
    add(
        "--config", required=True, metavar="NAME", help="gpu, cpu, walk, pairs, fold, quick: Resources/Docs/Training.md"
    )
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
    from ..training.run import require_fresh
    from ..training.run import train as run

    config = _run_config(arguments)
    require_fresh(config)
    processes = start_processes(arguments.device)
    try:
        processes.wait()
        if not processes.first or arguments.quiet:
            written = run(config, processes)
        else:
            with closing(ProgressDisplay(sys.stderr)) as display:
                written = run(config, processes, display)
        if not arguments.quiet:
            for path in written:
                print(f"Wrote {path}")
    except KeyboardInterrupt:
        if processes.first:
            sys.stderr.write("Interrupted; go on with --resume.\n")
        raise SystemExit(130) from None
    finally:
        processes.stop()


def _run_config(arguments: argparse.Namespace):
    from ..training.cache import data_config
    from ..training.configs import named_config
    from ..training.run import RunConfig

    training = named_config(arguments.config)
    changes = {n: getattr(arguments, n) for n in ("updates", "minutes", "bodies", "seed")}
    changes = {name: value for name, value in changes.items() if value is not None}
    if "updates" in changes and "minutes" not in changes:
        changes["minutes"] = 0.0
    training = replace(training, **changes)
    if arguments.config in ("walk", "pairs", "fold") and arguments.init is None:
        raise InputError(f"The configuration '{arguments.config}' goes on from other weights; give them with --init.")
    for folder, what in ((arguments.validation, "validation"), (arguments.cache, "cache")):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InputError(f"The {what} folder '{folder}' is a file; give a folder.")
    pairs = min(training.pairs_of_bodies, training.bodies)
    return RunConfig(
        name=arguments.config,
        training=training,
        data=data_config(arguments, training.bodies, pairs, grid=training.grid, max_size=training.max_size),
        output=arguments.output,
        cache=arguments.cache,
        init=arguments.init,
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

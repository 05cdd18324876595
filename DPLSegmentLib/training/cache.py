"""The training cache: prepared scans and generated bodies in few megabytes, made by one command.

``python -m DPLSegmentLib.training.cache --data DIR [DIR ...] --output DIR [--bodies N]``
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..quiet import native_messages_hidden
from ..reading import read_annotation, read_volume
from .bodies import FIRST_SEED, generate_bodies
from .prepare import MAX_SIZE, prepare_parts, prepare_scan
from .scan_files import ScanFile, find_scans, fold_of
from .training_scan import FORMAT, MANIFEST, TrainingScan, cache_files, is_cache

LARGEST_GENUINE = 255


@dataclass(frozen=True)
class DataConfig:
    """What to train on.

    ``data``: folders of scans; ``labelled``: those among them whose label maps become genuine structures; ``offsets``:
    folder -> what to add to stored values to get HU; ``pattern``, ``exclude``: see ``find_scans``; ``fold``: leave this
    fold's test scans out; ``drop_organs``: leave out every slice of a scan that shows any label of its label map (all
    labels, or the values given); ``bodies``, ``pairs``: see ``generate_bodies``.
    """

    data: tuple[Path, ...] = ()
    labelled: tuple[Path, ...] = ()
    offsets: Mapping[Path, float] = field(default_factory=dict)
    pattern: str | None = None
    exclude: str | None = None
    fold: int | None = None
    drop_organs: tuple[int, ...] | None = None
    bodies: int = 0
    pairs: int = 0
    first_seed: int = FIRST_SEED
    grid: tuple[tuple[int, int, int], tuple[float, float, float]] | None = None
    max_size: int = MAX_SIZE


Progress = Callable[[float, str], None]


def prepare_cache(config: DataConfig, output: Path, progress: Progress | None = None) -> list[Path]:
    """Prepare, or reuse, the cache of these data in ``output``; returns its files.

    A scan is prepared again only if its file or its settings have changed. Folders that are caches themselves are used
    as they are. Raises InputError for folders without scans and for scans that cannot be used.
    """
    output.mkdir(parents=True, exist_ok=True)
    ready = [path for folder in config.data if is_cache(folder) for path in cache_files(folder)]
    folders = [folder for folder in config.data if not is_cache(folder)]
    if ready and (config.fold is not None or config.drop_organs is not None):
        raise InputError("A prepared cache cannot be divided any more; give the folders of its scans.")
    if config.fold is not None and not folders:
        raise InputError("A fold is a part of some scans; give their folder.")
    scans = find_scans(folders, config.pattern, config.exclude) if folders else []
    if config.fold is not None:
        scans, _ = fold_of(scans, config.fold)
    # Every scan's file name tells what it was made from.
    jobs = [(f"{scan.name}-{_fingerprint(scan, config)}", scan) for scan in scans]
    files: list[Path] = []
    for number, (stem, scan) in enumerate(jobs):
        if progress:
            progress(number / (len(jobs) + 0.2 * config.bodies), f"preparing {scan.name}")
        files += _made(output, stem, lambda scan=scan: _read_and_prepare(scan, config))
    if config.drop_organs is not None and not files:
        raise InputError("No scan has enough slices without these labels; name fewer of them with --drop-organs.")
    for number, seed in enumerate(range(config.first_seed, config.first_seed + config.bodies)):
        if progress:
            done = len(jobs) + 0.2 * number
            progress(done / (len(jobs) + 0.2 * config.bodies), f"generating body {number + 1} of {config.bodies}")
        paired = int(number < config.pairs)
        stem = f"body{seed}-{_digest([paired, config.grid, FORMAT])}"
        files += _made(output, stem, lambda seed=seed, n=paired: list(generate_bodies(1, n, seed, config.grid)))
    if not files and not ready:
        raise InputError("There is nothing to train on: give folders of scans, or generated bodies.")
    listed = {"format": FORMAT, "files": [path.name for path in files]}
    if files:
        temporary = output / f".{MANIFEST}.part"
        temporary.write_text(json.dumps(listed, indent=1), encoding="utf-8")
        temporary.replace(output / MANIFEST)
    if progress:
        progress(1.0, "training cache ready")
    return ready + files


def _made(output: Path, stem: str, make: Callable[[], list[TrainingScan]]) -> list[Path]:
    """The files of one job, which is done unless its note says that it was done before."""
    note = output / f"{stem}.json"
    try:
        paths = [output / str(name) for name in json.loads(note.read_text(encoding="utf-8"))]
        if all(path.is_file() for path in paths):
            return paths
    except (OSError, ValueError, TypeError):
        pass
    paths = []
    for number, scan in enumerate(make()):
        path = output / f"{stem}-{number + 1}.npz"
        scan.save(path)
        paths.append(path)
    note.write_text(json.dumps([path.name for path in paths]), encoding="utf-8")
    return paths


def _read_and_prepare(scan: ScanFile, config: DataConfig) -> list[TrainingScan]:
    with native_messages_hidden():
        volume = read_volume(scan.path)
        wanted = scan.folder in config.labelled or config.drop_organs is not None
        if wanted and scan.labels is None:
            raise InputError(f"No label map was found beside the scan '{scan.path}'; name it like the scan.")
        masks, segments = read_annotation(scan.labels, volume) if wanted else ({}, [])
    names = {segment.value: segment.name for segment in segments}
    offset = config.offsets.get(scan.folder)
    if config.drop_organs is not None:
        chosen = [mask for value, mask in masks.items() if not config.drop_organs or value in config.drop_organs]
        drop = np.any(chosen, axis=0) if chosen else np.zeros(volume.array.shape, bool)
        return prepare_parts(volume, scan.name, hu_offset=offset, max_size=config.max_size, drop=drop)
    masks = {value: mask for value, mask in masks.items() if value <= LARGEST_GENUINE}
    label_names = [names.get(value, "") for value in range(1, max(masks, default=0) + 1)]
    return [prepare_scan(volume, scan.name, masks, label_names, offset, config.max_size)]


def _fingerprint(scan: ScanFile, config: DataConfig) -> str:
    def state(path: Path | None) -> list:
        if path is None:
            return []
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]

    genuine = scan.folder in config.labelled or config.drop_organs is not None
    return _digest(
        [
            state(scan.path),
            state(scan.labels) if genuine else [],
            config.offsets.get(scan.folder),
            config.drop_organs,
            config.max_size,
            FORMAT,
        ]
    )


def _digest(settings: object) -> str:
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:10]


def data_config(arguments: argparse.Namespace, bodies: int, pairs: int, **more: object) -> DataConfig:
    """The options as a ``DataConfig``. Raises InputError for offsets that are not understood."""
    folders = [*arguments.data, *(folder for folder in arguments.labelled if folder not in arguments.data)]
    offsets: dict[Path, float] = {}
    for text in arguments.offset:
        name, _, value = text.rpartition("=")
        matching = [folder for folder in folders if folder == Path(name) or folder.name == name]
        try:
            offsets[matching[0]] = float(value)
        except (ValueError, IndexError):
            raise InputError(f"The offset '{text}' is not FOLDER=NUMBER with one of the folders given.") from None
    organs = arguments.drop_organs
    return DataConfig(
        data=tuple(folders),
        labelled=tuple(arguments.labelled),
        offsets=offsets,
        pattern=arguments.pattern,
        exclude=arguments.exclude,
        fold=arguments.fold,
        drop_organs=None if organs is None else tuple(organs),
        bodies=bodies,
        pairs=pairs,
        **more,
    )


def described(files: Sequence[Path]) -> Iterator[str]:
    """One line about what a cache holds."""
    scans = sum(not path.name.startswith("body") for path in files)
    size = sum(path.stat().st_size for path in files)
    yield f"{scans} prepared scans and {len(files) - scans} generated bodies, {size / 1e6:.1f} MB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line entry; returns the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m DPLSegmentLib.training.cache", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, nargs="+", default=[], metavar="DIR", help="folders of scans")
    add("--labelled", type=Path, nargs="+", default=[], metavar="DIR", help="more folders, whose label maps are used")
    add("--offset", nargs="+", default=[], metavar="DIR=HU", help="add HU to the values of a folder's CT scans")
    add("--pattern", metavar="NAMES", help="use files with such names only, for instance 'image_*'")
    add("--exclude", metavar="NAMES", help="leave out such files (default: those named like label maps)")
    add("--fold", type=int, metavar="K", help="leave out fold K, from 0: five consecutive scans")
    add("--drop-organs", type=int, nargs="*", metavar="LABEL", help="leave out slices that show any (of these) labels")
    parser.add_argument("--bodies", type=int, default=0, help="how many bodies to generate")
    parser.add_argument("--pairs", type=int, default=0, help="how many of them also get a second patient")
    parser.add_argument("--output", type=Path, required=True, help="folder to prepare the cache in")
    options = parser.parse_args(arguments)
    try:
        config = data_config(options, options.bodies, options.pairs)
        files = prepare_cache(config, options.output, lambda share, text: print(f"{share:4.0%} {text}", flush=True))
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for line in described(files):
        print(f"{options.output}: {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

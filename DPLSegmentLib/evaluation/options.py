"""What to evaluate, and whether it can be: everything that a wrong option can do wrong is found here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..version import __version__
from .methods import Workshop
from .protocols import MOST_ANNOTATED, PROTOCOLS, Protocol
from .scans import check_scan, folds, load_scan, scan_names

EVERY = "all"  # the one group that all scans form without folds


@dataclass(frozen=True)
class Options:
    """What to evaluate. ``fold``: a number from 0, "each", or None for one group of all scans; ``supports``: names, or
    None for every scan of the group; ``weights`` may hold ``{fold}``; ``tolerance`` in mm, None for the default."""

    protocol: str
    data: Path
    set_name: str
    output: Path
    fold: str | None = None
    supports: tuple[str, ...] | None = None
    annotated: int | None = None
    episodes: str | None = None
    weights: str | None = None
    seeds: int = 1
    methods: tuple[str, ...] = ("dpl",)
    plugins: Path | None = None
    limit: int | None = None
    device: str = "auto"
    tolerance: float | None = None
    enhancement: dict[str, str] = field(default_factory=dict)
    command: str = ""


@dataclass
class Group:
    """Scans that are each other's supports and queries, and the methods that segment them."""

    fold: str
    supports: list[str]
    queries: list[str]
    workshop: Workshop


def shared_settings(options: Options) -> tuple[Protocol, dict[str, Any]]:
    """The protocol, and what all results of an output folder share. Raises InputError for impossible numbers."""
    protocol = PROTOCOLS[options.protocol]
    annotated = protocol.annotated if options.annotated is None else options.annotated
    if not 1 <= annotated <= MOST_ANNOTATED:
        raise InputError(f"The number of annotated slices is {annotated}; give 1 to {MOST_ANNOTATED}.")
    for name, value in (("seeds", options.seeds), ("limit", options.limit)):
        if value is not None and value < 1:
            raise InputError(f"The number of --{name} is {value}; give at least 1.")
    if options.tolerance is not None and not options.tolerance >= 0:
        raise InputError(f"The tolerance is {options.tolerance} mm; give zero or more.")
    if protocol.same_scan and options.supports is not None:
        raise InputError("In protocol S1 every scan is its own support; leave --supports out.")
    if not options.methods:
        raise InputError("There is no method to run; name at least one by --methods.")
    return protocol, {
        "protocol": protocol.name,
        "set": options.set_name,
        "annotated_slices": annotated,
        "episodes": options.episodes or protocol.episodes,
        "tolerance": options.tolerance,
        "enhancement": {name: str(value) for name, value in sorted(options.enhancement.items())},
        "library": __version__,
    }


def make_groups(options: Options, protocol: Protocol) -> list[Group]:
    """The groups of scans, checked, with their methods ready. Raises InputError for anything that cannot be run."""
    names = scan_names(options.data, options.set_name)
    parts = {EVERY: names}
    if options.fold is not None:
        parts = {str(number): part for number, part in enumerate(folds(names))}
        if options.fold != "each":
            if options.fold not in parts:
                raise InputError(
                    f"There is no fold {options.fold}; {options.set_name} has folds 0 to {len(parts) - 1}."
                )
            parts = {options.fold: parts[options.fold]}
    if options.weights is not None and "{fold}" in options.weights and options.fold is None:
        raise InputError("The weights differ from fold to fold ('{fold}'); give --fold too.")
    groups = []
    for fold, part in parts.items():
        queries = part[: options.limit]
        supports = queries if options.supports is None else [name for name in part if name in options.supports]
        if not protocol.same_scan and not any(one != other for one in supports for other in queries):
            if options.supports is None or options.fold != "each":
                raise InputError(
                    f"There is no pair of a support and another scan in fold {fold} ({', '.join(part)}); "
                    "choose other supports or a larger limit."
                )
            continue
        for name in dict.fromkeys([*supports, *queries]):
            check_scan(options.data, options.set_name, name)
        groups.append(Group(fold, supports, queries, _workshop(options, protocol, fold, part)))
    unknown = [name for name in options.supports or () if not any(name in group.supports for group in groups)]
    if unknown:
        raise InputError(f"There is no scan '{unknown[0]}' to be a support; choose from {', '.join(names)}.")
    return groups


def _workshop(options: Options, protocol: Protocol, fold: str, names: Sequence[str]) -> Workshop:
    weights = None if options.weights is None else Path(options.weights.replace("{fold}", fold))
    slices = len(load_scan(options.data, options.set_name, names[0]).truth)
    chosen = (options.methods, weights, options.device, options.enhancement, options.plugins, slices)
    workshop = Workshop(*chosen)
    for name, method in workshop.methods.items():
        if method.same_scan_only and not protocol.same_scan:
            raise InputError(f"The method '{name}' works inside one scan; evaluate it with protocol S1.")
    return workshop

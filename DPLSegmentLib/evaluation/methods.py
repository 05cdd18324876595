"""The methods that an evaluation can run, by name.

``dpl`` is this library. ``pooled``, ``adnet`` and ``local`` read the same encoder's features the way well-known
few-shot methods do. Others come from a folder of plugins, see :mod:`~.plugins`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..checkpoint import WeightsInfo, load_weights
from ..devices import choose_device
from ..enhancement import EnhancementConfig
from ..errors import InputError
from ..scan import ScanPreparer
from ..segmenter import LARGEST_VARIANTS, OneShotSegmenter
from .plugins import Plugin, load_plugins
from .protocols import SLICE_AXIS, Episode
from .prototype_methods import METHODS as PROTOTYPE_METHODS
from .prototype_methods import PrototypeMethod

BUILT_IN = ("dpl", *PROTOTYPE_METHODS)
KEPT_BYTES = 1.5 * 2**30  # encoded scans kept while a group is evaluated
_SLICE_BYTES = 256 * 256 * 4 + 64 * 64 * 64 * 2


@dataclass
class Prediction:
    """What a method found: (k, j, i) bool masks by label, and the uncertainty (k, j, i) if it has one.

    ``alone``: a method that segments each label by itself also says what it found before conflicts were resolved.
    ``about(label)``: the uncertainty (k, j, i) about one label alone, where it is known.
    """

    masks: dict[int, np.ndarray]
    uncertainty: np.ndarray | None = None
    alone: dict[int, np.ndarray] = field(default_factory=dict)
    about: Callable[[int], np.ndarray] | None = None


class Method(Protocol):
    """One way to segment an episode."""

    seeded: bool  # whether the seed changes anything
    same_scan_only: bool

    def segment(self, episode: Episode, seed: int) -> Prediction:
        """Segment the episode's query from its annotated support."""


class DplMethod:
    """The library's own segmenter; the support is set once for all queries that follow one another."""

    seeded, same_scan_only = True, False

    def __init__(self, segmenter: OneShotSegmenter) -> None:
        self._segmenter = segmenter
        self._support: tuple | None = None

    def segment(self, episode: Episode, seed: int) -> Prediction:
        """See :class:`Method`."""
        self._segmenter.seed = seed
        slices = tuple((label, *sorted(places)) for label, places in episode.drawn.items())
        if self._support != (episode.support.volume, slices):
            self._segmenter.set_support(episode.support.volume, episode.annotation(), slice_axis=SLICE_AXIS)
            self._support = (episode.support.volume, slices)
        query = None if episode.same_scan else episode.query.volume
        result = self._segmenter.segment(query, correspondence=episode.places)
        masks = {label: result.mask(label) for label in episode.scored}
        return Prediction(masks, result.uncertainty, about=result.label_uncertainty)


class Workshop:
    """Makes the methods: those that need weights share one model, and one store of encoded scans."""

    def __init__(
        self,
        names: Sequence[str],
        weights: Path | None,
        device: str,
        enhancement: Mapping[str, Any],
        plugins: Path | None,
        slices: int,
    ) -> None:
        """``slices``: how many slices a group of scans has, about; decides how many scans are kept encoded.

        Raises:
            InputError: unknown methods, settings, weights, device or plugins.
        """
        known = load_plugins(plugins) if plugins is not None else {}
        for name in names:
            if name not in BUILT_IN and name not in known:
                choices = ", ".join([*BUILT_IN, *known])
                raise InputError(f"There is no method '{name}'; choose from {choices}, or name a folder by --plugins.")
        self.weights: WeightsInfo | None = None
        self.methods: dict[str, Method] = {}
        built_in = [name for name in names if name in BUILT_IN]
        if built_in:
            self._make(built_in, weights, device, enhancement, slices)
        for name in names:
            if name not in BUILT_IN:
                self.methods[name] = PluginMethod(known[name].ready())
        self.methods = {name: self.methods[name] for name in names}

    def _make(
        self, names: Sequence[str], weights: Path | None, device: str, enhancement: Mapping[str, Any], slices: int
    ) -> None:
        chosen = choose_device(device)
        model, self.weights = load_weights(weights)
        model.config = replace(model.config, enhancement=changed(model.config.enhancement, enhancement))
        # Not fewer than the segmenter keeps by itself, and not more than a computer can hold.
        kept = max(4, int(KEPT_BYTES / (_SLICE_BYTES * max(1, slices))))
        if "dpl" in names:
            segmenter = OneShotSegmenter(model, self.weights, chosen)
            segmenter.keep_scans(kept)
            self.methods["dpl"] = DplMethod(segmenter)
        preparer = ScanPreparer(model.to(chosen), chosen, kept)
        for name in names:
            if name != "dpl":
                self.methods[name] = PrototypeMethod(PROTOTYPE_METHODS[name], preparer)


class PluginMethod:
    """A plugin as a method: each label by itself, then one label map."""

    seeded, same_scan_only = False, True

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin

    def segment(self, episode: Episode, seed: int) -> Prediction:
        """See :class:`Method`."""
        labels, alone = self._plugin.segment(episode)
        return Prediction({label: labels == label for label in episode.scored}, None, alone)


def changed(config: EnhancementConfig, changes: Mapping[str, Any]) -> EnhancementConfig:
    """``config`` with some fields changed; texts are read as the fields' own types.

    Raises:
        InputError: a field that does not exist, or a value it cannot have.
    """
    known = {part.name: getattr(config, part.name) for part in fields(config)}
    values = {}
    for name, text in changes.items():
        if name not in known:
            raise InputError(f"The enhancement has no setting '{name}'; choose from {', '.join(known)}.")
        values[name] = _read(name, str(text), type(known[name]))
    if not 0 <= values.get("variants", 0) <= LARGEST_VARIANTS:
        raise InputError(
            f"The number of variants is {values['variants']}; it must lie between 0 and {LARGEST_VARIANTS}."
        )
    try:
        return replace(config, **values)
    except ValueError as problem:
        raise InputError(f"The enhancement cannot be set so: {problem}.") from None


def _read(name: str, text: str, kind: type) -> Any:
    readers: dict[type, Callable[[str], Any]] = {
        bool: lambda word: {"true": True, "1": True, "false": False, "0": False}[word.lower()],
        int: int,
        float: float,
        str: str,
    }
    try:
        return readers[kind](text)
    except (KeyError, ValueError):
        what = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "another kind of value")
        raise InputError(f"The setting '{name}' of the enhancement is '{text}'; give {what}.") from None

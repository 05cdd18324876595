"""Methods from a folder, to compare with.

The folder is a Python package whose ``__init__.py`` has a table ``METHODS`` from names of methods to names of its
modules; a module is only imported when its method is asked for, so that what it needs may be missing otherwise. Each
module has one call::

    for label, scores in module.scores(image, spacing, annotation): ...

``image`` is (slice, row, column), ``spacing`` its voxel size in mm in that order, ``annotation`` maps each label to
``{slice index: (row, column) mask}``. Scores are a float volume of the image's shape, the label being where they exceed
one half. Such methods work inside one scan, each label by itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from ..errors import InputError
from .protocols import Episode

_PACKAGE = "dplsegment_evaluation_plugins"


@dataclass(frozen=True)
class Plugin:
    """A method of a plugin folder."""

    name: str
    module: ModuleType | None
    package: str
    source: str

    def ready(self) -> Plugin:
        """With its module imported. Raises InputError, naming what is missing, when that fails."""
        try:
            module = importlib.import_module(f"{self.package}.{self.source}")
        except ModuleNotFoundError as problem:
            raise InputError(f"The method '{self.name}' needs '{problem.name}', which is not installed.") from None
        except Exception as problem:  # whatever a stranger's file, or what it needs, may raise
            raise InputError(f"The method '{self.name}' cannot be imported ({_first_line(problem)}).") from None
        if not callable(getattr(module, "scores", None)):
            raise InputError(f"The module of the method '{self.name}' has no function scores(); add it.")
        return Plugin(self.name, module, self.package, self.source)

    def segment(self, episode: Episode) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """(k, j, i) label map, and each label's mask before conflicts were resolved."""
        scan, alone = episode.support, {}

        def scores() -> Iterator[tuple[int, np.ndarray]]:
            for label, score in self.module.scores(scan.volume.array, scan.spacing_kji, episode.drawn):
                alone[label] = score > 0.5
                yield label, score

        return resolve(scan.truth.shape, episode.drawn, scores()), alone


def load_plugins(folder: Path) -> dict[str, Plugin]:
    """The methods of a folder by name, not yet imported. Raises InputError for a folder that has none."""
    start = folder / "__init__.py"
    if not start.is_file():
        raise InputError(f"The plugin folder '{folder}' has no __init__.py; give the folder of a Python package.")
    package = f"{_PACKAGE}_{len([name for name in sys.modules if name.startswith(_PACKAGE)])}"
    spec = importlib.util.spec_from_file_location(package, start, submodule_search_locations=[str(folder)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    try:
        spec.loader.exec_module(module)
    except Exception as problem:  # whatever a stranger's file may raise
        del sys.modules[package]
        raise InputError(f"The plugin folder '{folder}' cannot be imported ({_first_line(problem)}).") from None
    table = getattr(module, "METHODS", None)
    if not isinstance(table, Mapping) or not table:
        raise InputError(f"The plugin folder '{folder}' has no table METHODS in its __init__.py; add it.")
    return {str(name): Plugin(str(name), None, package, str(source)) for name, source in table.items()}


def resolve(
    shape: tuple[int, int, int],
    annotation: Mapping[int, Mapping[int, np.ndarray]],
    scores: Iterable[tuple[int, np.ndarray]],
) -> np.ndarray:
    """(slice, row, column) uint16 label map: voxels claimed by several go to the label annotated nearest.

    The farther from its annotation, the likelier a label has run past the end of its organ; equally near labels are
    told apart by their scores. ``scores`` yields (label, score volume of ``shape``) pairs and is consumed one by one,
    so many labels need little more memory than one.
    """
    labels = np.zeros(shape, np.uint16)
    best = np.full(shape, -np.inf, np.float32)
    for label, score in scores:
        away = np.min([np.abs(np.arange(shape[0]) - index) for index in annotation[label]], axis=0)
        priority = score - away[:, None, None].astype(np.float32)
        wins = (score > 0.5) & (priority > best)
        labels[wins], best[wins] = label, priority[wins]
    return labels


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]

"""Where the module's files are: beside DPLSegment.py where Slicer installed it, one folder up in a source checkout."""

from __future__ import annotations

import sys
from pathlib import Path


def rootPath(name: str) -> Path:
    """The folder that holds ``name`` (``Resources`` or ``DPLSegmentLib``): that of ``DPLSegment.py`` where Slicer
    installed the module, its parent in a source checkout."""
    moduleFolder = Path(__file__).resolve().parents[1]
    return moduleFolder if (moduleFolder / name).is_dir() else moduleFolder.parent


def resourcePath(*parts: str) -> str:
    """The full path of a file in ``Resources``, for example ``resourcePath("UI", "DPLSegment.ui")``."""
    return str(rootPath("Resources").joinpath("Resources", *parts))


def addLibraryToPath() -> None:
    """Make ``import DPLSegmentLib`` work from the module and from the Python console.

    The module's own library comes first: another version may have been installed with pip.
    """
    root = str(rootPath("DPLSegmentLib"))
    if root not in sys.path:
        sys.path.insert(0, root)

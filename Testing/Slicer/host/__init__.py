"""A small host that runs the Slicer module without Slicer: real MRML (slicer-core), Qt from PySide6.

``startHost()`` makes ``slicer``, ``qt``, ``ctk`` and the modules around them importable and returns the `Host`.
It runs in tests only; Testing/Slicer/README.md says what it can show and what not.
"""

from __future__ import annotations

import ctypes.util
import os


def whyUnavailable() -> str:
    """An empty text where the host can start, otherwise one sentence that says what is missing."""
    import importlib.util

    missing = [
        package
        for package, module in (("slicer-core", "slicer_core"), ("PySide6-Essentials", "PySide6"))
        if importlib.util.find_spec(module) is None
    ]
    if not missing:
        return ""
    return f"TESTS OF THE SLICER MODULE ARE NOT RUN: install {' and '.join(missing)} to run them."


def prepareEnvironment() -> None:
    """Chooses windowless Qt and VTK; has to run before either is imported."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if not os.environ.get("DISPLAY"):
        window = "vtkOSOpenGLRenderWindow" if ctypes.util.find_library("OSMesa") else "vtkEGLRenderWindow"
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", window)


def canRender() -> bool:
    """Whether VTK can draw pictures here: it needs a display, OSMesa or EGL."""
    libraries = ctypes.util.find_library("OSMesa") or ctypes.util.find_library("EGL")
    return bool(os.environ.get("DISPLAY") or libraries or os.name == "nt")


_host = None


def startHost():
    """The one host of this process, started at the first call (2 to 4 seconds)."""
    global _host
    if _host is None:
        prepareEnvironment()
        from . import PythonQt

        PythonQt.install()  # before any class of the host derives from a Qt class
        from .Host import Host

        _host = Host()
    return _host

"""Fixtures of the Slicer tests. `slicer`, `qt` and `vtk` exist only once the `host` fixture has run."""

from __future__ import annotations

from pathlib import Path

import pytest
from host import canRender, startHost, whyUnavailable


def pytest_collection_modifyitems(items):
    """Skips everything here, one line a file, where the host cannot start."""
    reason = whyUnavailable()
    for item in items:
        if reason and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def host():
    """The test host (README.md here), started once."""
    return startHost()


@pytest.fixture
def scene(host):
    """The real MRML scene, empty. Afterwards nothing may run on and no slot may have failed unnoticed."""
    host.beginTest()
    yield host.mrml.scene
    host.endTest()


@pytest.fixture
def rendering():
    """For tests that look at pictures; they are skipped where VTK cannot draw."""
    if not canRender():
        pytest.skip("TESTS THAT LOOK AT VIEWS ARE NOT RUN: install libegl1 or libosmesa6 to run them.")


@pytest.fixture
def module(host, scene):
    """The module DPLSegment, loaded as Slicer loads it; its widget is made by ``module.enter()``."""
    return host.loadModule(Path(__file__).parents[2] / "DPLSegment" / "DPLSegment.py")


@pytest.fixture
def panel(module, host):
    """The entered module's widget with its main window."""
    widget = module.enter()
    host.mainWindow(module.widgetRepresentation())
    return widget


@pytest.fixture
def ready(panel, host):
    """The panel with a small annotated scan, and a segmenter that waits."""
    from widget_scene import readyPanel

    return readyPanel(panel, host)

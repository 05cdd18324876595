"""The extension, configured, built and installed once for all tests of packaging."""

from __future__ import annotations

from pathlib import Path

import pytest
from cmake_project import CMAKE, MAKE, NINJA, ROOT, CMakeProject


@pytest.fixture(scope="session", autouse=True)
def build_tools() -> None:
    """Packaging cannot be tested without CMake and a tool that it can drive."""
    if CMAKE is None or (NINJA is None and MAKE is None):
        pytest.skip('PACKAGING IS NOT TESTED: CMake and Ninja are missing; install the "test" extra.')


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> CMakeProject:
    """The extension, built (folder ``build``) and installed (folder ``prefix``)."""
    folder = tmp_path_factory.mktemp("extension")
    project = CMakeProject(ROOT, folder / "build", folder / "prefix")
    configured = project.configure()
    assert configured.returncode == 0, configured.stdout + configured.stderr
    project.build_and_install()
    return project


@pytest.fixture
def small_project(tmp_path: Path) -> CMakeProject:
    """An empty extension to show what the stand-in does; its CMakeLists.txt is the test's."""
    source = tmp_path / "source"
    source.mkdir()
    return CMakeProject(source, tmp_path / "build", tmp_path / "prefix")

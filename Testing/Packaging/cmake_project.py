"""Configure, build and install a CMake project against a stand-in for Slicer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SLICER = Path(__file__).parent / "slicer"
MODULES = Path("lib/Slicer-5.12/qt-scripted-modules")  # as slicer/SlicerConfig.cmake names it


def _program(name: str) -> str | None:
    """A program of this Python environment (CMake and Ninja come from PyPI too), or of the system."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    return beside or shutil.which(name)


CMAKE, NINJA, MAKE = _program("cmake"), _program("ninja"), _program("make")


@dataclass(frozen=True)
class CMakeProject:
    """A source folder with a build and an install folder beside each other."""

    source: Path
    build: Path
    prefix: Path

    def configure(self, *options: str) -> subprocess.CompletedProcess:
        """Run CMake's first step; the caller looks at the return code."""
        generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={NINJA}"] if NINJA else ["-G", "Unix Makefiles"]
        return self._run(
            *generator,
            "-S",
            str(self.source),
            "-B",
            str(self.build),
            f"-DCMAKE_TOOLCHAIN_FILE={SLICER / 'no_compiler.cmake'}",
            f"-DSlicer_DIR={SLICER}",
            f"-DPYTHON_EXECUTABLE={sys.executable}",
            f"-DCMAKE_INSTALL_PREFIX={self.prefix}",
            *options,
        )

    def build_and_install(self) -> Path:
        """Build, install, and return the folder that Slicer would look for modules in."""
        for step in (("--build", str(self.build)), ("--install", str(self.build))):
            done = self._run(*step)
            assert done.returncode == 0, done.stdout + done.stderr
        return self.prefix / MODULES

    @staticmethod
    def _run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([CMAKE, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=300)

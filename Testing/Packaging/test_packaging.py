"""What the Extensions Manager would install, compared with the sources and put to use."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cmake_project import MODULES, ROOT, CMakeProject

LARGEST_MIB = 12
_COMPILED = {".pyc", ".pyo"}


def _files(folder: Path) -> dict[str, Path]:
    """Files below a folder by their relative path, without what Python leaves behind."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in _COMPILED and not path.name.startswith(".")
    }


def _sources() -> dict[str, Path]:
    """Every file that belongs into the package, by the place where it belongs."""
    expected = dict(_files(ROOT / "DPLSegment"))
    expected.pop("CMakeLists.txt")
    for name in ("DPLSegmentLib", "Resources"):
        expected |= {f"{name}/{path}": file for path, file in _files(ROOT / name).items()}
    return expected


@pytest.fixture(scope="module")
def installed(extension) -> Path:
    """The installed ``qt-scripted-modules`` folder."""
    return extension.prefix / MODULES


def _python(folder: Path, code: str, working_directory: Path) -> str:
    """Run code in a fresh Python that finds this project in one folder only; its last line of output."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environment |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=working_directory,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_the_installed_tree_is_the_sources_no_file_missing_and_none_extra(extension, installed):
    expected, found = _sources(), _files(installed)
    assert sorted(set(expected) - set(found)) == []
    assert sorted(set(found) - set(expected)) == []
    # and nowhere else under the prefix
    assert {path for path in _files(extension.prefix) if not path.startswith(MODULES.as_posix())} == set()


def test_installed_files_are_the_sources_byte_for_byte(installed):
    different = [path for path, file in _sources().items() if (installed / path).read_bytes() != file.read_bytes()]
    assert different == []


def test_every_script_compiles(installed):
    scripts = [path for path in _files(installed) if path.endswith(".py")]
    assert "DPLSegment.py" in scripts and "DPLSegmentLib/segmenter.py" in scripts
    for path in scripts:
        compile((installed / path).read_text(encoding="utf-8"), path, "exec")
    compiled = {path.relative_to(installed).as_posix() for path in installed.rglob("*.pyc")}
    assert len(compiled) == len(scripts)


def test_the_installed_tree_is_small(installed, capsys):
    sizes = [path.stat().st_size for path in installed.rglob("*") if path.is_file()]
    total = sum(sizes) / 2**20
    with capsys.disabled():
        print(f"\ninstalled extension: {len(sizes)} files, {total:.2f} MiB")
    assert total < LARGEST_MIB


def test_the_library_works_from_the_installed_tree_alone(installed, tmp_path):
    code = (
        "import DPLSegmentLib\n"
        "from DPLSegmentLib.version import __version__\n"
        "segmenter = DPLSegmentLib.OneShotSegmenter.load(device='cpu')\n"
        "weights = segmenter.weights\n"
        "assert weights.sha256 == weights.expected_sha256, weights\n"
        "print(__version__, DPLSegmentLib.__file__, weights.path, sep='|')\n"
    )
    version, package, weights = _python(installed, code, tmp_path).split("|")
    assert version == _version()
    assert Path(package) == installed / "DPLSegmentLib" / "__init__.py"
    assert Path(weights).parent == installed / "DPLSegmentLib" / "weights"


@pytest.mark.parametrize("layout", ["installed", "checkout"])
def test_the_module_finds_its_resources_and_its_library(layout, installed, tmp_path):
    module, home = (installed, installed) if layout == "installed" else (ROOT / "DPLSegment", ROOT)
    code = (
        "import os, sys\n"
        "from DPLSegmentModule.Paths import addLibraryToPath, resourcePath\n"
        "addLibraryToPath()\n"
        "addLibraryToPath()\n"
        "import DPLSegmentLib.errors\n"
        "entries = [os.path.realpath(entry) for entry in sys.path]\n"
        f"assert entries.count(os.path.realpath({str(home)!r})) == 1, sys.path\n"
        "print(resourcePath('UI', 'DPLSegment.ui'), resourcePath('Icons', 'DPLSegment.png'),\n"
        "      DPLSegmentLib.__file__, sep='|')\n"
    )
    panel, icon, library = (Path(text) for text in _python(module, code, tmp_path).split("|"))
    assert panel.samefile(home / "Resources" / "UI" / "DPLSegment.ui")
    assert icon.samefile(home / "Resources" / "Icons" / "DPLSegment.png")
    assert library.samefile(home / "DPLSegmentLib" / "__init__.py")


def test_the_self_test_is_registered(extension):
    registered = "".join(path.read_text(encoding="utf-8") for path in extension.build.rglob("CTestTestfile.cmake"))
    assert re.search(r"add_test\(\[?=*\[?\"?py_DPLSegment[\"\]\s]", registered), registered


def test_a_new_script_is_packaged_without_a_word_in_cmake(tmp_path):
    """The lists are patterns that are looked at again with every build."""
    copy = CMakeProject(tmp_path / "copy", tmp_path / "build", tmp_path / "prefix")
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "Testing")
    for name in ("DPLSegment", "DPLSegmentLib", "Resources"):
        shutil.copytree(ROOT / name, copy.source / name, ignore=ignored)
    for name in ("CMakeLists.txt", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, copy.source)
    assert copy.configure().returncode == 0
    new = ("DPLSegment/DPLSegmentModule/NewPart.py", "DPLSegmentLib/new_part.py")
    for path in new:
        (copy.source / path).write_text("value = 1\n", encoding="utf-8")
    folder = copy.build_and_install()
    assert (folder / "DPLSegmentModule" / "NewPart.py").is_file()
    assert (folder / "DPLSegmentLib" / "new_part.py").is_file()


def _version() -> str:
    text = (ROOT / "DPLSegmentLib" / "version.py").read_text(encoding="utf-8")
    return re.search(r'__version__ = "([^"]+)"', text).group(1)

"""PyTorch as the module needs it: found without being imported, installed only by the extension, clear sentences.

The "installations" are real packages in temporary folders, found by Python's real import system.
"""

from __future__ import annotations

import importlib
import re
import sys
import textwrap
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, scope="module")
def imports(host):
    """The module's parts exist only once the host has been started."""
    global InputError, Dependencies, Messages, TorchDependency
    sys.path.insert(0, str(CHECKOUT / "DPLSegment"))
    from DPLSegmentLib.errors import InputError
    from DPLSegmentModule import Dependencies, Messages
    from DPLSegmentModule.Dependencies import TorchDependency

    yield
    sys.path.remove(str(CHECKOUT / "DPLSegment"))


class Installation:
    """A Python installation without site-packages, to which modules can be added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        importlib.invalidate_caches()

    def addTorch(self, version: str = "2.6.0", cuda: str | None = None, body: str = "") -> None:
        self.add(
            "torch/version.py",
            f"from typing import Optional\n__version__ = {version!r}\ncuda: Optional[str] = {cuda!r}\n",
        )
        self.add(
            "torch/__init__.py", f"from . import version\n__version__ = version.__version__\n{textwrap.dedent(body)}"
        )

    def addExtension(self, install: str) -> None:
        """The PyTorch extension; ``install`` is the body of its installTorch()."""
        self.add(
            "PyTorchUtils.py",
            "import pathlib, sys\nasked = []\nhere = pathlib.Path(__file__).parent\n\n"
            "class PyTorchUtilsLogic:\n"
            "    def installTorch(self, askConfirmation=False, forceComputationBackend=None):\n"
            "        asked.append(askConfirmation)\n" + textwrap.indent(textwrap.dedent(install), " " * 8),
        )


@pytest.fixture
def installation(tmp_path, monkeypatch):
    """The import system sees the standard library, this checkout and a temporary folder only."""
    hidden = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("torch", "PyTorchUtils")}
    for name in hidden:
        del sys.modules[name]
    outside = [entry for entry in sys.path if "site-packages" not in entry and "dist-packages" not in entry]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *outside])
    # Finders of editable installations are not on the path; those of the interpreter itself are enough here.
    monkeypatch.setattr(
        sys,
        "meta_path",
        [finder for finder in sys.meta_path if getattr(finder, "__module__", "").startswith(("_frozen", "importlib"))],
    )
    importlib.invalidate_caches()
    yield Installation(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] in ("torch", "PyTorchUtils")]:
        del sys.modules[name]
    sys.modules.update(hidden)


INSTALL = """
    folder = here / "torch"
    folder.mkdir()
    (folder / "version.py").write_text("__version__ = '2.6.0'\\ncuda = None\\n")
    (folder / "__init__.py").write_text("from .version import __version__\\n")
    import torch
    return torch
"""


def sentenceOf(action) -> str:
    with pytest.raises(InputError) as raised:
        action()
    return str(raised.value)


def test_torch_that_is_there_needs_no_extension_and_is_not_imported(installation):
    installation.addTorch(body="raise SystemExit('imported')")
    TorchDependency().ensure()
    assert TorchDependency().isInstalled()
    assert "torch" not in sys.modules


def test_missing_extension_is_named(installation):
    assert not TorchDependency().isInstalled()
    assert sentenceOf(TorchDependency().ensure) == Messages.EXTENSION_MISSING


@pytest.mark.parametrize("ask", [True, False])
def test_extension_installs_torch_and_is_told_whether_to_ask(installation, ask):
    installation.addExtension(INSTALL)
    dependency = TorchDependency()
    dependency.ensure(askConfirmation=ask)
    import PyTorchUtils

    assert PyTorchUtils.asked == [ask]
    assert dependency.isInstalled()
    assert dependency.load().__version__ == "2.6.0"
    dependency.ensure(askConfirmation=ask)
    assert PyTorchUtils.asked == [ask], "asked again although it is installed"


def test_declined_installation(installation):
    installation.addExtension("return None")
    assert sentenceOf(TorchDependency().ensure) == Messages.TORCH_DECLINED


@pytest.mark.parametrize(
    "failure",
    [
        "raise OSError('Temporary failure in name resolution')",
        "import subprocess\nraise subprocess.CalledProcessError(1, ['pip', 'install', 'torch'])",
        "raise ValueError('no computation backend')",
    ],
)
def test_failed_installation_asks_to_check_the_network(installation, failure, caplog):
    installation.addExtension(failure)
    assert sentenceOf(TorchDependency().ensure) == Messages.TORCH_INSTALL_FAILED
    assert "Traceback" in caplog.text, "the details are not in the log"


def test_freshly_installed_torch_that_cannot_be_imported_yet_asks_for_a_restart(installation):
    installation.addExtension(INSTALL.replace("return torch", "raise ImportError('DLL load failed')"))
    assert sentenceOf(TorchDependency().ensure) == Messages.TORCH_RESTART


@pytest.mark.parametrize("where", ["in the extension", "in its installation"])
def test_extension_for_a_newer_slicer_is_named(installation, where):
    # Slicer 5.10 has no slicer.packaging.
    missing = "raise ModuleNotFoundError(\"No module named 'slicer.packaging'\", name='slicer.packaging')\n"
    if where == "in the extension":
        installation.add("PyTorchUtils.py", missing)
    else:
        installation.addExtension(missing)
    assert sentenceOf(TorchDependency().ensure) == Messages.PACKAGING_MISSING


def test_nothing_of_the_module_needs_slicer_packaging():
    for path in (CHECKOUT / "DPLSegment").rglob("*.py"):
        imports = re.findall(
            r"^\s*(?:import|from)\s+slicer\.packaging|pip_ensure|pip_install", path.read_text("utf-8"), re.M
        )
        assert not imports, path.name


@pytest.mark.parametrize("version", ["2.1.2+cu118", "1.13.1", "0.4"])
def test_old_torch_is_refused_with_its_version(installation, version):
    installation.addTorch(version)
    assert not TorchDependency().isInstalled()
    expected = Messages.TORCH_TOO_OLD.format(installed=version, needed="2.2")
    assert sentenceOf(TorchDependency().ensure) == expected
    assert sentenceOf(TorchDependency().load) == expected


@pytest.mark.parametrize("version", ["2.2.0", "2.13.0+cpu", "10.0", "2.9.0a0+git1234", "custom"])
def test_other_versions_are_accepted(installation, version):
    installation.addTorch(version)
    TorchDependency().ensure()


def test_minimum_version_is_that_of_the_library():
    text = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    needed = re.search(r'"torch>=(\d+)\.(\d+)"', text)
    assert (int(needed[1]), int(needed[2])) == Dependencies.MINIMUM_TORCH


@pytest.mark.parametrize(
    "body", ["raise OSError('DLL')", "raise ImportError('half')", "import torch._C", "del __version__"]
)
def test_broken_torch_is_found_when_it_is_loaded(installation, body):
    installation.addTorch(body=body)
    TorchDependency().ensure()
    assert sentenceOf(TorchDependency().load) == Messages.TORCH_BROKEN


def test_rest_of_an_uninstalled_torch_counts_as_missing(installation):
    installation.add("torch/lib/leftover.txt", "")
    assert not TorchDependency().isInstalled()
    assert sentenceOf(TorchDependency().ensure) == Messages.EXTENSION_MISSING


def test_torch_without_a_version_is_broken(installation):
    installation.addTorch()
    installation.add("torch/version.py", "(")
    assert sentenceOf(TorchDependency().ensure) == Messages.TORCH_BROKEN
    assert "damaged" in TorchDependency().describe()


@pytest.mark.parametrize(
    "version, cuda, expected",
    [
        ("2.6.0+cpu", None, "PyTorch 2.6.0+cpu, CPU only"),
        ("2.6.0", "12.4", "PyTorch 2.6.0, built for CUDA 12.4"),
    ],
)
def test_description_tells_what_torch_was_built_for_without_importing_it(installation, version, cuda, expected):
    installation.addTorch(version, cuda)
    assert TorchDependency().describe() == expected
    assert "torch" not in sys.modules
    TorchDependency().load()
    assert TorchDependency().describe() == expected


def test_description_without_a_known_build_claims_nothing(installation):
    installation.addTorch()
    installation.add("torch/version.py", "__version__ = '2.6.0'\n")
    assert TorchDependency().describe() == "PyTorch 2.6.0"


def test_description_of_a_missing_torch(installation):
    assert "not installed" in TorchDependency().describe()


def values(dependency: TorchDependency) -> list[str]:
    return [choice.value for choice in dependency.deviceChoices()]


def test_devices_known_before_torch_is_imported(installation, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert values(TorchDependency()) == ["auto", "cuda", "cpu"]
    installation.addTorch("2.6.0+cpu", None)
    assert values(TorchDependency()) == ["auto", "cpu"]
    installation.addTorch("2.6.0", "12.4")
    assert values(TorchDependency()) == ["auto", "cuda", "cpu"]
    assert "torch" not in sys.modules


def test_devices_of_an_imported_torch_are_those_it_finds(installation):
    installation.addTorch(
        cuda="12.4",
        body="""
        class cuda:
            is_available = staticmethod(lambda: True)
            device_count = staticmethod(lambda: 2)
        """,
    )
    TorchDependency().load()
    assert [value for value in values(TorchDependency()) if value != "mps"] == ["auto", "cuda:0", "cuda:1", "cpu"]


def test_apple_gpu_is_offered_as_experimental_on_its_computers_only(installation, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(Dependencies.platform, "machine", lambda: "arm64")
    labels = {choice.value: choice.label for choice in TorchDependency().deviceChoices()}
    assert "experimental" in labels["mps"]
    monkeypatch.setattr(Dependencies.platform, "machine", lambda: "x86_64")
    assert "mps" not in values(TorchDependency())


def test_real_torch_is_described_as_it_describes_itself():
    torch = pytest.importorskip("torch")
    loaded = TorchDependency().describe()
    built = Dependencies._readBuild((Path(torch.__file__).parent / "version.py").read_text(encoding="utf-8"))
    assert built == Dependencies.TorchBuild(str(torch.__version__), torch.version.cuda or "")
    assert str(torch.__version__) in loaded

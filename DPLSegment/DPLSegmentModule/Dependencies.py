"""PyTorch: found if it is there, installed by the PyTorch extension if not, and never before the user asks.

Everything else the library needs (numpy, SimpleITK) is part of Slicer and is left alone.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import logging
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from slicer.i18n import tr as _

from DPLSegmentModule import Messages

MINIMUM_TORCH = (2, 2)


@dataclass(frozen=True)
class DeviceChoice:
    """One entry of the device list: ``value`` for the library, ``label`` for people."""

    value: str
    label: str


@dataclass(frozen=True)
class TorchBuild:
    """What is known of the installed PyTorch: its version, and the CUDA version it was built for ("" = CPU only,
    None = unknown)."""

    version: str
    cuda: str | None


class TorchDependency:
    """PyTorch as this module needs it. All methods are for the main thread, except :meth:`load`."""

    def isInstalled(self) -> bool:
        """Whether PyTorch is there and recent enough; does not import it."""
        build = self._build()
        return build is not None and not self._isTooOld(build.version)

    def ensure(self, askConfirmation: bool = True) -> None:
        """Make sure that PyTorch is installed; does not import what is already there.

        Args:
            askConfirmation: let the PyTorch extension ask before it downloads anything.

        Raises:
            InputError: it is missing, too old or cannot be installed; the sentence says what to do.
        """
        from DPLSegmentLib.errors import InputError

        if "torch" not in sys.modules and self._spec() is None:
            self._install(askConfirmation)
        build = self._build()
        if build is None:
            raise InputError(Messages.TORCH_BROKEN)
        self._requireVersion(build.version)

    def load(self) -> ModuleType:
        """Import PyTorch, which takes seconds the first time; for any thread.

        Raises:
            InputError: it is installed but cannot be imported, or it is too old.
        """
        from DPLSegmentLib.errors import InputError

        try:
            torch = importlib.import_module("torch")
            version = str(torch.__version__)
        except Exception as error:  # a damaged installation fails in many ways: missing DLLs, files, attributes
            raise InputError(Messages.TORCH_BROKEN) from error
        self._requireVersion(version)
        return torch

    def describe(self) -> str:
        """One line for the Advanced panel: the version and what it was built for. Does not import PyTorch."""
        build = self._build()
        if build is None:
            if self._spec() is not None:
                return _("PyTorch is installed but damaged.")
            return _("PyTorch is not installed yet; it is installed, after asking, when you click Segment.")
        if build.cuda is None:
            return _("PyTorch {version}").format(version=build.version)
        if not build.cuda:
            return _("PyTorch {version}, CPU only").format(version=build.version)
        return _("PyTorch {version}, built for CUDA {cuda}").format(version=build.version, cuda=build.cuda)

    def deviceChoices(self) -> list[DeviceChoice]:
        """Devices to offer, "auto" first. Does not import PyTorch: until something else has, it is not known whether a
        CUDA build finds a GPU, and the label says so."""
        choices = [DeviceChoice("auto", _("Automatic (a CUDA GPU if there is one, otherwise the CPU)"))]
        torch = sys.modules.get("torch")
        if torch is not None and hasattr(torch, "cuda"):
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            choices += [DeviceChoice(f"cuda:{n}", _("CUDA GPU {number}").format(number=n)) for n in range(count)]
        else:
            build = self._build()
            if build is None or build.cuda != "":
                choices.append(DeviceChoice("cuda", _("CUDA GPU (found out when you click Segment)")))
        if self._mayHaveMps():
            choices.append(DeviceChoice("mps", _("Apple GPU (experimental)")))
        return [*choices, DeviceChoice("cpu", _("CPU"))]

    def _install(self, askConfirmation: bool) -> None:
        from DPLSegmentLib.errors import InputError

        try:
            import PyTorchUtils
        except ModuleNotFoundError as error:
            raise InputError(self._importMessage(error)) from error
        try:
            # Only keywords that every version of the extension knows.
            torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=askConfirmation)
        except Exception as error:  # pip, network, file locks, and importing what was just installed
            importlib.invalidate_caches()
            logging.exception("Installing PyTorch failed.")
            installed = self._spec() is not None
            message = Messages.TORCH_RESTART if installed else Messages.TORCH_INSTALL_FAILED
            if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("slicer.packaging"):
                message = Messages.PACKAGING_MISSING
            raise InputError(message) from error
        importlib.invalidate_caches()
        if torch is None and self._spec() is None:
            raise InputError(Messages.TORCH_DECLINED)

    @staticmethod
    def _importMessage(error: ModuleNotFoundError) -> str:
        """The extension itself is missing, or something it needs from a newer Slicer is."""
        if (error.name or "").startswith("slicer.packaging"):
            return Messages.PACKAGING_MISSING
        return Messages.EXTENSION_MISSING

    @staticmethod
    def _spec() -> importlib.machinery.ModuleSpec | None:
        """Where PyTorch would be imported from; an empty folder left by an uninstallation does not count."""
        if "torch" in sys.modules:
            return getattr(sys.modules["torch"], "__spec__", None)
        spec = importlib.util.find_spec("torch")
        return spec if spec is not None and spec.origin is not None else None

    def _build(self) -> TorchBuild | None:
        torch = sys.modules.get("torch")
        if torch is not None:
            version = getattr(torch, "__version__", None)
            if version is None:
                return None
            return TorchBuild(str(version), getattr(getattr(torch, "version", None), "cuda", None) or "")
        spec = self._spec()
        if spec is None:
            return None
        # PyTorch writes its version and CUDA version into this file; reading it as text imports nothing.
        try:
            return _readBuild(Path(spec.origin).with_name("version.py").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, SyntaxError):
            pass
        try:
            return TorchBuild(importlib.metadata.version("torch"), None)
        except importlib.metadata.PackageNotFoundError:
            return None

    @staticmethod
    def _isTooOld(version: str) -> bool:
        numbers = re.match(r"(\d+)\.(\d+)", version)
        # A version that does not look like one is a build of somebody's own; let it try.
        return numbers is not None and (int(numbers[1]), int(numbers[2])) < MINIMUM_TORCH

    def _requireVersion(self, version: str) -> None:
        from DPLSegmentLib.errors import InputError

        if self._isTooOld(version):
            needed = ".".join(str(number) for number in MINIMUM_TORCH)
            raise InputError(Messages.TORCH_TOO_OLD.format(installed=version, needed=needed))

    @staticmethod
    def _mayHaveMps() -> bool:
        return sys.platform == "darwin" and platform.machine() == "arm64"


def _readBuild(text: str) -> TorchBuild | None:
    """Version and CUDA version from the text of torch/version.py."""
    values = {}
    for statement in ast.parse(text).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Constant):
            values.update({target.id: value.value for target in targets if isinstance(target, ast.Name)})
    version = values.get("__version__")
    if not isinstance(version, str):
        return None
    return TorchBuild(version, str(values["cuda"] or "") if "cuda" in values else None)

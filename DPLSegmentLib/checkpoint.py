"""Weights on disk: half precision, loaded without running code, checked before they are trusted."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from .errors import InputError
from .model import DPLModel, ModelConfig

BUNDLED = "dpl-walk.pt"
FORMAT = "DPLSegment weights 1"


@dataclass(frozen=True)
class WeightsInfo:
    """Where weights came from."""

    path: str
    sha256: str
    expected_sha256: str | None  # None: weights of the user's own, nothing to compare with
    size: int


def bundled_weights() -> tuple[bytes, str, str]:
    """Content, path and published SHA-256 of the bundled weights."""
    folder = resources.files(__package__) / "weights"
    try:
        content = (folder / BUNDLED).read_bytes()
        expected = (folder / f"{BUNDLED}.sha256").read_text().split()[0]
    except (FileNotFoundError, NotADirectoryError, IndexError) as error:
        raise InputError("The bundled weights are missing; install DPLSegment again.") from error
    return content, str(folder / BUNDLED), expected


def _read(path: str | Path | None) -> tuple[bytes, WeightsInfo]:
    if path is None:
        content, where, expected = bundled_weights()
    else:
        try:
            content, where, expected = Path(path).read_bytes(), str(path), _published(Path(path))
        except OSError as error:
            raise InputError(f"The weights file '{path}' cannot be read; check the path.") from error
    return content, WeightsInfo(where, hashlib.sha256(content).hexdigest(), expected, len(content))


def _published(path: Path) -> str | None:
    """The checksum in ``FILE.sha256`` beside a weights file, if there is one."""
    try:
        words = path.with_name(f"{path.name}.sha256").read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return None
    return words[0] if words else None


def load_weights(path: str | Path | None = None) -> tuple[DPLModel, WeightsInfo]:
    """The model with the bundled weights, or with those of a file.

    Raises:
        InputError: missing, unreadable, truncated, corrupt or foreign weights.
    """
    content, info = _read(path)
    if info.expected_sha256 is not None and info.sha256 != info.expected_sha256:
        what = "The bundled weights are" if path is None else f"The weights file '{info.path}' is"
        raise InputError(f"{what} damaged: the checksum is wrong; install or copy the file again.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.testzip() is not None:  # torch does not check what it unpacks
                raise zipfile.BadZipFile
        stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for files that are not its own
        raise InputError(f"The weights file '{info.path}' is damaged or is not a DPLSegment weights file.") from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise InputError(f"The weights file '{info.path}' does not belong to DPLSegment; choose one made for it.")
    try:
        model = DPLModel(ModelConfig.from_dict(stored["config"]))
        model.load_state_dict({name: value.float() for name, value in stored["state"].items()})
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise InputError(
            f"The weights file '{info.path}' was made for another version of DPLSegment; choose a matching one."
        ) from error
    if not all(bool(torch.isfinite(value).all()) for value in model.state_dict().values()):
        raise InputError(f"The weights file '{info.path}' holds values that are not finite; train or export it again.")
    return model.eval(), info


def save_weights(model: DPLModel, state: dict[str, torch.Tensor], path: str | Path, notes: dict[str, str]) -> str:
    """Write a state in half precision and its checksum beside it; returns the SHA-256.

    ``notes`` is kept in the file: what the weights were trained on, licence, command.
    """
    stored: dict[str, Any] = {
        "format": FORMAT,
        "config": model.config.to_dict(),
        "notes": notes,
        "state": {name: value.detach().half().contiguous() for name, value in state.items()},
    }
    path = Path(path)
    buffer = io.BytesIO()
    torch.save(stored, buffer)
    path.write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
    return digest


def describe_weights(path: str | Path | None = None) -> dict[str, Any]:
    """Path, SHA-256, whether it is the published one, size, number of parameters, notes."""
    model, info = load_weights(path)
    content, _ = _read(path)
    notes = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True).get("notes", {})
    return {
        "path": info.path,
        "sha256": info.sha256,
        "matches": None if info.expected_sha256 is None else info.sha256 == info.expected_sha256,
        "bytes": info.size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "notes": notes,
    }

"""Files that torch saved: checkpoints of runs, exported weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import InputError


def read_stored(path: Path, what: str) -> Any:
    """What ``path`` holds, on the CPU. Raises InputError, which names it by ``what``, if it cannot be read."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"The {what} '{path}' does not exist; check the path.") from None
    except Exception as error:  # torch raises many kinds for files that are not its own
        raise InputError(f"The {what} '{path}' is damaged or of another kind.") from error

"""Writing files so that an interruption never leaves a half one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType

from .errors import InputError


class PendingFiles:
    """Files that are written under temporary names and get their real names together.

    Used as a ``with`` block: :meth:`add` gives the temporary path to write to; leaving the block normally
    renames all, leaving it by any exception removes all. A temporary file lies in the same folder, so
    renaming is atomic, and has the same suffix, because that decides the format.
    """

    def __init__(self) -> None:
        self._moves: list[tuple[Path, Path]] = []

    def __enter__(self) -> PendingFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                while self._moves:
                    temporary, path = self._moves[0]
                    try:
                        os.replace(temporary, path)
                    except OSError as problem:
                        raise InputError(f"The output '{path}' cannot be written ({problem.strerror}).") from None
                    self._moves.pop(0)
        finally:
            for temporary, _ in self._moves:
                temporary.unlink(missing_ok=True)

    def add(self, path: Path, suffix: str) -> Path:
        """A temporary path for ``path``, ending in ``suffix``; InputError if its folder is not writable."""
        temporary = _create_beside(path, suffix)
        self._moves.append((temporary, path))
        return temporary


def require_writable(path: Path, what: str) -> None:
    """Raise InputError unless a file can be created or replaced at ``path``; nothing is left behind."""
    if not path.parent.is_dir():
        raise InputError(f"The folder of the {what} '{path}' does not exist; create it first.")
    if path.is_dir():
        raise InputError(f"The {what} '{path}' is a folder; give a file name.")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"The {what} '{path}' exists and is write-protected; choose another name.")
    _create_beside(path, "").unlink()


def _create_beside(path: Path, suffix: str) -> Path:
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".dplsegment-", suffix=suffix)
        os.close(handle)
        # mkstemp makes files for the owner alone; give them the permissions any new file would have.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
    except OSError as problem:
        raise InputError(
            f"The output '{path}' cannot be written ({problem.strerror}); choose a folder you may write to."
        ) from None
    return Path(name)

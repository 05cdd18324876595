"""The two exceptions a caller of this library has to know."""

from __future__ import annotations

from collections.abc import Callable


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence that says what is wrong and what to do about it; it is meant to be shown as it is.
    """


class Cancelled(Exception):
    """Raised when ``should_cancel()`` returned true; nothing has been changed."""


def stop_if(should_cancel: Callable[[], bool] | None) -> None:
    """Raise :class:`Cancelled` if the caller wants to stop."""
    if should_cancel is not None and should_cancel():
        raise Cancelled("The segmentation was cancelled.")

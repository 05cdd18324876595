"""The two exceptions a caller of this library has to know."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence that says what is wrong and what to do about it; it is meant to be shown as it is.
    """


class Cancelled(Exception):
    """Raised when ``should_cancel()`` returned true; nothing has been changed."""

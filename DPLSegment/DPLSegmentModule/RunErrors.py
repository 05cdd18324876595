"""What went wrong in a run, as one sentence."""

from __future__ import annotations

from DPLSegmentModule import Messages


def sentenceFor(error: BaseException) -> str:
    """One sentence for the user: the library's own for unusable input, a clear one for memory, and for anything else
    that it was unexpected (the traceback belongs in the log, see :func:`isUnexpected`)."""
    from DPLSegmentLib.errors import InputError

    if isinstance(error, InputError):
        return str(error)
    if isOutOfMemory(error):
        return Messages.OUT_OF_MEMORY
    return Messages.UNEXPECTED_ERROR.format(kind=type(error).__name__)


def isOutOfMemory(error: BaseException) -> bool:
    """Whether memory ran out, on the CPU or a GPU."""
    if isinstance(error, MemoryError):
        return True
    # PyTorch's own error types are known by name, because this must not import PyTorch; its CPU allocator raises a
    # plain RuntimeError.
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error)
    return "OutOfMemoryError" in names or (
        isinstance(error, RuntimeError)
        and any(words in text for words in ("not enough memory", "out of memory", "allocate memory"))
    )


def isUnexpected(error: BaseException) -> bool:
    """Whether the traceback is worth logging."""
    from DPLSegmentLib.errors import InputError

    return not isinstance(error, InputError)

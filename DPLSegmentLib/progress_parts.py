"""Progress of a part as progress of the whole."""

from __future__ import annotations

from collections.abc import Callable


class ProgressPart:
    """Calls ``progress(fraction, message)`` for a stretch of a larger job; fractions never fall."""

    def __init__(
        self,
        callback: Callable[[float, str], None] | None,
        start: float = 0.0,
        stop: float = 1.0,
        _reached: list[float] | None = None,
    ) -> None:
        self._callback, self._start, self._stop = callback, start, stop
        self._reached = _reached if _reached is not None else [0.0]

    def __call__(self, fraction: float, message: str) -> None:
        whole = self._start + (self._stop - self._start) * min(1.0, max(0.0, fraction))
        self._reached[0] = max(self._reached[0], whole)
        if self._callback is not None:
            self._callback(self._reached[0], message)

    def part(self, start: float, stop: float) -> ProgressPart:
        """The stretch from ``start`` to ``stop`` of this part."""
        width = self._stop - self._start
        return ProgressPart(self._callback, self._start + start * width, self._start + stop * width, self._reached)

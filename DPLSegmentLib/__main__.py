"""Entry point of ``python -m DPLSegmentLib``."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

from .cli import main


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    # An exception, unlike the default action, lets temporary files be removed.
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main())

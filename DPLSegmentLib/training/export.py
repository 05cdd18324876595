"""Turn a training checkpoint, or the mean of several that began with the same weights, into a weights file.

``python -m DPLSegmentLib.training.export --checkpoint RUN/checkpoint.pt ... --output FILE.pt --data "what it saw"``
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import InputError
from .averaging import average_runs
from .run import export


def main(arguments: list[str] | None = None) -> int:
    """Command line entry; returns the exit status, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m DPLSegmentLib.training.export", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, nargs="+", required=True, help="several: their mean")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", default="", help="what the weights were trained on, kept in the file")
    parser.add_argument("--licence", default="Apache-2.0", help="kept in the file")
    options = parser.parse_args(arguments)
    try:
        found = average_runs(options.checkpoint)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    digest = export(found, options.output, {"data": options.data, "licence": options.licence})
    print(f"{options.output}: {options.output.stat().st_size / 2**20:.2f} MiB, SHA-256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Turn a training checkpoint into a weights file.

``python -m DPLSegmentLib.training.export --checkpoint RUN/checkpoint.pt --output FILE.pt --data "what it saw"``
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .run import export


def main(arguments: list[str] | None = None) -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m DPLSegmentLib.training.export", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", default="", help="what the weights were trained on, kept in the file")
    parser.add_argument("--licence", default="Apache-2.0", help="kept in the file")
    options = parser.parse_args(arguments)
    digest = export(options.checkpoint, options.output, {"data": options.data, "licence": options.licence})
    print(f"{options.output}: {options.output.stat().st_size / 2**20:.2f} MiB, SHA-256 {digest}")


if __name__ == "__main__":
    main()

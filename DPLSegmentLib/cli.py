"""The command line: ``python -m DPLSegmentLib segment | demo | train | evaluate | compare | info``.

Exit codes: 0 done, 2 bad input (one sentence on stderr, nothing written), 130 interrupted (nothing written).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .commands import evaluate
from .commands.train import add_train_options
from .errors import Cancelled, InputError
from .version import __version__

PROGRAM = "python -m DPLSegmentLib"


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line like any other bad input: one sentence, no usage text."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message[:1].upper()}{message[1:]}; see '{self.prog} --help'.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line with ``argv`` (default: the process's) and return the exit code."""
    try:
        arguments = _parser().parse_args(argv)
        # Imported late so that --help and wrong options answer at once.
        if arguments.command == "segment":
            from .commands.segment import segment

            segment(arguments)
        elif arguments.command == "demo":
            from .commands.demo import demo

            demo(arguments.output)
        elif arguments.command in ("evaluate", "compare"):
            getattr(evaluate, arguments.command)(arguments)
        elif arguments.command == "train":
            from .commands.train import train

            train(arguments)
        else:
            from .commands.info import info

            info()
    except InputError as error:
        return _fail(str(error), 2)
    except MemoryError:
        return _fail("There is not enough memory for this scan; close other programs or use a smaller scan.", 2)
    except (KeyboardInterrupt, Cancelled):
        return _fail("Interrupted; nothing was written.", 130)
    except SystemExit as exit_request:  # argparse after --help and --version
        return int(exit_request.code or 0)
    return 0


def _fail(sentence: str, code: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROGRAM, description="Segments a scan from one annotated slice.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="segment|demo|train|evaluate|compare|info", parser_class=_Parser
    )

    segment = commands.add_parser("segment", help="segment a scan from an annotated slice", allow_abbrev=False)
    add = segment.add_argument
    add(
        "--support",
        type=Path,
        required=True,
        metavar="S",
        help="annotated scan: an image file or a DICOM folder",
    )
    add("--annotation", type=Path, required=True, metavar="A", help="label map or .seg.nrrd on the grid of S")
    add("--query", type=Path, metavar="Q", help="scan to segment (default: S itself)")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="label map or .seg.nrrd to write, on the grid of Q",
    )
    add("--device", type=_device, default="auto", metavar="auto|cpu|cuda[:N]|mps", help="where to compute")
    add(
        "--slice-axis",
        type=int,
        choices=(0, 1, 2),
        help="axis i, j or k of the annotated slices (default: found)",
    )
    add("--seed", type=_seed, default=0, metavar="N", help="seed of all random numbers (default: 0)")
    add("--uncertainty", type=Path, metavar="U", help="image to write: how likely each voxel is wrong, 0 to 1")
    add("--report", type=Path, metavar="R.json", help="report to write")
    add("--weights", type=Path, metavar="W", help="weights file (default: the bundled one)")
    add("--quiet", action="store_true", help="show no progress")

    demo = commands.add_parser("demo", help="do the whole job on a generated scan with known truth")
    demo.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write into")

    evaluate.add_arguments(commands)

    train = commands.add_parser("train", help="train on folders of scans, labelled or not", allow_abbrev=False)
    add_train_options(train.add_argument, _device)

    commands.add_parser("info", help="show versions, devices, and the weights with their checksum")
    return parser


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"'{text}' is none of auto, cpu, cuda, cuda:N, mps")
    return text


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0")
    return int(text)

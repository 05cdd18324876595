"""The ``evaluate`` and ``compare`` commands: figures on scans with reference label maps, and their differences."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from ..errors import InputError

PROTOCOLS = ("EP1", "EP2", "R1", "S1")


def add_arguments(commands: argparse._SubParsersAction) -> None:
    """Add both commands to the command line."""
    evaluate = commands.add_parser(
        "evaluate", help="measure accuracy on scans with reference label maps", allow_abbrev=False
    )
    add = evaluate.add_argument
    add("--protocol", choices=PROTOCOLS, required=True, help="what is annotated and scored, see Testing/README.md")
    add("--data", type=Path, required=True, metavar="DIR", help="folder that contains the set's folder")
    add("--set", required=True, metavar="NAME", help="set of scans: a folder with images and label maps")
    add("--output", type=Path, required=True, metavar="DIR", help="folder for scores, tables and figure")
    add("--fold", metavar="K|each", help="only fold K, five scans each, or each fold (default: all scans, one group)")
    add("--supports", nargs="+", default=["all"], metavar="NAME", help="supports, or all (default): every scan in turn")
    add("--annotated-slices", type=int, metavar="N", help="annotated slices a label (default: 1 for S1 and R1, else 3)")
    add("--episodes", choices=("joint", "binary"), help="all labels at once or one by one (default: the protocol's)")
    add("--weights", metavar="W", help="weights file, in which {fold} is replaced (default: the bundled one)")
    add("--seeds", type=int, default=1, metavar="N", help="repeat with seeds 0 to N - 1 (default: 1)")
    add(
        "--methods",
        nargs="+",
        default=["dpl"],
        metavar="M",
        help="dpl, pooled, adnet, local, or plugins' (default: dpl)",
    )
    add("--plugins", type=Path, metavar="DIR", help="folder of further methods, such as Testing/Benchmarks/baselines")
    add("--limit", type=int, metavar="N", help="only the first N scans of a group")
    add("--device", default="auto", metavar="auto|cpu|cuda[:N]|mps", help="where to compute")
    add("--tolerance", type=float, metavar="MM", help="of surface Dice (default: twice the in-plane voxel size)")
    add("--variants", type=int, metavar="K", help="number of prototype variants; 0 switches the enhancement off")
    add("--enhancement", nargs="+", default=[], metavar="KEY=VALUE", help="other settings of the enhancement")
    add("--quiet", action="store_true", help="show no progress")
    compare = commands.add_parser("compare", help="paired difference of two evaluations", allow_abbrev=False)
    compare.add_argument("first", metavar="A", help="output folder of an evaluation; A:METHOD for another than dpl")
    compare.add_argument("second", metavar="B", help="the same; positive differences are in favour of B")
    compare.add_argument("--output", type=Path, metavar="FILE.md", help="write the table there, too")


def evaluate(arguments: argparse.Namespace) -> None:
    """Run the ``evaluate`` command. Raises InputError for bad input, before anything is written."""
    from ..evaluation.runner import REPORT, Options
    from ..evaluation.runner import evaluate as run

    options = Options(
        protocol=arguments.protocol,
        data=arguments.data,
        set_name=arguments.set,
        output=arguments.output,
        fold=arguments.fold,
        supports=None if arguments.supports == ["all"] else tuple(dict.fromkeys(_split(arguments.supports))),
        annotated=arguments.annotated_slices,
        episodes=arguments.episodes,
        weights=arguments.weights,
        seeds=arguments.seeds,
        methods=tuple(dict.fromkeys(_split(arguments.methods))),
        plugins=arguments.plugins,
        limit=arguments.limit,
        device=arguments.device,
        tolerance=arguments.tolerance,
        enhancement=_enhancement(arguments),
        command=shlex.join(["python", "-m", "DPLSegmentLib", *sys.argv[1:]]),
    )
    tell = (lambda line: None) if arguments.quiet else (lambda line: print(line, file=sys.stderr, flush=True))
    try:
        run(options, tell)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; what is finished is kept, and the same command goes on from there.\n")
        raise SystemExit(130) from None
    print((arguments.output / REPORT).read_text(encoding="utf-8"))


def compare(arguments: argparse.Namespace) -> None:
    """Run the ``compare`` command. Raises InputError when the results cannot be compared."""
    from ..evaluation.comparison import check_comparable, comparison_table, read_side
    from ..evaluation.comparison import compare as differences
    from ..pending import PendingFiles, require_writable

    if arguments.output is not None:
        require_writable(arguments.output, "output")
    (first, rows), (second, others) = read_side(arguments.first), read_side(arguments.second)
    check_comparable(first, second)
    table = comparison_table(differences(rows, others), arguments.first, arguments.second)
    if arguments.output is not None:
        with PendingFiles() as pending:
            pending.add(arguments.output, ".md").write_text(table + "\n", encoding="utf-8")
    print(table)


def _enhancement(arguments: argparse.Namespace) -> dict[str, str]:
    changes = {} if arguments.variants is None else {"variants": str(arguments.variants)}
    for text in arguments.enhancement:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise InputError(f"'{text}' is not a setting of the enhancement; write KEY=VALUE, such as alpha=0.6.")
        if name in changes:
            raise InputError(f"The setting '{name}' of the enhancement is given twice; give it once.")
        changes[name] = value
    return changes


def _split(words: list[str]) -> list[str]:
    """Names separated by blanks or commas."""
    return [name for word in words for name in word.split(",") if name]

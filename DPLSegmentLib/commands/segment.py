"""The ``segment`` command: an annotated scan in, a segmented scan out."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ..annotation import interpret_annotation
from ..errors import InputError
from ..geometry import Volume
from ..pending import PendingFiles, require_writable
from ..progress import ProgressDisplay
from ..quiet import native_messages_hidden
from ..reading import read_annotation, read_volume
from ..segments import Segment
from ..writing import SEGMENTATION_SUFFIX, require_writable_image, write_json, write_labels, write_scalar

# Share of the progress that goes to the support scan.
_SUPPORT_SHARE = 0.3


def segment(arguments: argparse.Namespace) -> None:
    """Run the command. Raises InputError for bad input; all outputs appear together at the end."""
    _check_paths(arguments)
    with native_messages_hidden():
        support, masks, segments, query = _read(arguments)
    # Everything a wrong file can do wrong is found before torch and the weights are loaded.
    interpret_annotation(masks, support, arguments.slice_axis)
    result = _compute(arguments, support, masks, query)
    reference = query or support
    with PendingFiles() as pending:
        write_labels(arguments.output, result.labels, reference, segments, pending)
        if arguments.uncertainty:
            write_scalar(arguments.uncertainty, result.uncertainty, reference, pending)
        if arguments.report:
            write_json(arguments.report, {**result.report, "files": _files(arguments)}, pending)
    if not arguments.quiet:
        print(f"Wrote {arguments.output}")


def _check_paths(arguments: argparse.Namespace) -> None:
    require_writable_image(arguments.output, "output")
    outputs = {"output": arguments.output}
    if arguments.uncertainty:
        if arguments.uncertainty.name.lower().endswith(SEGMENTATION_SUFFIX):
            raise InputError(f"The uncertainty '{arguments.uncertainty}' is a grey image; name it .nrrd or .nii.gz.")
        require_writable_image(arguments.uncertainty, "uncertainty")
        outputs["uncertainty"] = arguments.uncertainty
    if arguments.report:
        if not arguments.report.name.lower().endswith(".json"):
            raise InputError(f"The report '{arguments.report}' has no .json suffix; add it.")
        require_writable(arguments.report, "report")
        outputs["report"] = arguments.report
    if arguments.weights and not arguments.weights.is_file():
        raise InputError(f"The weights file '{arguments.weights}' does not exist; check the path.")
    used = {
        path.resolve(): what
        for what in ("support", "annotation", "query", "weights")
        if (path := getattr(arguments, what)) is not None
    }
    for what, path in outputs.items():
        if path.resolve() in used:
            raise InputError(f"The {what} '{path}' is also the {used[path.resolve()]}; choose another name for it.")
        used[path.resolve()] = what


def _read(
    arguments: argparse.Namespace,
) -> tuple[Volume, dict[int, np.ndarray], list[Segment], Volume | None]:
    support = read_volume(arguments.support)
    masks, segments = read_annotation(arguments.annotation, support)
    same = arguments.query is None or arguments.query.resolve() == arguments.support.resolve()
    return support, masks, segments, None if same else read_volume(arguments.query)


def _compute(arguments: argparse.Namespace, support: Volume, masks: dict[int, np.ndarray], query: Volume | None) -> Any:
    from ..segmenter import OneShotSegmenter

    segmenter = OneShotSegmenter.load(device=arguments.device, weights=arguments.weights, seed=arguments.seed)
    segmenter.message = _tell
    if arguments.quiet:
        segmenter.set_support(support, masks, slice_axis=arguments.slice_axis)
        return segmenter.segment(query)
    with closing(ProgressDisplay(sys.stderr)) as display:
        segmenter.message = display.note
        segmenter.set_support(
            support,
            masks,
            slice_axis=arguments.slice_axis,
            progress=lambda fraction, message: display(_SUPPORT_SHARE * fraction, message),
        )
        return segmenter.segment(
            query,
            progress=lambda fraction, message: display(_SUPPORT_SHARE + (1 - _SUPPORT_SHARE) * fraction, message),
        )


def _tell(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def _files(arguments: argparse.Namespace) -> dict[str, str]:
    names = ("support", "annotation", "query", "output", "uncertainty", "weights")
    given: dict[str, Path | None] = {name: getattr(arguments, name) for name in names}
    return {name: str(path) for name, path in given.items() if path is not None}

"""The ``demo`` command: the whole job on a generated scan whose truth is known."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..annotation import Annotation, interpret_annotation
from ..errors import InputError
from ..evaluation.metrics import dice
from ..geometry import Volume, slice_frame
from ..pending import PendingFiles, require_writable
from ..picture import write_picture
from ..progress import ProgressDisplay
from ..segments import Segment, generated_segment
from ..writing import write_json, write_labels, write_scalar

_SEED = 1
# What a user would paint; each is the structure of that name with its parts (a kidney's medulla and sinus).
_ORGANS = ("liver", "spleen", "right kidney", "left kidney", "gallbladder", "pancreas", "aorta")
_PICTURE = "picture.png"


def demo(folder: Path) -> None:
    """Make a scan, annotate each organ on its largest slice, segment it, and say how well it went.

    Writes scan, annotation, truth, segmentation, uncertainty, report and picture into ``folder`` (created if
    missing) once all are complete. Raises InputError when the folder cannot be written.
    """
    _prepare(folder)
    scan, truth, segments = _generated_scan()
    annotation = _largest_slices(truth, scan)
    result = _segmented(scan, annotation)
    scores = {
        segment.name: dice(
            result.labels == segment.value,
            truth == segment.value,
            annotation.slices[segment.value],
            slice_axis=2 - annotation.slice_axis,
        )
        for segment in segments
    }
    drawn = np.zeros(truth.shape, dtype=truth.dtype)
    for value, mask in annotation.masks.items():
        drawn[mask] = value
    with PendingFiles() as pending:
        write_scalar(folder / "scan.nii.gz", scan.array, scan, pending)
        write_labels(folder / "annotation.seg.nrrd", drawn, scan, segments, pending)
        write_labels(folder / "truth.nii.gz", truth, scan, pending=pending)
        write_labels(folder / "segmentation.seg.nrrd", result.labels, scan, segments, pending)
        write_scalar(folder / "uncertainty.nii.gz", result.uncertainty, scan, pending)
        write_json(folder / "report.json", {**result.report, "dice": scores}, pending)
        frame = slice_frame(scan, annotation.slice_axis)
        write_picture(folder / _PICTURE, scan, frame, annotation, result.labels, segments, pending)
    print("Dice in 3-D without the annotated slices (1 is perfect):")
    for name, score in scores.items():
        print(f"  {name:<16} {score:.3f}")
    print(f"  {'mean':<16} {np.mean(list(scores.values())):.3f}")
    print(f"Picture: {(folder / _PICTURE).resolve()}")


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"The folder '{folder}' cannot be made ({problem.strerror}); choose another place.") from None
    require_writable(folder / _PICTURE, "output")


def _generated_scan() -> tuple[Volume, np.ndarray, list[Segment]]:
    """The scan, its organs as a label map (k, j, i), and their names."""
    from ..synthetic import generate_scan

    scan = generate_scan(_SEED)
    parts = np.asarray(scan.label_volume.array)
    truth = np.zeros(parts.shape, np.uint16)
    segments = []
    for value, name in enumerate(_ORGANS, start=1):
        members = [label for label, part in scan.names.items() if part == name or part.startswith(f"{name} ")]
        truth[np.isin(parts, members)] = value
        if (truth == value).any():
            segments.append(replace(generated_segment(value), name=name))
    return replace(scan.volume, name="generated scan"), truth, segments


def _largest_slices(truth: np.ndarray, scan: Volume) -> Annotation:
    """Each organ on the slice where it is largest, as a user would annotate it."""
    masks = {}
    for value in np.unique(truth[truth > 0]):
        mask = truth == value
        index = int(np.count_nonzero(mask, axis=(1, 2)).argmax())
        masks[int(value)] = np.zeros_like(mask)
        masks[int(value)][index] = mask[index]
    return interpret_annotation(masks, scan, slice_axis=2)


def _segmented(scan: Volume, annotation: Annotation):
    from ..segmenter import OneShotSegmenter

    segmenter = OneShotSegmenter.load()
    with closing(ProgressDisplay(sys.stderr)) as display:
        segmenter.set_support(scan, annotation.masks, slice_axis=annotation.slice_axis)
        return segmenter.segment(progress=display)

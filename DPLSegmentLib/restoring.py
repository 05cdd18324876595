"""From network probabilities back to the query's own voxels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from .annotation import Annotation
from .doubt import LabelDoubts, doubt
from .errors import stop_if
from .propagation import LabelResult
from .scan import PreparedScan, take_slice
from .similarity import SimilarityMaps


def restore(
    scan: PreparedScan,
    results: Mapping[int, LabelResult],
    spreads: Mapping[int, SimilarityMaps],
    overlaps: Mapping[int, frozenset[int]],
    annotation: Annotation | None,
    *,
    should_cancel: Callable[[], bool] | None = None,
) -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray], LabelDoubts]:
    """Label map, uncertainty and overlapping masks on the query's own grid.

    Probabilities are interpolated and compared at the query's resolution (argmax before any label is resampled). Where
    the query itself was annotated, the annotation stands as it was drawn and is certain. Labels that overlap in the
    annotation may overlap here; the label map then shows the highest value.

    The uncertainty of a voxel is ``doubt·(1 + spread)``, the largest of all labels: how likely a label is wrong there
    (``doubt.py``), the more so where prototype variants disagree.

    Args:
        scan: the query.
        results: probabilities per label.
        spreads: prototype similarity per label (for the spread over the variants).
        overlaps: per label the others that it may share voxels with.
        annotation: of the query itself, in the volume's (k, j, i), or None for another scan's.

    Returns:
        (k, j, i) uint16 label values, (k, j, i) float32 in [0, 1], a (k, j, i) bool mask of each label that may overlap
        with others, and the doubt about each label on its own.
    """
    frame, grid = scan.frame, scan.grid
    shape = tuple(scan.volume.array.shape[axis] for axis in frame.axes)
    labels = np.zeros(shape, np.uint16)
    uncertainty = np.zeros(shape, np.float32)
    separate = {label: np.zeros(shape, bool) for label, others in overlaps.items() if others}
    doubts = {}
    for label, result in results.items():
        stop_if(should_cancel)
        doubts[label] = doubt(result, scan.encoded)
    drawn: dict[int, list[int]] = {}
    if annotation is not None:
        for label, places in annotation.slices.items():
            for place in places:
                drawn.setdefault(frame.slice_index(place), []).append(label)
    for index in range(shape[0]):
        stop_if(should_cancel)
        here = drawn.get(index, [])
        present = [label for label, result in results.items() if index in result.probability and label not in here]
        if present:
            maps = torch.stack([results[label].probability[index].float() for label in present])
            probability = grid.to_slices(maps)
            best, winner = probability.max(dim=0)
            values = torch.tensor(present, dtype=torch.int32, device=best.device)[winner]
            labels[index] = torch.where(best > 0.5, values, 0).cpu().numpy().astype(np.uint16)
            for label, mask in _shared(present, probability, overlaps).items():
                separate[label][index] = mask.cpu().numpy()
        open_places = {
            label: part for label in results if label not in here and (part := doubts[label].slice(index)) is not None
        }
        if open_places:
            border = torch.stack(list(open_places.values()))
            spread = torch.stack([spreads[label].spread[index].float() for label in open_places])
            spread = torch.nn.functional.interpolate(
                spread[:, None], size=grid.padded, mode="bilinear", align_corners=False
            )[:, 0]
            value = border * (1.0 + spread)
            uncertainty[index] = grid.to_slices(value.amax(0, keepdim=True))[0].clamp(0.0, 1.0).cpu().numpy()
        for label in here:
            mask = take_slice(annotation.masks[label], frame, index)
            labels[index][mask] = label
            uncertainty[index][mask] = 0.0
            for other, whole in separate.items():
                if other == label:
                    whole[index] = mask
                elif other not in here and other not in overlaps[label]:
                    whole[index][mask] = False
        for label in sorted(separate):
            labels[index][separate[label][index]] = label
    certain = {label: frozenset(n for n, here in drawn.items() if label in here) for label in results}
    kept = {label: part.cpu() for label, part in doubts.items()}
    alone = LabelDoubts(kept, grid, frame, shape[0], certain)
    masks = {n: frame.invert(mask) for n, mask in separate.items()}
    return frame.invert(labels), frame.invert(uncertainty), masks, alone


def _shared(
    present: list[int], probability: torch.Tensor, overlaps: Mapping[int, frozenset[int]]
) -> dict[int, torch.Tensor]:
    """Masks (rows, columns) of the labels that may overlap, by increasing value: each has to win against those it may
    not share voxels with only."""
    masks = {}
    for row, label in sorted(enumerate(present), key=lambda entry: entry[1]):
        if overlaps[label]:
            rivals = [n for n, other in enumerate(present) if n != row and other not in overlaps[label]]
            mask = probability[row] > 0.5
            masks[label] = mask & (probability[row] > probability[rivals].amax(0)) if rivals else mask
    return masks

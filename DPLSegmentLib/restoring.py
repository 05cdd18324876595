"""From network probabilities back to the query's own voxels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from .annotation import Annotation
from .errors import stop_if
from .propagation import LabelResult
from .scan import PreparedScan, take_slice
from .similarity import SimilarityMaps


def restore(
    scan: PreparedScan,
    results: Mapping[int, LabelResult],
    spreads: Mapping[int, SimilarityMaps],
    annotation: Annotation | None,
    *,
    should_cancel: Callable[[], bool] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Label map and uncertainty on the query's own grid.

    Probabilities are interpolated and compared at the query's resolution (argmax before any label is resampled). Where
    the query itself was annotated, the annotation stands as it was drawn and is certain.

    The uncertainty of a voxel is ``1 - (1 - 4p(1 - p))·(1 - 2·spread)``: the probability of its label being open, or
    the prototype variants disagreeing, near the object.

    Args:
        scan: the query.
        results: probabilities per label.
        spreads: prototype similarity per label (for the spread over the variants).
        annotation: of the query itself, in the volume's (k, j, i), or None for another scan's.

    Returns:
        (k, j, i) uint16 label values and (k, j, i) float32 in [0, 1].
    """
    frame, grid = scan.frame, scan.grid
    shape = tuple(scan.volume.array.shape[axis] for axis in frame.axes)
    labels = np.zeros(shape, np.uint16)
    uncertainty = np.zeros(shape, np.float32)
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
            spread = torch.stack([spreads[label].spread[index].float() for label in present])
            spread = torch.nn.functional.interpolate(
                spread[:, None], size=grid.padded, mode="bilinear", align_corners=False
            )[:, 0]
            near = torch.nn.functional.max_pool2d((maps > 0.1).float()[:, None], 9, 1, 4)[:, 0]
            spread = grid.to_slices((spread * near).amax(0, keepdim=True))[0]
            sure = (1.0 - 4.0 * best * (1.0 - best)).clamp(0.0, 1.0) * (1.0 - 2.0 * spread).clamp(0.0, 1.0)
            uncertainty[index] = (1.0 - sure).cpu().numpy()
        for label in here:
            mask = take_slice(annotation.masks[label], frame, index)
            labels[index][mask] = label
            uncertainty[index][mask] = 0.0
    return frame.invert(labels), frame.invert(uncertainty)

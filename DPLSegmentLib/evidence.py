"""What a first look at the query found in an organ's place: evidence that steers the reverse process."""

from __future__ import annotations

from torch import Tensor

from .sphere import unit

SURE = 0.7  # foreground probability from which a place of the first look counts
FEWEST = 4  # places


def organ_prototype(features: Tensor, probability: Tensor) -> Tensor | None:
    """Mean unit feature of all places that surely are foreground; None if there are too few.

    Args:
        features: (N, C, h, w); probability: (N, h, w) foreground in [0, 1].

    Returns:
        (1, C), shorter than one the more the features differ.
    """
    sure = probability > SURE
    if int(sure.sum()) < FEWEST:
        return None
    return unit(features.permute(0, 2, 3, 1)[sure]).mean(dim=0, keepdim=True)

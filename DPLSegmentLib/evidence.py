"""What a first look at the query found in an organ's place: evidence that steers the reverse process."""

from __future__ import annotations

from torch import Tensor

from .sphere import unit

SURE = 0.7  # foreground probability from which a place of the first look counts
FEWEST = 4  # places
LIKELY = 0.3  # foreground probability of places that may well belong to the organ
# What part of those must be sure. Where the sure ones are exceptions, as in a thin wall, they are often places of a
# neighbour, and variants that follow them go astray.
SURE_PART = 0.2


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


def evidence(features: Tensor, probability: Tensor) -> Tensor | None:
    """The organ's prototype in a query of which there has been a first look; None if that was not sure enough.

    Args and returns as for :func:`organ_prototype`.
    """
    sure, likely = int((probability > SURE).sum()), int((probability > LIKELY).sum())
    return organ_prototype(features, probability) if sure >= SURE_PART * likely else None

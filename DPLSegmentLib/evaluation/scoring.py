"""All measures of one label of one prediction."""

from __future__ import annotations

import numpy as np

from .methods import Prediction
from .metrics import dice, surface_scores
from .protocols import Episode
from .results import NAN, Row
from .uncertainty import ErrorRanking, rank_errors


def default_tolerance(episode: Episode) -> float:
    """Twice the query's larger in-plane voxel size, mm: about how far two careful people's outlines lie apart."""
    _, j, i = episode.query.spacing_kji
    return 2.0 * max(j, i)


def score(
    episode: Episode,
    prediction: Prediction,
    *,
    method: str,
    seed: int,
    fold: str,
    seconds: float,
    tolerance: float | None,
) -> list[Row]:
    """One row for each scored label.

    Dice and the measures of uncertainty count the protocol's slices only. Surface distances are those of whole labels
    on the slices that the protocol lets a method see: in the same scan the annotated slices, which every method gets
    right, are among them, because a surface cannot leave out a slice. ``tolerance`` in mm; the default one if None.
    What ranks errors is the uncertainty that users see, of all labels at once; the doubt about the label alone is
    looked at beside it.
    """
    spacing = episode.query.spacing_kji
    voxel_ml = float(np.prod(spacing)) / 1000.0
    limit = default_tolerance(episode) if tolerance is None else tolerance
    rows = []
    for label in episode.scored:
        truth = episode.query.truth == label
        scored = episode.scored_slices(label)
        left_out = np.flatnonzero(~scored)
        found = prediction.masks[label]
        if episode.chunks is not None:
            found = found & scored[:, None, None]
        hd95, surface = surface_scores(found, truth, spacing, limit)
        alone, doubt = prediction.alone.get(label), prediction.uncertainty
        ranking = ErrorRanking(NAN, NAN, NAN) if doubt is None else rank_errors(found, truth, doubt, spacing, scored)
        about = None if prediction.about is None else prediction.about(label)
        rows.append(
            Row(
                method=method,
                seed=seed,
                fold=fold,
                support=episode.support.name,
                query=episode.query.name,
                label=label,
                organ=episode.query.labels[label],
                dice=dice(found, truth, left_out),
                dice_alone=NAN if alone is None else dice(alone, truth, left_out),
                hd95=hd95,
                surface_dice=surface,
                tolerance=limit,
                auroc=ranking.auroc,
                auroc_alone=NAN if about is None else rank_errors(found, truth, about, spacing, scored).auroc,
                worst_found=ranking.worst_found,
                worst_at_ends=ranking.worst_at_ends,
                truth_ml=float(truth.sum()) * voxel_ml,
                found_ml=float(found.sum()) * voxel_ml,
                seconds=seconds,
            )
        )
    return rows

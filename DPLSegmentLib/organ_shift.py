"""Where along the slice axis each organ lies in another patient, next to where the scans' alignment expects it.

One shift and one scale cannot bring all organs of two patients together: kidneys lie higher or lower against the
liver. So each organ is looked up as if it lay a little further up or down, too, and is put where the support explains
best what is taken for the organ: a likelihood, maximised over the shift.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .cross_matching import SliceEvidence
from .errors import stop_if
from .evidence import FEWEST
from .looking import Looking
from .progress_parts import ProgressPart

SHIFTS_MM = (0.0, 8.0, -8.0, 16.0, -16.0, 24.0, -24.0, 32.0, -32.0, 40.0, -40.0)
# Standard deviation of a Gaussian prior for the shift, in the unit of one place's log-likelihood. Without it an organ
# that the query shows little of drifts to an end of the range.
SPREAD_MM = 36.0
COUNTED = 48  # query slices looked at, at most, evenly spread
SPACING_MM = 6.0  # about how far apart the support's slices are that are looked up; finer than shifts need not be
ENOUGH = 0.5  # of the most that is found under any shift; what is found of an organ that was lost is no measure


@torch.inference_mode()
def organ_shifts(looking: Looking, progress: ProgressPart) -> list[float]:
    """How far each organ is shifted, in mm along the support's slice axis, in the order of ``organs.labels``.

    For every shift, the log-likelihood of a query place is the logarithm of the sum of its matching scores; the mean
    over all places, weighted by the organ's probability there, decides, together with a prior in favour of no shift.
    """
    count = len(looking.where)
    mass = torch.zeros(len(SHIFTS_MM), len(looking.organs.labels)).to(looking.query.features)
    sums = mass.clone()
    step = max(1, -(-count // COUNTED))
    every = max(1, round(SPACING_MM / looking.support.slice_mm))
    for index in range(0, count, step):
        stop_if(looking.should_cancel)
        asked = looking.asked(index, SHIFTS_MM, every)
        if asked.slices:
            probability, explained = _evidence(looking, index, asked.slices).weighed(asked.bias.to(mass).exp())
            mass += probability.sum(-1)
            sums += torch.einsum("slp,sp->sl", probability, explained)
        progress((index + 1) / count, f"locating organs, slice {index + 1} of {count}")
    return [_best(*of_label) for of_label in zip(mass.T, sums.T, strict=True)]


def _evidence(looking: Looking, index: int, slices: list[int]) -> SliceEvidence:
    here = (looking.query.features[index], looking.query.places[index])
    there = (looking.support.features[slices], looking.support.places[slices])
    return looking.model.cross.by_slice(*here, *there, looking.organs.masks[:, slices])


def _best(mass: Tensor, sums: Tensor) -> float:
    """The first of the most likely shifts, none if next to nothing was found; from sums (shifts,) over places."""
    if float(mass.max()) < FEWEST:
        return 0.0
    gain = sums / mass.clamp_min(1e-6) - 0.5 * (torch.tensor(SHIFTS_MM) / SPREAD_MM).square().to(mass)
    gain = torch.where(mass >= ENOUGH * mass.max(), gain, -torch.inf).tolist()
    return SHIFTS_MM[max(range(len(SHIFTS_MM)), key=gain.__getitem__)]

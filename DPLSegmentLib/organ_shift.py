"""Where along the slice axis each organ lies in another patient, next to where the scans' alignment expects it.

One shift and one scale cannot bring all organs of two patients together: kidneys lie higher or lower against the
liver. So each organ is looked up as if it lay a little further up or down, too, and is put where the support explains
best what is taken for the organ: a likelihood, maximised over the shift.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import stop_if
from .evidence import FEWEST
from .looking import Looking, one_in
from .progress_parts import ProgressPart

SHIFTS_MM = (0.0, 8.0, -8.0, 16.0, -16.0, 24.0, -24.0, 32.0, -32.0, 40.0, -40.0)
# Standard deviation of a Gaussian prior for the shift, in the unit of one place's log-likelihood. Without it an organ
# that the query shows little of drifts to an end of the range.
SPREAD_MM = 36.0
ASKED_MM = 3.0  # about how far apart the support's slices are at least that are asked; shifts are coarser
COUNTED = 48  # query slices looked at, at most, evenly spread
ENOUGH = 0.5  # of the most that is found under any shift; what is found of an organ that was lost is no measure


@torch.inference_mode()
def organ_shifts(looking: Looking, progress: ProgressPart) -> list[float]:
    """How far each organ is shifted, in mm along the support's slice axis, in the order of ``organs.labels``.

    For every shift, the log-likelihood of a query place is the logarithm of the sum of its matching scores; the mean
    over all places, weighted by the organ's probability there, decides, together with a prior in favour of no shift.
    """
    mass = torch.zeros(len(SHIFTS_MM), len(looking.organs.labels)).to(looking.query.features)
    sums = mass.clone()
    looked = looking.looked
    counted = looked[:: max(1, -(-len(looked) // COUNTED))]
    every = one_in(ASKED_MM, looking.support.slice_mm)
    for number, index in enumerate(counted, start=1):
        stop_if(looking.should_cancel)
        asked = looking.asked(index, SHIFTS_MM, every)
        if asked.slices:
            probability, explained = looking.evidence(index, asked.slices).weighed(asked.bias.to(mass).exp())
            mass += probability.sum(-1)
            sums += torch.einsum("slp,sp->sl", probability, explained)
        progress(number / len(counted), f"locating organs, slice {index + 1} of {len(looking.where)}")
    return [_best(*of_label) for of_label in zip(mass.T, sums.T, strict=True)]


def _best(mass: Tensor, sums: Tensor) -> float:
    """The first of the most likely shifts, none if next to nothing was found; from sums (shifts,) over places."""
    if float(mass.max()) < FEWEST:
        return 0.0
    gain = sums / mass.clamp_min(1e-6) - 0.5 * (torch.tensor(SHIFTS_MM) / SPREAD_MM).square().to(mass)
    gain = torch.where(mass >= ENOUGH * mass.max(), gain, -torch.inf).tolist()
    return SHIFTS_MM[max(range(len(SHIFTS_MM)), key=gain.__getitem__)]

"""The loss of rollout episodes: several walks at once, step by step, each remembering the model's own masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..model import DPLModel, SupportPrototypes
from ..motion import Motion
from ..preprocessing import neighbour_mix
from ..similarity import SimilarityMaps
from ..step import (
    KIND_ANNOTATED,
    KIND_LAST,
    KIND_OLDER,
    KIND_SECOND_ANNOTATED,
    Appearance,
    EncodedScan,
    Slot,
    StepRequest,
    propagate_step,
)
from ..support import joined_prototypes
from ..window import Window, window_around
from .episodes import RolloutEpisode
from .losses import readout_loss, segmentation_loss
from .objective import Terms, encode_all, prototype_terms, shrink

_ABSENT = -12.0
PRESENT_PIXELS = 6
WRONG_DICE = 0.6  # a step whose mask agrees less with the truth has gone wrong


@dataclass
class _Walker:
    """One walk: what is fixed, what it remembers, and the losses of its steps."""

    episode: RolloutEpisode
    scan: EncodedScan
    small: Tensor
    support: SupportPrototypes
    maps: SimilarityMaps
    appearance: Appearance
    slots: list[Slot]
    older: Slot
    last: Slot
    losses: dict[str, list[Tensor]]
    motion: Motion | None
    begun: int | None = None  # the step from which on the walk is learned from

    def request(self, number: int) -> StepRequest | None:
        """Step ``number`` of the walk; None if it is over, or has lost its object."""
        if number >= len(self.episode.steps):
            return None
        if self.begun is None and number >= self.episode.approach:
            self.begun = number
        if self.begun is not None and number >= self.begun + self.episode.learned:
            return None
        window = window_around(self.last.mask.detach() > 0.5)
        if window is None:
            return None
        remembered = [*self.slots, self.older, self.last]
        step = self.episode.steps[number]
        fixed = (self.maps, self.appearance, self.episode.annotated)
        request = StepRequest(self.scan, step, window, remembered, *fixed)
        return request if self.motion is None else request.following(self.motion)

    def accept(self, step: int, window: Window, logits: Tensor) -> None:
        """Remember the mask of a step, (1, P, P) logits."""
        pasted = window.paste(logits[:, None], self.episode.masks.shape[-2:], _ABSENT)[0, 0]
        probability = pasted.sigmoid()
        if self.motion is not None:
            self.motion = self.motion.seen(self.last.mask.detach(), probability.detach())
        self.older = Slot(self.last.index, self.last.mask, KIND_OLDER)
        self.last = Slot(step, probability, KIND_LAST)

    def is_wrong(self, step: int, window: Window, logits: Tensor, presence: Tensor) -> bool:
        """Whether a step finds the object where it is not, misses it, or finds too much else or too little."""
        truth = self.episode.masks[step]
        if (float(presence[0]) > 0.0) != bool(truth.sum() > PRESENT_PIXELS):
            return True
        found = window.paste(logits[:, None], truth.shape, _ABSENT)[0, 0] > 0.0
        both, all_of_both = float((truth * found).sum()), float(truth.sum() + found.sum())
        return float(presence[0]) > 0.0 and 2 * both < WRONG_DICE * all_of_both

    def learn(self, step: int, window: Window, logits: Tensor, matched: Tensor, presence: Tensor) -> None:
        """Take up the losses of a step, (1, P, P) each and (1,)."""
        truth = self.episode.masks[step]
        wanted = window.crop(truth[None, None], logits.shape[-1], fill="zero")[:, 0].clamp(0.0, 1.0)
        present = (truth.sum() > PRESENT_PIXELS).to(wanted)
        self.losses["mask"].append(segmentation_loss(logits, wanted))
        self.losses["matched"].append(readout_loss(matched, wanted))
        self.losses["presence"].append(F.binary_cross_entropy_with_logits(presence[0], present))


def rollout_terms(
    model: DPLModel,
    episodes: Sequence[RolloutEpisode],
    generators: Sequence[torch.Generator],
    train_backbone: bool = False,
    settled: bool = True,
) -> list[Terms]:
    """Walk the episodes' steps together; the loss terms of each, the same as if it had walked alone.

    ``generators``: CPU generators of the diffusion noise, one an episode. ``settled``: see ``prototype_terms``.
    """
    mixed = [neighbour_mix(e.images, e.slice_mm, e.pixel_mm) for e in episodes]
    features = encode_all(model, mixed, train_backbone)
    walkers = [_start(model, *each) for each in zip(episodes, features, generators, strict=True)]
    for number in range(max(len(episode.steps) for episode in episodes)):
        waiting = [(walker, request) for walker in walkers if (request := walker.request(number)) is not None]
        approaching = [each for each in waiting if each[0].begun is None]
        with torch.no_grad():
            for batch in _alike(approaching):
                _approach(model, batch, number)
        for batch in _alike([each for each in waiting if each[0].begun is not None]):
            _learn(model, batch)
    return [_finish(model, walker, noise, settled) for walker, noise in zip(walkers, generators, strict=True)]


def _alike(waiting: list[tuple[_Walker, StepRequest]]) -> list[list[tuple[_Walker, StepRequest]]]:
    """What can be stepped together: those that remember equally many slices."""
    counts = sorted({len(request.slots) for _, request in waiting})
    return [[each for each in waiting if len(each[1].slots) == count] for count in counts]


def _approach(model: DPLModel, batch: list[tuple[_Walker, StepRequest]], number: int) -> None:
    """A step of several walkers that is not learned from, unless it is wrong: it will be done again then."""
    result = propagate_step(model, [request for _, request in batch])
    for n, (walker, request) in enumerate(batch):
        logits, presence = result.logits[n : n + 1], result.presence[n : n + 1]
        if walker.is_wrong(request.current, request.window, logits, presence):
            walker.begun = number
        else:
            walker.accept(request.current, request.window, logits)


def _learn(model: DPLModel, batch: list[tuple[_Walker, StepRequest]]) -> None:
    """A step of several walkers that is learned from."""
    result = propagate_step(model, [request for _, request in batch])
    for n, (walker, request) in enumerate(batch):
        # Cut out once for both: in what order gradients add up, and so the bits of a training, depend on it.
        logits, matched, presence = (values[n : n + 1] for values in (result.logits, result.matched, result.presence))
        walker.learn(request.current, request.window, logits, matched, presence)
        walker.accept(request.current, request.window, logits)


def _start(model: DPLModel, episode: RolloutEpisode, features: Tensor, generator: torch.Generator) -> _Walker:
    scan = EncodedScan(episode.images, features, episode.pixel_mm, episode.slice_mm)
    small = shrink(episode.masks)
    places = [episode.annotated] if episode.second is None else [episode.annotated, episode.second]
    support = joined_prototypes(
        [model.support_prototypes(features[n], small[n], episode.pixel_mm, generator) for n in places]
    )
    maps = model.similarity(features, support.enhanced, support.pooled.background)
    annotated = episode.masks[episode.annotated]
    slots = [Slot(episode.annotated, annotated, KIND_ANNOTATED)]
    if episode.second is not None:
        slots.append(Slot(episode.second, episode.masks[episode.second], KIND_SECOND_ANNOTATED))
    window = window_around(annotated > 0.5)
    if window is None:
        raise ValueError("the annotated slice of an episode is empty")
    appearance = Appearance.of(episode.images[episode.annotated], annotated, window)
    older = Slot(episode.annotated, annotated, KIND_OLDER)
    last = Slot(episode.previous, episode.remembered, KIND_LAST)
    losses: dict[str, list[Tensor]] = {"mask": [], "matched": [], "presence": []}
    gap = abs(episode.previous - episode.annotated)
    motion = Motion() if model.config.follows else None
    if motion is not None and gap:
        motion = motion.seen(annotated, episode.remembered, gap)
    return _Walker(episode, scan, small, support, maps, appearance, slots, older, last, losses, motion)


def _finish(model: DPLModel, walker: _Walker, generator: torch.Generator, settled: bool) -> Terms:
    """Means over the steps, and the diffusion terms on the last slice of the walk that shows the object."""
    terms = {name: torch.stack(values).mean() for name, values in walker.losses.items() if values}
    small = walker.small
    seen = [n for n in walker.episode.steps if float(small[n].sum()) > 1.0]
    if seen:
        chosen = walker.maps.map(lambda values: values[seen])
        query = walker.scan.features[seen[-1]].detach()
        asked = (query, small[seen[-1]], chosen, small[seen])
        terms |= prototype_terms(model, walker.support, *asked, generator, settled)
    return terms

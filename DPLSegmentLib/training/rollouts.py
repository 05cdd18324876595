"""The loss of rollout episodes: several walks at once, step by step, each remembering the model's own masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..model import DPLModel, SupportPrototypes
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

    def request(self, number: int) -> StepRequest | None:
        """Step ``number`` of the walk; None if it is over, or has lost its object."""
        if number >= len(self.episode.steps):
            return None
        window = window_around(self.last.mask.detach() > 0.5)
        if window is None:
            return None
        remembered = [*self.slots, self.older, self.last]
        step = self.episode.steps[number]
        return StepRequest(self.scan, step, window, remembered, self.maps, self.appearance, self.episode.annotated)

    def accept(self, step: int, window: Window, logits: Tensor, matched: Tensor, presence: Tensor) -> None:
        """Take up the losses of a step, (1, P, P) each and (1,), and remember its mask."""
        truth = self.episode.masks[step]
        wanted = window.crop(truth[None, None], logits.shape[-1], fill="zero")[:, 0].clamp(0.0, 1.0)
        present = (truth.sum() > PRESENT_PIXELS).to(wanted)
        self.losses["mask"].append(segmentation_loss(logits, wanted))
        self.losses["matched"].append(readout_loss(matched, wanted))
        self.losses["presence"].append(F.binary_cross_entropy_with_logits(presence[0], present))
        pasted = window.paste(logits[:, None], truth.shape, _ABSENT)[0, 0]
        self.older = Slot(self.last.index, self.last.mask, KIND_OLDER)
        self.last = Slot(step, pasted.sigmoid(), KIND_LAST)


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
        # What is stepped together must remember equally many slices.
        for slots in sorted({len(request.slots) for _, request in waiting}):
            batch = [(walker, request) for walker, request in waiting if len(request.slots) == slots]
            result = propagate_step(model, [request for _, request in batch])
            for n, (walker, request) in enumerate(batch):
                walker.accept(
                    request.current,
                    request.window,
                    result.logits[n : n + 1],
                    result.matched[n : n + 1],
                    result.presence[n : n + 1],
                )
    return [_finish(model, walker, noise, settled) for walker, noise in zip(walkers, generators, strict=True)]


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
    return _Walker(episode, scan, small, support, maps, appearance, slots, older, last, losses)


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

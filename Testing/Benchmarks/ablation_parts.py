"""The rows of the ablation: what each changes in training, and what in inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from DPLSegmentLib.cross_matching import STRIDE, CrossMatcher, CrossReadout
from DPLSegmentLib.denoiser import Denoiser
from DPLSegmentLib.evidence import organ_prototype
from DPLSegmentLib.model import DPLModel
from DPLSegmentLib.preprocessing import neighbour_mix
from DPLSegmentLib.similarity import PrototypeSimilarity, SimilarityMaps
from DPLSegmentLib.sphere import unit
from DPLSegmentLib.training import objective
from DPLSegmentLib.training.configs import named_config
from DPLSegmentLib.training.episodes import sample_pair
from DPLSegmentLib.training.pool import TrainingPool

GAUSSIAN_PAIRS = 100


class PartlyBlind(Denoiser):
    """D_theta that is shown zeros in place of the statistics s, the geometry g, or both."""

    sees_statistics, sees_geometry = True, True

    def forward(self, noisy, clean, time, statistics, geometry, seen=None) -> Tensor:
        statistics = statistics if self.sees_statistics else torch.zeros_like(statistics)
        geometry = geometry if self.sees_geometry else torch.zeros_like(geometry)
        return super().forward(noisy, clean, time, statistics, geometry, seen)


class NoiseAlone(nn.Module):
    """No D_theta: what noising made of the prototype is the variant."""

    kept = 0.0  # it is all there already

    def forward(self, noisy, clean, time, statistics, geometry, seen=None) -> Tensor:
        return noisy - clean


class Gaussian(nn.Module):
    """The best denoiser there is if query prototypes lie around the support's with one mean shift and one variance.

    ``E[x0 | x_tau] = m + k·(x_tau/√ᾱ - m)``, ``k = ᾱs²/(ᾱs² + 1 - ᾱ)``, ``m = clean + shift``.
    """

    def __init__(self, alpha_bar: Tensor, shift: Tensor, variance: Tensor) -> None:
        super().__init__()
        self.kept = 0.0  # of an optimal denoiser, nothing is added
        self.alpha_bar, self.shift, self.variance = alpha_bar, shift, variance

    def forward(self, noisy, clean, time, statistics, geometry, seen=None) -> Tensor:
        kept = self.alpha_bar[round(time * (len(self.alpha_bar) - 1))]
        gain = kept * self.variance / (kept * self.variance + 1.0 - kept)
        middle = clean + self.shift
        return middle + gain * (noisy / kept.sqrt() - middle) - clean


class FusedAlone(CrossMatcher):
    """Looks up with the fused prototype only."""

    def varied(self, query, query_place, support, support_place, mask, bias, moves, plain) -> CrossReadout:
        return super().varied(query, query_place, support, support_place, mask, bias, moves[:1], plain)


class FusedSimilarity(PrototypeSimilarity):
    """Compares with the fused prototypes only."""

    def forward(self, features, enhanced, background) -> SimilarityMaps:
        maps = super().forward(features, enhanced, background)
        return replace(maps, logit=maps.fused)


@torch.no_grad()
def _gaussian(model: DPLModel, scans: Callable[[], TrainingPool], seed: int) -> None:
    """The closed-form denoiser in place of D_theta, measured on organ prototypes of training pairs, by channel."""
    pool, rng, found = scans(), np.random.default_rng([seed, 1]), []
    engine = named_config("pairs").engine
    while len(found) < GAUSSIAN_PAIRS:
        episode = sample_pair(pool, rng, engine)
        if episode is None:
            continue
        organs = []
        for images, mask in ((episode.support[0], episode.support_mask[0]), (episode.query, episode.query_mask)):
            features = model.encoder(neighbour_mix(images, episode.slice_mm, episode.pixel_mm)[1:2])
            small = objective.shrink(mask[None])[None]
            features, small = (F.avg_pool2d(values, STRIDE) for values in (features, small))
            organs.append(organ_prototype(features, small[0]))
        if organs[0] is not None and organs[1] is not None:
            found.append((unit(organs[1]) - unit(organs[0]))[0] * model.config.width**0.5)
    moved = torch.stack(found)
    model.denoiser = Gaussian(model.schedule.alpha_bar, moved.mean(0), moved.var(0))


@dataclass(frozen=True)
class Training:
    """One way to train the reverse process."""

    name: str
    denoiser: Callable[[int], Denoiser] = Denoiser
    settings: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()  # terms of the loss

    def prepare(self, model: DPLModel) -> None:
        """Begin anew; what is set by hand in the bundled weights, training sets, too."""
        model.denoiser = self.denoiser(model.config.width)
        model.denoiser.seen.weight.requires_grad_(False)
        model.config = replace(model.config, enhancement=replace(model.config.enhancement, **self.settings))

    @contextmanager
    def losses(self) -> Iterator[None]:
        """The loss without the terms that this training does without."""
        kept = dict(objective.WEIGHTS)
        objective.WEIGHTS.update(dict.fromkeys(self.without, 0.0))
        try:
            yield
        finally:
            objective.WEIGHTS.update(kept)


def partly_blind(statistics: bool, geometry: bool) -> Callable[[int], Denoiser]:
    """Makes a D_theta that sees the statistics, the geometry, or neither."""

    def make(width: int) -> Denoiser:
        denoiser = PartlyBlind(width)
        denoiser.sees_statistics, denoiser.sees_geometry = statistics, geometry
        return denoiser

    return make


def _no_evidence(model: DPLModel, *_: object) -> None:
    with torch.no_grad():
        model.denoiser.seen_gain.zero_()


def _no_noise_kept(model: DPLModel, *_: object) -> None:
    with torch.no_grad():
        model.denoiser.kept.zero_()


def _noise_alone(model: DPLModel, *_: object) -> None:
    model.denoiser = NoiseAlone()


def _fused_alone(model: DPLModel, *_: object) -> None:
    for name, part in (("cross", FusedAlone()), ("similarity", FusedSimilarity())):
        part.load_state_dict(getattr(model, name).state_dict())
        setattr(model, name, part)


def _nothing_learned(model: DPLModel, *_: object) -> None:
    nn.init.zeros_(model.denoiser.outputs.weight)
    nn.init.zeros_(model.denoiser.outputs.bias)
    _no_noise_kept(model)


Change = Callable[[DPLModel, Callable[[], TrainingPool], int], None]


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        training: how the reverse process is trained; None: not at all.
        settings: of the enhancement, other than in the weights.
        change: what is done to the model afterwards; is also given the scans to draw training pairs from, and the seed.
        certain: has nothing random, so one seed is enough.
    """

    name: str
    training: Training | None
    settings: dict[str, Any] = field(default_factory=dict)
    change: Change | None = None
    certain: bool = False

    @property
    def slug(self) -> str:
        """The name as a folder's."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)


FULL = Training("full")
DETERMINISTIC = {"variants": 1, "steps": 1}
L_DIFF = ("denoising", "diffusion", "organ_denoising", "organ_diffusion")
REFERENCE = Row("DPL, trained anew", FULL)
ROWS = [
    REFERENCE,
    Row("as bundled", None),
    Row("no enhancement", None, {"variants": 0}, certain=True),
    Row("noise and average, no D", None, {"steps": 1}, _noise_alone),
    Row("closed-form Gaussian", None, {}, _gaussian),
    Row("same-size deterministic refiner", Training("deterministic", settings=DETERMINISTIC), DETERMINISTIC),
    Row("evidence alone, nothing learned", None, {}, _nothing_learned),
    Row("without evidence", FULL, {}, _no_evidence),
    Row("no noise kept", FULL, {}, _no_noise_kept),
    Row("no condition", Training("blind", partly_blind(False, False))),
    Row("statistics s only", Training("statistics", partly_blind(True, False))),
    Row("geometry g only", Training("geometry", partly_blind(False, True))),
    Row("without L_diff", Training("no-diffusion-loss", without=L_DIFF)),
    Row("fused prototype alone, variants do not count", FULL, {}, _fused_alone),
    Row("variants fused by their plain mean", FULL, {"beta": 0.0}),
    Row("alpha = 0.5", FULL, {"alpha": 0.5}),
    Row("alpha = 0.9", FULL, {"alpha": 0.9}),
    Row("no clip", FULL, {"clip": False}),
    Row("K = 2", FULL, {"variants": 2}),
    Row("K = 16", FULL, {"variants": 16}),
    Row("tau = 10", FULL, {"start": 10}),
    Row("tau = 60", FULL, {"start": 60}),
    Row("S = 1", FULL, {"steps": 1}),
    Row("S = 8", FULL, {"steps": 8}),
]

"""Centred features: what all of them have in common is taken out, while they are learned or afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..cross_matching import POSITION_GAIN, TEMPERATURE
from ..encoder import Encoder
from ..model import DPLModel, ModelConfig
from ..preprocessing import neighbour_mix
from ..sphere import unit
from .episodes import EngineConfig, sample_pair
from .feeding import MAX_TRIES
from .pool import TrainingPool
from .processes import Processes

MOMENTUM = 0.02
SLICES = 96  # that a centre is worked out from
PLACES = 200  # of each, compared with others to see how far centring spreads cosines

State = dict[str, Tensor]


class FeatureCentre:
    """Collects the encoder's features over an update and moves its centre towards their mean.

    Once per update and over all processes together, so that neither their number nor the order of episodes matters.
    """

    def __init__(self, encoder: Encoder, processes: Processes) -> None:
        self._encoder, self._processes = encoder, processes
        self._sum = torch.zeros(encoder.width + 1, dtype=torch.float64)
        self._hook = encoder.output.register_forward_hook(self._collect)

    def _collect(self, module: torch.nn.Module, inputs: tuple[Tensor, ...], features: Tensor) -> None:
        if torch.is_grad_enabled():  # validation does not count
            stacks = features.detach().float().mean((2, 3)).double().cpu()
            self._sum[:-1] += stacks.sum(0)
            self._sum[-1] += len(stacks)

    @torch.no_grad()
    def update(self) -> None:
        """Move the centre; the first time all the way."""
        device = self._processes.device
        total = self._processes.sum(self._sum.float().to(device))
        self._sum.zero_()
        if float(total[-1]) == 0.0:
            return
        mean = total[:-1] / total[-1]
        centre = self._encoder.centre
        centre.lerp_(mean, MOMENTUM if bool(centre.any()) else 1.0)


def draw_slices(pool: TrainingPool, engine: EngineConfig, seed: int, count: int = SLICES) -> list[Tensor]:
    """``count`` whole slices as training sees them, encoder inputs (1, 3, H, W)."""
    rng = np.random.default_rng([seed, count])
    drawn: list[Tensor] = []
    for _ in range(count * MAX_TRIES):
        episode = sample_pair(pool, rng, engine)
        if episode is not None:
            both = (episode.support[0], episode.query)
            drawn += [neighbour_mix(images, episode.slice_mm, episode.pixel_mm)[1:2] for images in both]
        if len(drawn) >= count:
            return drawn[:count]
    raise RuntimeError(f"too few of {count * MAX_TRIES} drawn objects allow a pair; the scans may be too small")


@torch.no_grad()
def centred_afterwards(config: ModelConfig, state: State, slices: Sequence[Tensor]) -> State:
    """Weights that were trained without a centre, and what they are with one: the mean of the features of ``slices``.

    Matcher and decoder, which read features, get the centre back through their biases. Cosines spread when the part
    that all features share is taken out: temperature and gain of the prototype similarity follow by the same factor.
    The look-up of another patient, which learned at the temperature that suits training, gets its own. The reverse
    process, which sees prototypes as they are, has to learn them anew (``walk``).

    Args:
        config, state: the model.
        slices: encoder inputs (1, 3, H, W).
    """
    device = state["encoder.centre"].device
    model = DPLModel(config).to(device)
    model.load_state_dict(state)
    if bool(model.encoder.centre.any()):
        raise ValueError("the features are centred already")
    features = [model.encoder(images.to(device))[0].flatten(1) for images in slices]
    centre = torch.stack([columns.mean(1) for columns in features]).mean(0)
    generator = torch.Generator().manual_seed(0)
    chosen = [columns[:, torch.randint(columns.shape[1], (PLACES,), generator=generator)] for columns in features]
    places = torch.cat(chosen, dim=1).T
    others = torch.randperm(len(places), generator=generator)

    def spread(vectors: Tensor) -> float:
        directions = unit(vectors)
        return float((directions * directions[others]).sum(-1).std())

    factor = math.log(spread(places - centre) / spread(places))
    model.encoder.centre.copy_(centre)
    for layer in (model.matcher.deep, model.decoder.project):
        layer.bias += layer.weight[:, :, 0, 0] @ centre
    model.similarity.log_temperature += factor
    model.similarity.log_gain -= factor
    model.cross.log_temperature.fill_(math.log(TEMPERATURE))
    model.cross.log_position.fill_(math.log(POSITION_GAIN))
    return model.state_dict()

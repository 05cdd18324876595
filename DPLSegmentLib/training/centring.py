"""Keeping features centred: the encoder's ``centre`` follows the mean of what it sees in training."""

from __future__ import annotations

import torch
from torch import Tensor

from ..encoder import Encoder
from .processes import Processes

MOMENTUM = 0.02


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

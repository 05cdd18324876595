"""Episodes for the trainer, drawn ahead by worker processes where that helps.

Every episode depends on (seed, update, its number within the update) alone: not on how many processes train, how many
workers draw, or whether the run was stopped in between.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from .configs import TrainingConfig
from .episodes import Episode, sample_pair, sample_rollout
from .pool import TrainingPool

MAX_TRIES = 1000


@dataclass
class Drawn:
    """An episode and the seed of its diffusion noise."""

    episode: Episode
    noise_seed: int


def rollout_length(rng: np.random.Generator, longest: int) -> int:
    """Most rollouts are short, for the sake of time; the long ones teach a walk not to lose a little at every step."""
    return int(rng.choice([max(1, longest // 2), max(1, 2 * longest // 3), longest], p=[0.5, 0.3, 0.2]))


def draw_episode(pool: TrainingPool, config: TrainingConfig, update: int, number: int) -> Drawn:
    """Episode ``number`` of an update: the first ``config.rollouts`` are rollouts, the others pairs."""
    rng = np.random.default_rng([config.seed, update, number])
    for _ in range(MAX_TRIES):
        if number < config.rollouts:
            episode = sample_rollout(pool, rng, rollout_length(rng, config.length), config.engine)
        else:
            episode = sample_pair(pool, rng, config.engine)
        if episode is not None:
            return Drawn(episode, int(rng.integers(2**62)))
    raise RuntimeError(f"none of {MAX_TRIES} drawn objects allows an episode; the scans may be too small")


class _Updates(Dataset):
    """Item ``u`` is what this process computes in update ``u``."""

    def __init__(self, pool: TrainingPool, config: TrainingConfig, rank: int, world: int) -> None:
        self.pool, self.config, self.rank, self.world = pool, config, rank, world

    def __len__(self) -> int:
        return self.config.updates

    def __getitem__(self, update: int) -> list[Drawn]:
        count = self.config.rollouts + self.config.pairs
        return [draw_episode(self.pool, self.config, update, n) for n in range(self.rank, count, self.world)]


def _same(batch: list[Drawn]) -> list[Drawn]:
    return batch


def _left_to_the_trainer(_: int) -> None:
    """Ctrl-C is the trainer's affair, which then ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def default_workers(device: torch.device, processes: int = 1) -> int:
    """Worker processes per training process: none on a CPU, whose cores train; on a GPU as many as it can use."""
    return 0 if device.type == "cpu" else max(1, min(8, (os.cpu_count() or 2) // processes - 1))


def feed(
    pool: TrainingPool, config: TrainingConfig, start: int, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[list[Drawn]]:
    """What this process computes in updates ``start``, ``start`` + 1, ... of ``config.updates``."""
    loader = DataLoader(
        _Updates(pool, config, rank, world),
        batch_size=None,
        sampler=range(start, config.updates),
        num_workers=workers,
        collate_fn=_same,
        worker_init_fn=_left_to_the_trainer,
        prefetch_factor=4 if workers else None,
        # Forked workers share the pool's memory; where there is no fork, each gets a copy.
        multiprocessing_context="fork" if workers and hasattr(os, "fork") else None,
    )
    return iter(loader)

"""The training loop: several CPU processes or one GPU, exact checkpoints, exponential moving average.

``python -m DPLSegmentLib.training.loop --cache DIR [DIR ...] --output DIR --updates N``; under ``torchrun`` the
processes average their gradients. Run again with the same output folder it goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from ..model import DPLModel
from .episodes import sample_pair, sample_rollout
from .imagenet import load_imagenet
from .objective import Terms, pair_terms, rollout_terms, total_loss
from .pool import TrainingPool

SHARES = {"ct": 0.35, "headneck": 0.05, "labelled": 0.2, "synthetic": 0.4}


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training run."""

    updates: int = 3000
    rollouts: int = 3  # episodes per process and update
    pairs: int = 2
    length: int = 9  # of the longest rollouts; see ``rollout_length``
    rate: float = 2e-3
    backbone_rate: float = 0.0  # 0: the backbone stays as ImageNet made it
    warmup: int = 50
    decay: float = 1e-4
    ema: float = 0.995
    seed: int = 0
    checkpoint_every: int = 50


def rank_and_world() -> tuple[int, int]:
    """This process's number and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def learning_rate(config: TrainingConfig, update: int) -> float:
    """Linear warm-up, then half a cosine down to 2 %."""
    if update < config.warmup:
        return config.rate * (update + 1) / config.warmup
    done = (update - config.warmup) / max(1, config.updates - config.warmup)
    return config.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def rollout_length(rng: np.random.Generator, longest: int) -> int:
    """Most rollouts are short, for the sake of time; the long ones teach a walk not to lose a little at every step."""
    return int(rng.choice([max(1, longest // 2), max(1, 2 * longest // 3), longest], p=[0.5, 0.3, 0.2]))


class Trainer:
    """Holds everything a run needs to go on exactly where it stopped."""

    def __init__(self, config: TrainingConfig, pool: TrainingPool, output: Path, model: DPLModel) -> None:
        self.config, self.pool, self.output, self.model = config, pool, output, model
        backbone = list(model.encoder.backbone.parameters())
        known = {id(parameter) for parameter in backbone}
        others = [parameter for parameter in model.parameters() if id(parameter) not in known]
        for parameter in backbone:
            parameter.requires_grad_(config.backbone_rate > 0)
        groups = [{"params": others, "scale": 1.0}]
        if config.backbone_rate > 0:
            groups.append({"params": backbone, "scale": config.backbone_rate / config.rate})
        self.optimizer = torch.optim.AdamW(groups, lr=config.rate, weight_decay=config.decay)
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.update = 0
        self.smooth: dict[str, float] = {}
        output.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint_path(self) -> Path:
        return self.output / "checkpoint.pt"

    def save(self) -> None:
        """Write the checkpoint under a temporary name, then rename."""
        temporary = self.checkpoint_path.with_suffix(".tmp")
        torch.save(
            {
                "model": self.model.state_dict(),
                "average": self.average,
                "optimizer": self.optimizer.state_dict(),
                "update": self.update,
                "smooth": self.smooth,
                "config": self.model.config.to_dict(),
            },
            temporary,
        )
        temporary.replace(self.checkpoint_path)

    def resume(self) -> bool:
        """Load the last checkpoint if there is one."""
        if not self.checkpoint_path.exists():
            return False
        state = torch.load(self.checkpoint_path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.update, self.smooth = state["average"], state["update"], state["smooth"]
        return True

    def episode_terms(self, rng: np.random.Generator, kind: str) -> Terms:
        """Draw episodes until one is usable, and compute its loss terms."""
        train_backbone = self.config.backbone_rate > 0
        while True:
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            if kind == "rollout":
                episode = sample_rollout(self.pool, rng, rollout_length(rng, self.config.length))
                terms = rollout_terms(self.model, episode, rng, generator, train_backbone) if episode else {}
            else:
                episode = sample_pair(self.pool, rng)
                terms = pair_terms(self.model, episode, generator, train_backbone) if episode else {}
            if terms:
                return terms

    def step(self) -> dict[str, float]:
        """One update; its randomness depends on (seed, update, process) alone, so that a resumed run is the same."""
        rank, world = rank_and_world()
        rng = np.random.default_rng([self.config.seed, self.update, rank])
        rate = learning_rate(self.config, self.update)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.zero_grad(set_to_none=False)
        kinds = ["rollout"] * self.config.rollouts + ["pair"] * self.config.pairs
        sums: dict[str, list[float]] = {}
        for kind in kinds:
            terms = self.episode_terms(rng, kind)
            (total_loss(terms) / (len(kinds) * world)).backward()
            for name, value in terms.items():
                sums.setdefault(name, []).append(float(value.detach()))
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        if world > 1:
            flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters])
            dist.all_reduce(flat)
            start = 0
            for p in parameters:
                p.grad = flat[start : start + p.numel()].view_as(p).clone()
                start += p.numel()
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, 2.0))
        if math.isfinite(norm):
            self.optimizer.step()
        keep = min(self.config.ema, (1 + self.update) / (10 + self.update))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1.0 - keep)
        self.update += 1
        return {name: float(np.mean(values)) for name, values in sums.items()}

    def run(self) -> None:
        """Train to the configured number of updates."""
        rank, _ = rank_and_world()
        log = self.output / "log.csv"
        started, first = time.monotonic(), self.update
        while self.update < self.config.updates:
            values = self.step()
            for name, value in values.items():
                self.smooth[name] = 0.97 * self.smooth.get(name, value) + 0.03 * value
            if rank != 0:
                continue
            if self.update % 10 == 0:
                seconds = time.monotonic() - started
                left = seconds / (self.update - first) * (self.config.updates - self.update)
                line = {"update": self.update, "minutes": seconds / 60, **self.smooth}
                new = not log.exists()
                with log.open("a", newline="") as stream:
                    writer = csv.writer(stream)
                    if new:
                        writer.writerow(sorted(line))
                    writer.writerow([f"{line[name]:.4f}" for name in sorted(line)])
                text = " ".join(f"{name} {value:.3f}" for name, value in sorted(self.smooth.items()))
                print(f"{self.update}/{self.config.updates} {text}, {left / 60:.0f} min left", flush=True)
            if self.update % self.config.checkpoint_every == 0 or self.update == self.config.updates:
                self.save()


def main(arguments: list[str] | None = None) -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m DPLSegmentLib.training.loop", description=__doc__)
    parser.add_argument("--cache", type=Path, nargs="+", required=True, help="prepared folders")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="start from this checkpoint's averaged weights")
    defaults = TrainingConfig()
    for name in TrainingConfig.__dataclass_fields__:
        value = getattr(defaults, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = parser.parse_args(arguments)
    config = TrainingConfig(**{name: getattr(options, name) for name in TrainingConfig.__dataclass_fields__})
    if dist.is_torchelastic_launched():
        dist.init_process_group("gloo")
    torch.manual_seed(config.seed)
    model = DPLModel()
    load_imagenet(model.encoder.backbone)
    if options.init:
        model.load_state_dict(torch.load(options.init, map_location="cpu", weights_only=True)["average"])
    trainer = Trainer(config, TrainingPool.load(options.cache, SHARES), options.output, model)
    if trainer.resume():
        print(f"resumed at update {trainer.update}", flush=True)
    trainer.run()
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()

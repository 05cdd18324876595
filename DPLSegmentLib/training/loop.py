"""The training loop: one or several processes, exact checkpoints, exponential moving average."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from ..errors import InputError
from ..model import DPLModel
from .centring import FeatureCentre, State, centred_afterwards, draw_slices
from .configs import TrainingConfig
from .feeding import Drawn, default_workers, feed
from .logs import Progress, TrainingLog
from .objective import WEIGHTS, pair_terms, total_loss
from .pool import TrainingPool
from .precision import mixed_precision, no_denormals
from .processes import Processes, write_whole
from .rollouts import rollout_terms
from .validation import Validation

SOFT_START = 0.06  # temperature of the look-up where it is learned
FIRST_TIMED, LAST_TIMED = 10, 40  # updates between which the speed is measured where the time is given
_STARTING_FREE = ("updates", "minutes", "checkpoint_every", "validate_every", "purpose", "together", "goes_on")
CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
COLUMNS = ("loss", *WEIGHTS, "norm", "rate", "synthetic", "real")


def learning_rate(config: TrainingConfig, update: int) -> float:
    """Linear warm-up, then half a cosine down to 2 %."""
    if update < config.warmup:
        return config.rate * (update + 1) / config.warmup
    done = (update - config.warmup) / max(1, config.updates - config.warmup)
    return config.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def parameter_groups(model: DPLModel, config: TrainingConfig, settled: bool = True) -> list[dict]:
    """What the optimiser changes, and at which share of the rate; all else no longer asks for gradients."""
    slow, others, fixed = [], [], {name for name, _ in config.fixed}
    parts = {*config.frozen, *(["cross"] if settled else [])}
    for name, parameter in model.named_parameters():
        backbone = name.startswith("encoder.backbone.")
        frozen = name in fixed or name.split(".")[0] in parts
        if frozen or (backbone and config.backbone_rate == 0):
            parameter.requires_grad_(False)
        else:
            (slow if backbone else others).append(parameter)
    groups = [{"params": others, "scale": 1.0}]
    if slow:
        groups.append({"params": slow, "scale": config.backbone_rate / config.rate})
    return groups


class Trainer:
    """Holds everything a run needs to go on exactly where it stopped."""

    def __init__(
        self,
        config: TrainingConfig,
        pool: TrainingPool,
        output: Path,
        model: DPLModel,
        processes: Processes | None = None,
        validation: Validation | None = None,
        workers: int | None = None,
        fine_tunes: bool = False,
    ) -> None:
        if model.config.follows:
            config = replace(config, engine=replace(config.engine, gapless=1.0))
        self.config, self.pool, self.output, self.validation = config, pool, output, validation
        self.fine_tunes = fine_tunes  # what it starts from is a candidate for the best weights
        self.processes = processes or Processes(0, 1, torch.device("cpu"))
        self.device = self.processes.device
        self.workers = default_workers(self.device, self.processes.world) if workers is None else workers
        self.model = model.to(self.device)
        if not fine_tunes:
            with torch.no_grad():
                for name, value in config.fixed:
                    model.get_parameter(name).fill_(value)
        # Weights whose features have a centre keep it, whatever the configuration.
        self.settled = config.settled or bool(model.encoder.centre.any())
        if not self.settled:
            with torch.no_grad():
                model.cross.log_temperature.fill_(math.log(SOFT_START))
        groups = parameter_groups(model, config, self.settled)
        self.parameters = [p for group in groups for p in group["params"]]
        self.optimizer = torch.optim.AdamW(groups, lr=config.rate, weight_decay=config.decay)
        self.start = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.average = {name: value.clone() for name, value in self.start.items()}
        follows = self.settled and "encoder" not in config.frozen
        self.centre = FeatureCentre(model.encoder, self.processes) if follows else None
        self._centred_on: list[torch.Tensor] = []
        self.update = 0
        self.best = -1.0
        output.mkdir(parents=True, exist_ok=True)

    @property
    def outcome(self) -> State:
        """The weights that are measured and exported: on the way from the start to the averaged ones.

        With few and unlabelled scans of one kind, a part of the way keeps what the start knew of all the others
        (weight-space ensembles of fine-tuned models: Wortsman et al., CVPR 2022). Features that are learned without a
        centre get it here.
        """
        state = self.average
        if self.config.taken < 1.0:
            state = {name: self.start[name].lerp(value, self.config.taken) for name, value in state.items()}
        if self.settled:
            return state
        self._centred_on = self._centred_on or draw_slices(self.pool, self.config.engine, self.config.seed)
        return centred_afterwards(self.model.config, state, self._centred_on)

    def save(self) -> None:
        """Write the checkpoint under a temporary name, then rename."""
        settings = {name: repr(value) for name, value in asdict(self.config).items()}
        state = {
            "model": self.model.state_dict(),
            "average": self.outcome,
            "moving": self.average,
            "start": self.start,
            "optimizer": self.optimizer.state_dict(),
            "update": self.update,
            "updates": self.config.updates,
            "best": self.best,
            "settings": settings,
            "config": self.model.config.to_dict(),
        }
        write_whole(state, self.output / CHECKPOINT)

    def resume(self) -> bool:
        """Load the last checkpoint if there is one.

        Raises:
            InputError: the checkpoint is damaged, or belongs to a run with other settings.
        """
        path = self.output / CHECKPOINT
        if not path.exists():
            return False
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            stored = state["settings"]
            own = {name: repr(value) for name, value in asdict(self.config).items()}
            changed = [name for name in own if name not in _STARTING_FREE and stored.get(name) != own[name]]
            if changed:
                raise InputError(
                    f"The run in '{self.output}' was started with another {changed[0]} ({stored.get(changed[0])}); "
                    "resume it with the same settings, or start one elsewhere with --init."
                )
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.start = {name: value.to(self.device) for name, value in state["start"].items()}
            self.average = {name: value.to(self.device) for name, value in state["moving"].items()}
            self.update, self.best = state["update"], state["best"]
        except (KeyError, RuntimeError, ValueError, EOFError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"The checkpoint '{path}' is damaged or of another version.") from error
        if self.config.minutes and self.update > LAST_TIMED:
            self.config = replace(self.config, updates=state["updates"])
        return True

    def _backward(self, drawn: Sequence[Drawn], count: int) -> dict[str, list[float]]:
        """Add the gradients of some rollouts, walked together, or of one pair; ``count`` episodes make the update."""
        episodes = [one.episode.to(self.device) for one in drawn]
        noise = [torch.Generator().manual_seed(one.noise_seed) for one in drawn]
        trained = self.config.backbone_rate > 0 and "encoder" not in self.config.frozen
        if hasattr(episodes[0], "steps"):
            found = rollout_terms(self.model, episodes, noise, trained, self.settled)
        else:
            found = [pair_terms(self.model, episodes[0], noise[0], trained, self.settled)]
        # A walk that lost its object before its first step, past the object's end, has no terms.
        losses = [total_loss(terms) for terms in found if terms]
        if losses:
            (torch.stack(losses).sum() / count).backward()
        values: dict[str, list[float]] = {"loss": [sum(float(loss.detach()) for loss in losses), float(count)]}
        for terms in found:
            for name, value in terms.items():
                entry = values.setdefault(name, [0.0, 0.0])
                entry[0] += float(value.detach())
                entry[1] += 1.0
        return values

    def step(self, drawn: Sequence[Drawn]) -> dict[str, float]:
        """One update with this process's share of the episodes; the figures are those of all processes."""
        rate = learning_rate(self.config, self.update)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.zero_grad(set_to_none=False)
        count = self.config.rollouts + self.config.pairs
        walks = [one for one in drawn if hasattr(one.episode, "steps")]
        size = max(1, self.config.together)
        batches = [walks[n : n + size] for n in range(0, len(walks), size)]
        batches += [[one] for one in drawn if not hasattr(one.episode, "steps")]
        names = ("loss", *WEIGHTS)
        sums = torch.zeros(len(names), 2, dtype=torch.float64)
        use_bfloat16 = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        with no_denormals(), mixed_precision(self.model, self.device, use_bfloat16):
            for batch in batches:
                for name, (total, number) in self._backward(batch, count).items():
                    sums[names.index(name)] += torch.tensor([total, 0.0 if name == "loss" else number])
        norm = self._apply(rate)
        shared = self.processes.sum(sums.to(self.device).float().flatten()).view(-1, 2).tolist()
        values = {name: total / number for name, (total, number) in zip(names, shared, strict=True) if number}
        return {"loss": shared[0][0] / count, **values, "norm": norm, "rate": rate}

    def _apply(self, rate: float) -> float:
        """Add up the processes' gradients, change weights and averages; returns the norm of the gradient."""
        # What has ever been asked for goes on by its moments and its decay in an update that does not ask for it,
        # whether another process did, or this run was resumed just now; what never was stays as it came.
        known = [p.grad is not None or p in self.optimizer.state for p in self.parameters]
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        asked = torch.tensor(known, dtype=torch.float32, device=self.device)
        flat = self.processes.sum(torch.cat([*(gradient.flatten() for gradient in gradients), asked]))
        *parts, asked = flat.split([*(p.numel() for p in self.parameters), len(asked)])
        for parameter, part, wanted in zip(self.parameters, parts, asked.tolist(), strict=True):
            parameter.grad = part.view_as(parameter).clone() if wanted else None
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, 2.0))
        if math.isfinite(norm):
            self.optimizer.step()
        if self.centre is not None:
            self.centre.update()
        keep = min(self.config.ema, (1 + self.update) / (10 + self.update))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1.0 - keep)
        self.update += 1
        return norm

    def run(self, quiet: bool = False) -> None:
        """Train to the configured number of updates, with logs, checkpoints and validation."""
        first = self.processes.first
        log = TrainingLog(self.output, COLUMNS, self.update) if first else None
        progress = Progress(self.config.updates, self.update, quiet or not first)
        if log is not None and log.note:
            progress.note(log.note)
        episodes = feed(self.pool, self.config, self.update, self.processes.rank, self.processes.world, self.workers)
        started, begun = 0.0, self.update
        if log is not None and self.validation and self.fine_tunes and self.update == 0:
            log.write(0, self._validate(progress), progress.minutes)
        while self.update < self.config.updates:
            values = self.step(next(episodes))
            if self.config.minutes and begun == 0:
                started = time.monotonic() if self.update == FIRST_TIMED else started
                if self.update == LAST_TIMED:
                    self._fit_time(progress, (time.monotonic() - started) / (LAST_TIMED - FIRST_TIMED))
            if not first:
                continue
            ended = self.update == self.config.updates
            if self.validation and (self.update % self.config.validate_every == 0 or ended):
                values |= self._validate(progress)
            log.write(self.update, values, progress.minutes)
            progress.show(self.update, values["loss"])
            if self.update % self.config.checkpoint_every == 0 or ended:
                self.save()
        if log is not None:
            log.close()
            self._compare_with_start(progress)
        progress.close()

    def _fit_time(self, progress: Progress, seconds: float) -> None:
        """Lower the number of updates so that the run ends in the configured time."""
        left = self.config.minutes * 60 - progress.minutes * 60
        fitting = self.update + max(1, int(0.97 * left / max(seconds, 1e-6)))
        updates = self.processes.agreed(min(self.config.updates, fitting))
        self.config = replace(self.config, updates=updates)
        progress.total = updates

    def _compare_with_start(self, progress: Progress) -> None:
        if not (self.fine_tunes and (self.output / BEST).is_file()):
            return
        if torch.load(self.output / BEST, map_location="cpu", weights_only=True)["update"] == 0:
            progress.note(
                "Validation found no weights better than those that training started from; weights-best.pt are those."
            )

    def _validate(self, progress: Progress) -> dict[str, float]:
        """Figures of the outcome so far, which is kept if it is the best."""
        outcome = self.outcome
        figures = self.validation(self.model.config, outcome, self.device)
        decisive = figures.get(self.validation.decides, 0.0)
        if decisive > self.best:
            self.best = decisive
            content = {"average": outcome, "update": self.update, "config": self.model.config.to_dict()}
            write_whole(content | {"figures": figures}, self.output / BEST)
        text = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        progress.note(f"update {self.update}: Dice from one slice {text}; best {self.best:.3f}")
        return figures

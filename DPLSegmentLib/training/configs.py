"""The named training configurations, all in one place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import InputError
from .episodes import EngineConfig

# Taught by pairs of generated bodies, the decoder for another patient finds less in real ones than the fixed blend that
# it starts from; pairs of one scan teach it nothing about other patients.
AS_IT_STARTS = ("cross_decoder",)

# How far the reverse process follows evidence, and how much noise stays in its variants. How much real patients differ,
# pairs of generated bodies do not teach; chosen on pairs of real scans (Testing/Benchmarks/RESULTS.md).
BY_HAND = (("denoiser.seen_gain", 0.6), ("denoiser.kept", 0.5))

# What features are learned from: walks from one annotated slice, and pairs of neighbouring slices of one scan, each
# deformed and recoloured. No second patient, no second annotation: with these among the episodes features came out with
# which the diffusion gains nothing (Testing/Benchmarks/RESULTS.md, "The CPU recipe as a whole").
SIMPLE = EngineConfig(past_end=0.45, second=0.0, partner=0.0, far=0.0, several=0.0, partial=0.0, motion=0.0, thick=0.0)

Grid = tuple[tuple[int, int, int], tuple[float, float, float]]  # shape, and spacing in mm, (slice, row, column)


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training run. Episodes are counted per update over all processes together, so the number of
    processes changes the speed and nothing else."""

    purpose: str = ""
    goes_on: bool = False  # from other weights, and is nothing without them
    updates: int = 3000
    minutes: float = 0.0  # where not 0: once the speed is known, ``updates`` is lowered to end in this time
    rollouts: int = 6
    pairs: int = 4
    together: int = 1  # rollouts walked at once; memory grows with it, and a GPU needs it
    length: int = 9  # of the longest rollouts
    rate: float = 2e-3
    backbone_rate: float = 2e-4  # 0: the backbone stays as it came
    frozen: tuple[str, ...] = ()  # parts of the model that stay as they came, for instance "encoder"
    follows: bool | None = None  # walks follow their object; None: as the weights that it begins with do
    settled: bool = True  # features have a centre; where they are first learned they get it at the end (centring.py)
    fixed: tuple[tuple[str, float], ...] = BY_HAND  # not learned: these values, or those of the weights given
    warmup: int = 50
    decay: float = 1e-4
    ema: float = 0.995
    taken: float = 1.0  # share of the way from the weights that it started from to the averaged ones (``loop.py``)
    checkpoint_every: int = 50
    validate_every: int = 500
    validation_bodies: int = 3
    validation_grid: Grid = ((24, 112, 112), (6.0, 3.4, 3.4))
    bodies: int = 150
    pairs_of_bodies: int = 75
    grid: Grid | None = None  # of the bodies; None: drawn for each
    max_size: int = 256  # pixels a side of prepared scans
    shares: tuple[tuple[str, float], ...] = (("scan", 0.4), ("labelled", 0.2), ("synthetic", 0.4))
    engine: EngineConfig = field(default_factory=EngineConfig)
    seed: int = 0


FEATURES = TrainingConfig(
    purpose="all but the backbone, on two CPU cores in about 20 minutes",
    updates=850,
    pairs=2,
    length=5,
    backbone_rate=0.0,
    frozen=AS_IT_STARTS,
    settled=False,
    bodies=225,
    pairs_of_bodies=110,
    shares=(("scan", 0.4), ("labelled", 0.15), ("synthetic", 0.45)),
    engine=SIMPLE,
)
WALK = TrainingConfig(
    purpose="propagation alone; the features stay as they are",
    goes_on=True,
    updates=1400,
    rollouts=4,
    pairs=0,
    length=10,
    rate=1.2e-3,
    frozen=("encoder", *AS_IT_STARTS),
    bodies=225,
    pairs_of_bodies=110,
    shares=(("scan", 0.3), ("labelled", 0.2), ("synthetic", 0.5)),
    engine=EngineConfig(past_end=0.3),
)
WALK_FOLLOW = replace(WALK, purpose="propagation alone, objects looked for where they move", follows=True)
WALK_ON = replace(
    WALK,
    purpose="propagation alone, walked all the way, of objects outlined as annotators do",
    updates=900,
    length=8,
    rate=8e-4,
    engine=EngineConfig(past_end=0.3, approach=0.5, outline=0.5, joined=0.2),
)
QUICK = TrainingConfig(
    purpose="a rehearsal of about a minute: everything happens, nothing is learned",
    updates=6,
    rollouts=2,
    pairs=1,
    length=3,
    settled=False,
    warmup=2,
    checkpoint_every=2,
    validate_every=3,
    validation_bodies=1,
    validation_grid=((10, 64, 64), (14.0, 6.0, 6.0)),
    bodies=3,
    pairs_of_bodies=2,
    grid=((14, 72, 72), (7.0, 5.0, 5.0)),
    max_size=96,
)
ON_GPU: dict[str, Any] = {
    "updates": 20_000,
    "together": 8,
    "ema": 0.998,
    "checkpoint_every": 200,
    "validate_every": 1000,
}

CONFIGS: dict[str, TrainingConfig] = {
    "gpu-features": replace(
        FEATURES,
        purpose="all but the backbone, 13 minutes on one large GPU, preparation of the cache not counted",
        minutes=13.0,
        rollouts=24,
        pairs=8,
        warmup=100,
        **ON_GPU,
    ),
    "gpu-walk": replace(
        WALK, purpose="propagation alone, 10 minutes on one large GPU", minutes=10.0, rollouts=32, **ON_GPU
    ),
    "features": FEATURES,
    "walk": WALK,
    "walk-on": WALK_ON,
    "walk-follow": WALK_FOLLOW,
    "pairs": TrainingConfig(
        purpose="the reverse process alone; all else stays as it is",
        goes_on=True,
        updates=1500,
        rollouts=0,
        pairs=8,
        rate=1e-3,
        frozen=("encoder", "matcher", "decoder", "similarity", "cross_decoder"),
        shares=(("scan", 0.2), ("labelled", 0.3), ("synthetic", 0.5)),
    ),
    "fold": TrainingConfig(
        purpose="fine-tuning on unlabelled scans of one kind; the benchmark's models",
        goes_on=True,
        updates=120,
        taken=0.25,
        rollouts=2,
        pairs=8,
        rate=8e-4,
        backbone_rate=2e-4,
        frozen=AS_IT_STARTS,
        bodies=60,
        pairs_of_bodies=60,
        shares=(("scan", 0.7), ("synthetic", 0.3)),
        engine=EngineConfig(far=0.6, partial=0.2),
    ),
    "quick": QUICK,
    "quick-walk": replace(
        QUICK,
        purpose="a rehearsal of the walks, which follow",
        goes_on=True,
        follows=True,
        settled=True,
        pairs=0,
        frozen=("encoder",),
    ),
}

# Several configurations in turn, each from the weights of the one before; where the last is named several times, its
# runs differ in their seeds and their weights are averaged (``recipe.py``).
RECIPES: dict[str, tuple[str, ...]] = {
    "gpu": ("gpu-features", "gpu-walk"),
    "cpu": ("features", "walk"),
    "rehearsal": ("quick", "quick-walk", "quick-walk"),
}


def stages_of(name: str) -> tuple[str, ...]:
    """The configurations that ``train --config NAME`` runs in turn: those of a recipe, or the one of this name.

    Raises InputError if there is neither.
    """
    if name in RECIPES:
        return RECIPES[name]
    _require(name, [*RECIPES, *CONFIGS])
    return (name,)


def named_config(name: str) -> TrainingConfig:
    """The configuration of this name. Raises InputError if there is none."""
    _require(name, CONFIGS)
    return CONFIGS[name]


def _require(name: str, choices: Collection[str]) -> None:
    if name not in choices:
        raise InputError(f"There is no training configuration '{name}'; choose one of {', '.join(choices)}.")

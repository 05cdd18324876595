"""Episodes: what one training example looks like.

A *rollout* episode is a short walk away from an annotated slice, as in propagation, often past the object's end, and
sometimes towards, or away from, a second annotated slice. A *pair* episode shows one to three support slices and a
query as two patients: other contrast, other shape, another slice.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .contrast import augment_contrast
from .deform import random_deformation
from .looks import Look, averaged_slices
from .memory_errors import with_errors
from .outlines import draw_offset, outlined
from .pool import Target, TrainingPool
from .views import crop_around, flip, part_of, resize, slice_shifts, thinning

SMALLEST = 30  # pixels of a mask in a pair
LONGEST_PAST_END = 3  # steps
LONGEST_WALK = 32  # steps of a walk with an approach
LONGEST_RUN_ON = 8  # steps past the end of a walk with an approach


@dataclass(frozen=True)
class EngineConfig:
    """How often episodes are of which kind, each in [0, 1]."""

    past_end: float = 0.25  # rollouts that start so near the object's end that they must run past it
    second: float = 0.25  # rollouts with a second annotated slice
    errors: float = 0.7  # rollouts whose first remembered mask is a wrong one
    approach: float = 0.0  # rollouts that are walked all the way, as in use, and learned from at some part of it
    outline: float = 0.0  # rollouts whose object is outlined further in or out than its edge
    joined: float = 0.0  # rollouts of an object and one that touches it, as if they were one
    gapless: float = 0.0  # rollouts that have every slice since the annotation, as walks that follow a motion need
    partner: float = 0.7  # pairs that show two patients, where the pool has a second one
    far: float = 0.4  # pairs of one scan whose query is any slice of the structure, not a neighbour
    several: float = 0.3  # pairs with two or three support slices
    partial: float = 0.15  # pairs whose support shows a part of the structure
    motion: float = 0.2  # blocks of slices that breathing has moved against each other
    thick: float = 0.5  # blocks whose slices are averages, where slices were left out
    one_look: float = 0.3  # pairs of generated bodies seen with one look rather than two


@dataclass
class _OnDevice:
    def to(self, device: torch.device) -> Any:
        """The same episode with its tensors on a device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{n: v.to(device, non_blocking=True) for n, v in moved.items() if isinstance(v, Tensor)})


@dataclass
class RolloutEpisode(_OnDevice):
    """Neighbouring slices (S, H, W) with masks; slice ``annotated`` is given, ``previous`` was just done and is
    remembered as ``remembered`` (H, W), ``steps`` are to be predicted in this order; ``second`` is annotated, too. The
    first ``approach`` steps are walked without learning, unless the walk goes wrong earlier; at most ``learned`` steps
    are learned from."""

    images: Tensor
    masks: Tensor
    remembered: Tensor
    pixel_mm: float
    slice_mm: float
    annotated: int
    previous: int
    steps: list[int]
    second: int | None = None
    approach: int = 0
    learned: int = LONGEST_WALK


@dataclass
class PairEpisode(_OnDevice):
    """Three neighbouring slices of each of M supports (M, 3, H, W) and of a query (3, H, W); the middle ones (index 1)
    have masks (M, H, W) and (H, W). ``support_mask`` may show a part of the structure, ``support_whole`` all of it."""

    support: Tensor
    support_mask: Tensor
    support_whole: Tensor
    query: Tensor
    query_mask: Tensor
    pixel_mm: float
    slice_mm: float


Episode = RolloutEpisode | PairEpisode


@dataclass
class _Walk:
    """Where a rollout goes, in positions among the kept slices."""

    annotated: int
    previous: int
    steps: list[int]
    second: int | None
    approach: int = 0


def _plan_walk(
    present: list[int], areas: np.ndarray, count: int, length: int, rng: np.random.Generator, engine: EngineConfig
) -> _Walk | None:
    """A random walk over ``count`` slices, of which ``present`` show the object with ``areas``; None without room."""
    annotated = present[int(areas.argmax())] if rng.random() < 0.5 else int(rng.choice(present, p=areas / areas.sum()))
    direction = 1 if rng.random() < 0.5 else -1
    reach = (max(present) - annotated) if direction > 0 else (annotated - min(present))
    whole = bool(engine.approach) and rng.random() < engine.approach
    if whole:
        gap = 0
    elif rng.random() < engine.past_end:
        gap = max(0, reach - int(rng.integers(0, length)))
    else:
        gap = 0 if rng.random() < 0.6 else int(rng.integers(0, max(1, reach + 1)))
    previous = annotated + direction * min(gap, 8)
    if previous not in present:
        return None
    second = None
    if engine.second and rng.random() < engine.second:
        ahead = [n for n in present if 2 <= direction * (n - previous) <= length + 4]
        behind = [n for n in present if direction * (n - annotated) < 0]
        choices = ahead if ahead and (not behind or rng.random() < 0.6) else behind
        second = int(rng.choice(choices)) if choices else None
    further = min(reach + int(rng.integers(1, LONGEST_RUN_ON + 1)), LONGEST_WALK) if whole else length
    steps = [previous + direction * (n + 1) for n in range(further)]
    stop = second if second is not None and direction * (second - previous) > 0 else None
    steps = [n for n in steps if 0 <= n < count and (stop is None or direction * (stop - n) > 0)]
    if whole and steps:
        approach = int(rng.integers(0, max(0, len(steps) - length) + 1))
        return _Walk(annotated, previous, steps, second, approach)
    # Where the object has ended for good, a few slices are enough to learn to stop.
    last = max((k for k, n in enumerate(steps) if n in present), default=-1)
    steps = steps[: last + 1 + LONGEST_PAST_END]
    return _Walk(annotated, previous, steps, second) if steps else None


def sample_rollout(
    pool: TrainingPool, rng: np.random.Generator, length: int, engine: EngineConfig = EngineConfig()
) -> RolloutEpisode | None:
    """Draw a rollout that is learned from in at most ``length`` steps; None if the drawn object does not allow one."""
    target: Target = pool.draw(rng)
    if engine.joined and rng.random() < engine.joined:
        target = target.joined(rng)
    first, last = target.slices
    thick = thinning(rng, target.slice_mm)
    kept = np.arange(rng.integers(thick), target.count, thick)
    near = [n for n, z in enumerate(kept) if first <= z <= last]
    areas = target.areas([int(kept[n]) for n in near])
    present = [n for n, area in zip(near, areas, strict=True) if area >= 6]
    if not present:
        return None
    walk = _plan_walk(present, areas[areas >= 6].astype(float), len(kept), length, rng, engine)
    if walk is None:
        return None
    ends = [walk.previous, *walk.steps]
    if engine.gapless and rng.random() < engine.gapless:
        ends.append(walk.annotated)
    block = {*range(min(ends), max(ends) + 1)}
    # Annotated slices further away bring their neighbours along: the encoder looks at both sides of a slice.
    for place in (walk.annotated, walk.second):
        if place is not None and place not in block:
            block |= {n for n in (place - 1, place, place + 1) if 0 <= n < len(kept)}
    where = {n: place for place, n in enumerate(sorted(block))}
    zs = [int(kept[n]) for n in sorted(block)]
    shape = target.scan.structure.shape[1:]
    crop = crop_around(rng, target.crop_union(zs), shape, (0.3, 1.0))
    shifts = slice_shifts(rng, len(zs), engine.motion)
    average = averaged_slices(thick) if thick > 1 and rng.random() < engine.thick else 1
    images = target.images(zs, rng, target.scan.draw_look(rng), crop, shifts, average, thick)
    regions = torch.from_numpy(target.regions(zs, crop, shifts))
    images = augment_contrast(torch.from_numpy(images), regions, rng)
    masks = torch.from_numpy(target.masks(zs, crop, shifts).astype(np.float32))
    images, masks, shrink = resize(images, masks, float(np.exp(rng.uniform(-0.3, 0.4))))
    images, masks = flip(rng, images, masks)
    annotated, previous = where[walk.annotated], where[walk.previous]
    if engine.outline and rng.random() < engine.outline:
        masks = outlined(masks, draw_offset(rng), annotated)
    if min(int((masks[n] > 0.5).sum()) for n in (annotated, previous)) < 4:
        return None
    remembered = masks[previous]
    if previous != annotated and rng.random() < engine.errors:
        remembered = with_errors(remembered, rng)
    return RolloutEpisode(
        images,
        masks,
        remembered,
        target.pixel_mm * shrink,
        target.slice_mm * thick,
        annotated,
        previous,
        [where[n] for n in walk.steps],
        None if walk.second is None else where[walk.second],
        walk.approach,
        length,
    )


def _other_view(
    pool: TrainingPool, target: Target, centre: int, rng: np.random.Generator, engine: EngineConfig
) -> tuple[Target, int]:
    """What the query of a pair shows: another patient at about the same height of the structure if the pool has one,
    else the same scan, a little further on or anywhere in the structure."""
    partner = pool.partner(target, rng) if rng.random() < engine.partner else None
    first, last = target.slices
    if partner is None:
        if engine.far and rng.random() < engine.far:
            return target, int(rng.integers(first, last + 1))
        reach = max(1, round(8.0 / target.slice_mm))
        return target, int(np.clip(centre + rng.integers(-reach, reach + 1), first, last))
    height = (centre - first + 0.5) / (last - first + 1) + rng.normal(0.0, 0.08)
    first, last = partner.slices
    return partner, int(np.clip(first + height * (last - first + 1) - 0.5, first, last))


def _pair_view(
    seen: Target, zs: list[int], look: Look | None, rng: np.random.Generator, turns: int
) -> tuple[Tensor, Tensor, float]:
    """Slices ``zs`` with their neighbours (M, 3, H, W), their masks (M, H, W), and by how much pixels have grown."""
    around = [min(max(0, z + step), seen.count - 1) for z in zs for step in (-1, 0, 1)]
    image = torch.from_numpy(seen.images(around, rng, look))
    image = augment_contrast(image, torch.from_numpy(seen.regions(around)), rng)
    mask = torch.from_numpy(seen.masks(zs).astype(np.float32))
    image, mask, shrink = resize(image, mask, float(np.exp(rng.uniform(-0.25, 0.1))))
    image, mask = random_deformation(image, mask, rng)
    image, mask = flip(np.random.default_rng(turns), image, mask)
    return image.view(len(zs), 3, *image.shape[-2:]), mask, shrink


def sample_pair(
    pool: TrainingPool, rng: np.random.Generator, engine: EngineConfig = EngineConfig()
) -> PairEpisode | None:
    """Draw supports and a query that are, or look like, two patients; None if the drawn object is too small."""
    target = pool.draw(rng)
    first, last = target.slices
    centre = int(rng.integers(first, last + 1))
    partner, other = _other_view(pool, target, centre, rng, engine)
    if target.areas([centre])[0] < 40 or partner.areas([other])[0] < 40:
        return None
    supports = [centre]
    if engine.several and rng.random() < engine.several:
        drawn = {int(z) for z in rng.integers(first, last + 1, int(rng.integers(1, 3)))} - {centre}
        supports += [z for z in sorted(drawn) if target.areas([z])[0] >= 40]
    turns = int(rng.integers(2**31))
    look = target.scan.draw_look(rng)
    other_look = look if partner is target and rng.random() < engine.one_look else partner.scan.draw_look(rng)
    support, support_mask, shrink = _pair_view(target, supports, look, rng, turns)
    query, query_mask, _ = _pair_view(partner, [other], other_look, rng, turns)
    if float(query_mask.sum()) < SMALLEST:
        return None
    shown = support_mask
    if engine.partial and rng.random() < engine.partial:
        shown = part_of(support_mask, rng)
    keep = shown.flatten(1).sum(1) >= SMALLEST
    if not bool(keep.any()):
        return None
    return PairEpisode(
        support[keep],
        shown[keep],
        support_mask[keep],
        query[0],
        query_mask[0],
        target.pixel_mm * shrink,
        target.slice_mm,
    )

"""Episodes: what one training example looks like.

A *rollout* episode is a short walk away from an annotated slice, as in propagation, often past the object's end. A
*pair* episode shows support and query as two patients: other contrast, other shape, another slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..preprocessing import MULTIPLE
from .contrast import augment_contrast
from .deform import random_deformation
from .pool import Target, TrainingPool

PAST_END_RATE = 0.25  # of rollouts that start so near the object's end that they must run past it
PARTNER_RATE = 0.7  # of pairs that show two patients, where the pool has a second one


@dataclass
class RolloutEpisode:
    """Consecutive slices (S, H, W) with masks; slice ``annotated`` is given, ``previous`` was just done, and
    ``steps`` are to be predicted in this order."""

    images: Tensor
    masks: Tensor
    pixel_mm: float
    slice_mm: float
    annotated: int
    previous: int
    steps: list[int]


@dataclass
class PairEpisode:
    """Three neighbouring slices of a support and of a query "patient"; the middle ones (index 1) have masks."""

    support: Tensor
    support_mask: Tensor
    query: Tensor
    query_mask: Tensor
    pixel_mm: float
    slice_mm: float


def _thinning(rng: np.random.Generator, slice_mm: float) -> int:
    """Every how many slices to keep, so that the spacing seen in training runs from fine to very coarse."""
    wanted = np.exp(rng.uniform(np.log(2.5), np.log(9.5)))
    return max(1, round(wanted / slice_mm))


def _crop_box(rng: np.random.Generator, union: np.ndarray, context: tuple[float, float]) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(union.any(1))[0], np.nonzero(union.any(0))[0]
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    extent = max(bottom - top, right - left)
    margin = [max(20, rng.uniform(*context) * extent) for _ in range(4)]
    height, width = union.shape
    return (
        int(max(0, top - margin[0])),
        int(min(height, bottom + margin[1])),
        int(max(0, left - margin[2])),
        int(min(width, right + margin[3])),
    )


def _resize(images: Tensor, masks: Tensor, factor: float) -> tuple[Tensor, Tensor, float]:
    height, width = images.shape[-2:]
    factor = min(factor, 256 / max(height, width))
    size = tuple(max(48, -(-round(length * factor) // MULTIPLE) * MULTIPLE) for length in (height, width))
    images = F.interpolate(images[:, None], size=size, mode="bilinear", antialias=True)[:, 0]
    masks = F.interpolate(masks[:, None], size=size, mode="bilinear", antialias=True)[:, 0]
    return images.clamp(0.0, 1.0), masks.clamp(0.0, 1.0), height / size[0]


def _flip(rng: np.random.Generator, *stacks: Tensor) -> list[Tensor]:
    dims = [dim for dim in (-1, -2) if rng.random() < 0.5]
    turned = rng.random() < 0.3
    result = []
    for stack in stacks:
        stack = stack.flip(dims) if dims else stack
        result.append(stack.transpose(-1, -2).contiguous() if turned else stack.contiguous())
    return result


def sample_rollout(pool: TrainingPool, rng: np.random.Generator, length: int) -> RolloutEpisode | None:
    """Draw a rollout of at most ``length`` steps; None if the drawn object does not allow one."""
    target: Target = pool.draw(rng)
    first, last = target.slices
    thinning = _thinning(rng, target.slice_mm)
    kept = np.arange(rng.integers(thinning), target.count, thinning)
    present = [n for n, z in enumerate(kept) if first <= z <= last and target.area(int(z)) >= 6]
    if not present:
        return None
    areas = np.array([target.area(int(kept[n])) for n in present], dtype=float)
    annotated = present[int(areas.argmax())] if rng.random() < 0.5 else int(rng.choice(present, p=areas / areas.sum()))
    direction = 1 if rng.random() < 0.5 else -1
    reach = (max(present) - annotated) if direction > 0 else (annotated - min(present))
    if rng.random() < PAST_END_RATE:
        gap = max(0, reach - int(rng.integers(0, length)))
    else:
        gap = 0 if rng.random() < 0.6 else int(rng.integers(0, max(1, reach + 1)))
    gap = min(gap, 8)
    previous = annotated + direction * gap
    if previous not in present:
        return None
    steps = [previous + direction * (n + 1) for n in range(length)]
    steps = [n for n in steps if 0 <= n < len(kept)]
    if not steps:
        return None
    block = sorted({annotated, *range(min(previous, *steps), max(previous, *steps) + 1)})
    where = {n: place for place, n in enumerate(block)}
    zs = [int(kept[n]) for n in block]
    masks = target.masks(zs)
    top, bottom, left, right = _crop_box(rng, masks.any(0), (0.3, 1.0))
    images, regions = (
        target.images(zs, (top, bottom, left, right)),
        target.regions(zs, (top, bottom, left, right)),
    )
    images = augment_contrast(torch.from_numpy(images), torch.from_numpy(regions), rng)
    masks = torch.from_numpy(masks[:, top:bottom, left:right].astype(np.float32))
    images, masks, shrink = _resize(images, masks, float(np.exp(rng.uniform(-0.3, 0.4))))
    images, masks = _flip(rng, images, masks)
    return RolloutEpisode(
        images,
        masks,
        target.pixel_mm * shrink,
        target.slice_mm * thinning,
        where[annotated],
        where[previous],
        [where[n] for n in steps],
    )


def _other_view(pool: TrainingPool, target: Target, centre: int, rng: np.random.Generator) -> tuple[Target, int] | None:
    """What the query of a pair shows: another patient at about the same height of the structure if the pool has one,
    else the same scan a little further on."""
    partner = pool.partner(target, rng) if rng.random() < PARTNER_RATE else None
    if partner is None:
        first, last = target.slices
        reach = max(1, round(8.0 / target.slice_mm))
        return target, int(np.clip(centre + rng.integers(-reach, reach + 1), first, last))
    first, last = target.slices
    height = (centre - first + 0.5) / (last - first + 1) + rng.normal(0.0, 0.08)
    first, last = partner.slices
    return partner, int(np.clip(first + height * (last - first + 1) - 0.5, first, last))


def sample_pair(pool: TrainingPool, rng: np.random.Generator) -> PairEpisode | None:
    """Draw a support and a query that are, or look like, two patients."""
    target = pool.draw(rng)
    first, last = target.slices
    centre = int(rng.integers(first, last + 1))
    partner, other = _other_view(pool, target, centre, rng)
    if target.area(centre) < 40 or partner.area(other) < 40:
        return None
    flips_and_turns = rng.integers(2**31)
    views = []
    for seen, z in ((target, centre), (partner, other)):
        zs = [max(0, z - 1), z, min(seen.count - 1, z + 1)]
        image = torch.from_numpy(seen.images(zs, None))
        regions = torch.from_numpy(seen.regions(zs, None))
        image = augment_contrast(image, regions, rng)
        mask = torch.from_numpy(seen.masks([z]).astype(np.float32))
        image, mask, shrink = _resize(image, mask, float(np.exp(rng.uniform(-0.25, 0.1))))
        image, mask = random_deformation(image, mask, rng)
        image, mask = _flip(np.random.default_rng(flips_and_turns), image, mask)
        views.append((image, mask[0], seen.pixel_mm * shrink, seen.slice_mm))
    if float(views[0][1].sum()) < 30 or float(views[1][1].sum()) < 30:
        return None
    return PairEpisode(views[0][0], views[0][1], views[1][0], views[1][1], views[0][2], views[0][3])

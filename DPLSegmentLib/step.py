"""One step of propagation: from remembered slices to the mask of the next one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from .displacement import displacement
from .matching import MATCH_PIXELS, WINDOW_PIXELS
from .model import DPLModel
from .motion import Motion
from .similarity import SimilarityMaps
from .window import Window, aligned_window

KIND_ANNOTATED, KIND_SECOND_ANNOTATED, KIND_OLDER, KIND_LAST = range(4)


@dataclass
class EncodedScan:
    """Slices on the network grid, ready to be matched.

    Attributes:
        images: (N, H, W) in [0, 1].
        features: (N, C, H/4, W/4).
        pixel_mm: edge of a network pixel.
        slice_mm: distance between slices.
    """

    images: Tensor
    features: Tensor
    pixel_mm: float
    slice_mm: float


@dataclass
class Slot:
    """A remembered slice: where it is and what its mask was, (H, W) in [0, 1] on the network grid."""

    index: int
    mask: Tensor
    kind: int


@dataclass
class Appearance:
    """Intensity statistics of the annotated object that make intensities comparable between scans."""

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, image: Tensor, mask: Tensor, window: Window) -> Appearance:
        """From the annotated slice (H, W), its mask and the window around it."""
        inside = mask > 0.5
        local = window.crop(image[None, None], MATCH_PIXELS)
        mean = image[inside].mean() if bool(inside.any()) else image.mean()
        return cls(mean, local.std().clamp_min(0.02))

    def __call__(self, images: Tensor) -> Tensor:
        return ((images - self.mean) / self.scale).clamp(-4.0, 4.0)


@dataclass
class StepRequest:
    """What one track asks for: the mask of ``current``, given ``slots`` (first annotated, last the slice before).

    ``moved`` (rows, columns): whole pixels by which the object moves from one slice to the next, as far as one can
    tell before; ``growth``: logarithm of the factor by which its diameter changes, likewise. ``window`` has moved.
    """

    scan: EncodedScan
    current: int
    window: Window
    slots: list[Slot]
    similarity: SimilarityMaps  # over all slices of the scan, (N, H/4, W/4)
    appearance: Appearance
    origin: int  # index of the nearest annotated slice
    moved: tuple[int, int] = (0, 0)
    growth: float = 0.0

    def following(self, motion: Motion) -> StepRequest:
        """The same request, made where the object of the slice before should be by now."""
        last = self.slots[-1]
        mask, images = last.mask.detach(), self.scan.images
        expected = motion.expected(mask)
        moved = displacement(images[last.index], images[self.current], mask, self.window, expected)
        return replace(self, window=self.window.moved_by(*moved), moved=moved, growth=motion.followed_growth)


@dataclass
class StepResult:
    """Window logits (B, P, P), presence logits (B,), and the matching read-out (B, P, P) on its own."""

    logits: Tensor
    presence: Tensor
    matched: Tensor


def _view(request: StepRequest, slot: Slot) -> tuple[Tensor, Tensor, Tensor]:
    """Image, mask and features of a remembered slice, moved to where the object should be now, and as large."""
    window = request.window
    if slot.kind in (KIND_OLDER, KIND_LAST):
        slices = abs(request.current - slot.index)
        window = window.moved_by(-slices * request.moved[0], -slices * request.moved[1])
        window = window.scaled(math.exp(-slices * request.growth))
    window = aligned_window(window, slot.mask.detach() > 0.5)
    image = request.appearance(window.crop(request.scan.images[slot.index][None, None], WINDOW_PIXELS))
    mask = window.crop(slot.mask[None, None], WINDOW_PIXELS, fill="zero")
    features = window.read_features(request.scan.features[slot.index][None].float(), MATCH_PIXELS)
    return image, mask, features


def propagate_step(model: DPLModel, requests: list[StepRequest]) -> StepResult:
    """Run one step for several tracks that remember equally many slices."""
    images, features, masks = [], [], []
    currents, current_features, prototype_maps, constants = [], [], [], []
    for request in requests:
        views = [_view(request, slot) for slot in request.slots]
        images.append(torch.cat([view[0] for view in views]))
        masks.append(torch.cat([view[1] for view in views]))
        features.append(torch.cat([view[2] for view in views]))
        window, scan = request.window, request.scan
        currents.append(request.appearance(window.crop(scan.images[request.current][None, None], WINDOW_PIXELS)))
        current_features.append(window.read_features(scan.features[request.current][None].float(), MATCH_PIXELS))
        maps = torch.stack(
            [
                request.similarity.logit[request.current].clamp(-6, 6) / 3,
                request.similarity.spread[request.current] * 4,
            ]
        )
        prototype_maps.append(window.read_features(maps[None].float(), WINDOW_PIXELS))
        side_mm = window.side * scan.pixel_mm
        gap = abs(request.current - request.slots[-1].index) * scan.slice_mm
        distance = abs(request.current - request.origin) * scan.slice_mm
        constants.append([math.tanh(4 * gap / side_mm), math.tanh(distance / side_mm), math.log(side_mm / 100.0)])

    slots = len(requests[0].slots)
    image, feature = torch.stack(images), torch.stack(features)  # (B, M, 1, P, P), (B, M, C, G, G)
    mask = torch.stack(masks)  # (B, M, 1, P, P)
    now, now_features = torch.cat(currents), torch.cat(current_features)

    described = model.matcher.describe(image.flatten(0, 1), feature.flatten(0, 1))
    query = model.matcher.describe(now, now_features)
    pooled = F.avg_pool2d(mask.flatten(0, 1), WINDOW_PIXELS // MATCH_PIXELS)
    batch = len(requests)
    kinds = torch.tensor([slot.kind for slot in requests[0].slots], device=now.device)
    readout = model.matcher(
        query,
        described.view(batch, slots, *described.shape[1:]),
        pooled.view(batch, slots, -1),
        F.avg_pool2d(image.flatten(0, 1), WINDOW_PIXELS // MATCH_PIXELS).view(batch, slots, -1),
        kinds,
    )

    def enlarge(values: Tensor) -> Tensor:
        values = values[:, None] if values.ndim == 3 else values
        return F.interpolate(values, size=(WINDOW_PIXELS, WINDOW_PIXELS), mode="bilinear")

    matched = enlarge(readout.probability)
    constant = torch.tensor(constants, device=now.device, dtype=now.dtype)[:, :, None, None]
    evidence = torch.cat(
        [
            now,
            image[:, -1],
            image[:, 0],
            mask[:, -1],
            mask[:, 0],
            now - image[:, -1],
            matched,
            enlarge(readout.first),
            enlarge(readout.last),
            enlarge(readout.score.clamp(-12, 12)) / 6,
            now - enlarge(readout.intensity),
            enlarge(readout.shift) * 5,
            torch.cat(prototype_maps),
            constant.expand(-1, -1, WINDOW_PIXELS, WINDOW_PIXELS),
        ],
        dim=1,
    )
    logits, presence = model.decoder(evidence, now_features, matched[:, 0])
    return StepResult(logits, presence, matched[:, 0])

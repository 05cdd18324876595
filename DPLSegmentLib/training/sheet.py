"""A picture sheet of training episodes, to look at what a model is shown.

``python -m DPLSegmentLib.training.sheet --cache DIR [DIR ...] --output sheet.png``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch.nn import functional as F

from ..errors import InputError
from ..pending import PendingFiles, require_writable
from .configs import CONFIGS, named_config
from .episodes import PairEpisode, RolloutEpisode, sample_pair, sample_rollout
from .pool import TrainingPool

PANEL, GAP, COLUMNS = 88, 3, 10
GREYS = 24  # enough to see, and noise compresses
GIVEN, REMEMBERED, WANTED = (1.0, 0.75, 0.1), (0.3, 0.65, 1.0), (0.2, 1.0, 0.3)
FRAME = 3


def panel(image: torch.Tensor, mask: torch.Tensor, color: Sequence[float], framed: bool = False) -> np.ndarray:
    """One slice (H, W) in grey with the outline of its mask, in a square (PANEL, PANEL, 3); given masks are filled."""
    scale = PANEL / max(image.shape)
    size = [max(1, round(length * scale)) for length in image.shape]
    grey = F.interpolate(image[None, None].float(), size=size, mode="bilinear", antialias=True)[0, 0]
    inside = F.interpolate(mask[None, None].float(), size=size, mode="bilinear", antialias=True)[0, 0] > 0.5
    grey = (grey * (GREYS - 1)).round() / (GREYS - 1)
    eroded = -F.max_pool2d(-inside[None, None].float(), 3, 1, 1)[0, 0] > 0.5
    rgb = grey[..., None].repeat(1, 1, 3)
    tint = torch.tensor(color)
    if framed:
        rgb[inside] = 0.6 * rgb[inside] + 0.4 * tint
    rgb[inside & ~eroded] = tint
    square = torch.zeros(PANEL, PANEL, 3)
    top, left = (PANEL - size[0]) // 2, (PANEL - size[1]) // 2
    square[top : top + size[0], left : left + size[1]] = rgb
    if framed:
        square[:FRAME], square[-FRAME:], square[:, :FRAME], square[:, -FRAME:] = tint, tint, tint, tint
    return square.numpy()


def rollout_row(episode: RolloutEpisode) -> list[np.ndarray]:
    """The annotated slices, the remembered one, then the steps."""
    row = [panel(episode.images[episode.annotated], episode.masks[episode.annotated], GIVEN, True)]
    if episode.second is not None:
        row.append(panel(episode.images[episode.second], episode.masks[episode.second], GIVEN, True))
    row.append(panel(episode.images[episode.previous], episode.remembered, REMEMBERED, True))
    return row + [panel(episode.images[n], episode.masks[n], WANTED) for n in episode.steps]


def pair_panels(episode: PairEpisode) -> list[np.ndarray]:
    """The supports, then the query."""
    given = [panel(s[1], m, GIVEN, True) for s, m in zip(episode.support, episode.support_mask, strict=True)]
    return [*given, panel(episode.query[1], episode.query_mask, WANTED)]


def sheet(pool: TrainingPool, config: str = "cpu", seed: int = 0, walks: int = 8, pair_rows: int = 3) -> np.ndarray:
    """Rows of rollouts and rows of pairs as one RGB picture (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    training = named_config(config)
    rows: list[list[np.ndarray]] = []
    while len(rows) < walks:
        # Every second row shows what is rarer: a second annotated slice.
        wanted = bool(len(rows) % 2) and training.engine.second > 0
        episode = sample_rollout(pool, rng, COLUMNS - 3, training.engine)
        if episode is not None and len(episode.steps) >= 3 and (episode.second is not None) == wanted:
            rows.append(rollout_row(episode)[:COLUMNS])
    for _ in range(pair_rows):
        row: list[np.ndarray] = []
        while len(row) < COLUMNS:
            episode = sample_pair(pool, rng, training.engine)
            if episode is not None and len(row) + len(episode.support) + 1 <= COLUMNS:
                row += pair_panels(episode)
            elif episode is not None and len(row) == COLUMNS - 1:
                row.append(np.zeros((PANEL, PANEL, 3), np.float32))
        rows.append(row)
    step = PANEL + GAP
    picture = np.ones((len(rows) * step + GAP, COLUMNS * step + GAP, 3))
    for y, row in enumerate(rows):
        for x, square in enumerate(row):
            top, left = y * step + GAP, x * step + GAP
            picture[top : top + PANEL, left : left + PANEL] = square
    return np.round(255 * picture.clip(0, 1)).astype(np.uint8)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line entry; returns the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m DPLSegmentLib.training.sheet", description=__doc__)
    parser.add_argument("--cache", type=Path, nargs="+", required=True, help="prepared caches")
    parser.add_argument("--output", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--config", default="features", help=f"whose episodes: {', '.join(CONFIGS)}")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        require_writable(options.output, "output")
        pool = TrainingPool.load(options.cache, dict(named_config(options.config).shares))
        picture = sheet(pool, options.config, options.seed)
        with PendingFiles() as pending:
            image = sitk.GetImageFromArray(picture, isVector=True)
            sitk.WriteImage(image, str(pending.add(options.output, ".png")), True, 9)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print(f"Wrote {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

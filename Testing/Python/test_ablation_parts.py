"""Rows of the ablation that change the look-up of another patient really change it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from helpers import disc, seeded

pytest.importorskip("scipy")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Benchmarks"))

from ablation_parts import FusedAlone

from DPLSegmentLib.checkpoint import load_weights
from DPLSegmentLib.coarse import CoarseOrgans, CoarseScan
from DPLSegmentLib.looking import Looking
from DPLSegmentLib.progress_parts import ProgressPart

SIDE = 16
AXES = torch.linspace(-1, 1, SIDE)
PLACES = torch.stack(torch.meshgrid(AXES, AXES, indexing="ij"))[None]


def test_with_the_fused_prototype_alone_variants_neither_count_nor_spread():
    model, _ = load_weights()
    scans = [CoarseScan(torch.randn(1, 64, SIDE, SIDE, generator=seeded(n)), PLACES, 8.0) for n in (1, 2)]
    organs = CoarseOrgans([1], disc(SIDE, (7, 8), 4)[None, None])
    look = Looking(model, *scans, organs, [0.0], None)
    moves = 0.3 * torch.randn(9, 64, generator=seeded(3))
    with torch.inference_mode():
        plain = look.plainly(ProgressPart(None))
        all_of_them = look.varied(plain, [moves], ProgressPart(None))
        first = look.varied(plain, [moves[:1]], ProgressPart(None))
        alone = FusedAlone()
        alone.load_state_dict(model.cross.state_dict())
        model.cross = alone
        fused = look.varied(plain, [moves], ProgressPart(None))
    assert torch.equal(fused.probability, first.probability) and float(fused.spread.max()) == 0.0
    assert float((fused.probability - all_of_them.probability).abs().max()) > 1e-3 < float(all_of_them.spread.max())

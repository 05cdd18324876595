"""The decoder for another patient: what it starts from, and what it may learn."""

from __future__ import annotations

from dataclasses import fields

import torch
from helpers import seeded

from DPLSegmentLib.cross_decoder import PROTOTYPE_SHARE, CrossDecoder
from DPLSegmentLib.cross_matching import CrossReadout
from DPLSegmentLib.similarity import SimilarityMaps

SHAPE = (2, 12, 16)


def evidence(seed: int = 0) -> tuple[CrossReadout, SimilarityMaps, torch.Tensor]:
    """A look-up, prototype similarity, and features of two slices."""
    noise = seeded(seed)
    read = CrossReadout(torch.rand(*SHAPE, generator=noise), 0.1 * torch.rand(*SHAPE, generator=noise))
    maps = SimilarityMaps(*(torch.randn(*SHAPE, generator=noise) for _ in fields(SimilarityMaps)))
    return read, maps, torch.randn(SHAPE[0], 64, *SHAPE[1:], generator=noise)


def test_untrained_it_blends_look_up_and_prototypes():
    read, maps, features = evidence()
    logits = CrossDecoder()(read, maps, features)
    looked_up = torch.logit(read.probability.clamp(0.005, 0.995))
    wanted = (1 - PROTOTYPE_SHARE) * looked_up + PROTOTYPE_SHARE * maps.logit.clamp(-6, 6)
    torch.testing.assert_close(logits, wanted)


def test_it_can_learn_to_follow_the_spread_of_the_variants():
    torch.manual_seed(0)
    decoder = CrossDecoder()
    read, maps, features = evidence()
    wanted = (read.spread > 0.05).float()
    steps = torch.optim.Adam(decoder.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(decoder(read, maps, features), wanted)
        steps.zero_grad()
        loss.backward()
        steps.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]

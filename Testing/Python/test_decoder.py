from __future__ import annotations

import torch
from helpers import disc

from DPLSegmentLib.decoder import EVIDENCE, EvidenceDecoder


def test_an_untrained_decoder_returns_the_matching_read_out():
    torch.manual_seed(0)
    decoder = EvidenceDecoder().eval()
    prior = torch.stack([disc(80, (40, 30), 15) * 0.9 + 0.02, torch.rand(80, 80)])
    with torch.no_grad():
        logits, presence = decoder(torch.randn(2, EVIDENCE, 80, 80), torch.randn(2, 64, 40, 40), prior)
    assert logits.shape == (2, 80, 80) and presence.shape == (2,)
    assert torch.allclose(logits, decoder.prior_gain * torch.logit(prior.clamp(0.01, 0.99)), atol=1e-5)
    assert bool(((logits > 0) == (prior > 0.5)).all())


def test_a_certain_prior_gives_finite_logits_and_gradients():
    decoder = EvidenceDecoder()
    prior = torch.zeros(1, 80, 80)
    prior[:, 20:40] = 1
    logits, presence = decoder(torch.randn(1, EVIDENCE, 80, 80), torch.randn(1, 64, 40, 40), prior)
    (logits.mean() + presence.mean()).backward()
    assert bool(torch.isfinite(logits).all())
    assert all(bool(torch.isfinite(p.grad).all()) for p in decoder.parameters() if p.grad is not None)
    assert float(decoder.output.weight.grad.abs().sum()) > 0

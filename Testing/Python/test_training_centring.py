"""The encoder's centre: what all features have in common is taken out."""

from __future__ import annotations

import torch
from helpers import seeded, untrained_model

from DPLSegmentLib.training.centring import FeatureCentre
from DPLSegmentLib.training.processes import Processes


def images(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=seeded())


def centred_encoder():
    encoder = untrained_model().encoder
    return encoder, FeatureCentre(encoder, Processes(0, 1, torch.device("cpu")))


def test_after_the_first_update_features_have_no_mean():
    encoder, centre = centred_encoder()
    before = encoder(images(4)).mean((0, 2, 3))
    centre.update()
    after = encoder(images(4)).mean((0, 2, 3))
    assert before.norm() > 1e-3 and after.norm() < 1e-3 * before.norm()


def test_later_updates_follow_slowly_and_an_update_without_features_changes_nothing():
    encoder, centre = centred_encoder()
    encoder(images(2))
    centre.update()
    first = encoder.centre.clone()
    with torch.no_grad():
        encoder.output.bias += 1.0
    encoder(images(2))
    centre.update()
    moved = encoder.centre - first
    assert torch.allclose(moved, torch.full_like(moved, 0.02), atol=1e-4)
    centre.update()
    assert torch.equal(encoder.centre - first, moved)


def test_what_is_encoded_without_gradients_does_not_count():
    encoder, centre = centred_encoder()
    with torch.no_grad():
        encoder(images(2))
    centre.update()
    assert not encoder.centre.any()


def test_the_order_of_episodes_does_not_matter():
    found = []
    for order in ((0, 1, 2), (2, 0, 1)):
        encoder, centre = centred_encoder()
        for n in order:
            encoder(images(3)[n : n + 1])
        centre.update()
        found.append(encoder.centre)
    assert torch.allclose(*found, atol=1e-6)

"""The encoder's centre: what all features have in common is taken out."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from helpers import seeded, untrained_model

pytest.importorskip("scipy")

from DPLSegmentLib.cross_matching import TEMPERATURE
from DPLSegmentLib.model import DPLModel
from DPLSegmentLib.sphere import unit
from DPLSegmentLib.synthetic import generate_anatomy
from DPLSegmentLib.training.bodies import body_scan
from DPLSegmentLib.training.centring import FeatureCentre, centred_afterwards, draw_slices
from DPLSegmentLib.training.configs import CONFIGS
from DPLSegmentLib.training.feeding import feed
from DPLSegmentLib.training.loop import SOFT_START, Trainer
from DPLSegmentLib.training.pool import TrainingPool, pool_scan
from DPLSegmentLib.training.processes import Processes

QUICK = replace(CONFIGS["quick"], updates=3, rollouts=1, backbone_rate=0.0)


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


def slices(count: int = 6) -> list[torch.Tensor]:
    return list(images(count)[:, None])


def centred(model: DPLModel) -> DPLModel:
    other = DPLModel(model.config)
    other.load_state_dict(centred_afterwards(model.config, model.state_dict(), slices()))
    return other


def lopsided() -> DPLModel:
    """A model whose features have much in common, and whose decoder looks at them."""
    model = untrained_model()
    with torch.no_grad():
        model.encoder.output.bias += 3.0
        model.decoder.output.weight += 0.1
    return model


@torch.no_grad()
def test_centred_afterwards_features_have_no_mean_and_what_reads_them_reads_the_same():
    model = lopsided()
    other = centred(model)
    before, after = model.encoder(images(6)), other.encoder(images(6))
    assert after.mean((0, 2, 3)).norm() < 1e-4 * before.mean((0, 2, 3)).norm()
    window = torch.rand(6, 1, 32, 32, generator=seeded())
    torch.testing.assert_close(
        other.matcher.describe(window, after), model.matcher.describe(window, before), rtol=1e-4, atol=1e-4
    )
    evidence, prior = torch.rand(6, 18, 32, 32, generator=seeded()), torch.rand(6, 32, 32, generator=seeded())
    for found, expected in zip(
        other.decoder(evidence, after, prior), model.decoder(evidence, before, prior), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_temperature_and_gain_of_the_similarity_follow_the_spread_of_cosines():
    model = lopsided()
    other = centred(model)

    def spread(features):
        directions = unit(features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]))
        return float((directions[:-777] * directions[777:]).sum(-1).std())

    expected = spread(other.encoder(images(6))) / spread(model.encoder(images(6)))
    factor = (other.similarity.log_temperature - model.similarity.log_temperature).exp()
    assert expected > 2 and float(factor) == pytest.approx(expected, rel=0.15)
    assert float((model.similarity.log_gain - other.similarity.log_gain).exp()) == pytest.approx(float(factor))


def test_what_is_centred_already_is_not_centred_again():
    model = centred(lopsided())
    with pytest.raises(ValueError, match="already"):
        centred_afterwards(model.config, model.state_dict(), slices())


@pytest.fixture(scope="module")
def pool():
    anatomy = generate_anatomy(5, (16, 72, 72), (6.0, 5.0, 5.0))
    return TrainingPool(pool_scan(body_scan(anatomy, 5)), {"synthetic": 1.0})


def trained(pool, folder, model: DPLModel) -> Trainer:
    run = Trainer(QUICK, pool, folder, model)
    for drawn in feed(pool, QUICK, 0):
        run.step(drawn)
    return run


def test_features_learn_without_a_centre_and_what_is_exported_has_one(pool, tmp_path):
    run = trained(pool, tmp_path, untrained_model())
    assert not QUICK.settled and not run.settled
    assert not run.model.encoder.centre.any() and not run.average["encoder.centre"].any()
    learned = float(run.model.cross.log_temperature.detach())
    assert learned != math.log(SOFT_START) and learned == pytest.approx(math.log(SOFT_START), abs=0.1)
    assert float(run.outcome["cross.log_temperature"]) == pytest.approx(math.log(TEMPERATURE))
    model = DPLModel()
    model.load_state_dict(run.outcome)
    drawn = draw_slices(pool, QUICK.engine, QUICK.seed)
    with torch.no_grad():
        means = torch.stack([model.encoder(images).mean((0, 2, 3)) for images in drawn])
    assert len(drawn) == 96 and means.mean(0).norm() < 0.01 * run.outcome["encoder.centre"].norm()


def test_weights_with_a_centre_keep_it_and_their_look_up(pool, tmp_path):
    model = centred(untrained_model())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run = trained(pool, tmp_path, model)
    assert run.settled and run.outcome is run.average
    assert torch.equal(model.cross.log_temperature, before["cross.log_temperature"])
    moved = (model.encoder.centre - before["encoder.centre"]).norm()
    assert 0 < moved < 0.2 * before["encoder.centre"].norm()

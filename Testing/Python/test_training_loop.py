"""Training: it runs on generated bodies, learns, and goes on exactly where it was stopped."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from DPLSegmentLib.model import DPLModel
from DPLSegmentLib.synthetic import generate_anatomy, second_patient
from DPLSegmentLib.training.episodes import sample_pair, sample_rollout
from DPLSegmentLib.training.loop import Trainer, TrainingConfig, learning_rate
from DPLSegmentLib.training.pool import TrainingPool, pool_scan
from DPLSegmentLib.training.synthetic_cache import synthetic_training_scan


@pytest.fixture(scope="module")
def pool():
    anatomy = generate_anatomy(5, (16, 72, 72), (6.0, 5.0, 5.0))
    return TrainingPool(pool_scan(synthetic_training_scan(anatomy, 5)), {"synthetic": 1.0})


def trainer(pool, folder) -> Trainer:
    torch.manual_seed(0)
    config = TrainingConfig(updates=3, rollouts=1, pairs=1, length=2, warmup=1, seed=3)
    return Trainer(config, pool, folder, DPLModel())


def test_a_resumed_run_goes_on_as_if_it_had_never_stopped(pool, tmp_path):
    whole = trainer(pool, tmp_path / "whole")
    losses = [whole.step() for _ in range(3)]
    first = trainer(pool, tmp_path / "parts")
    first.step()
    first.save()
    second = trainer(pool, tmp_path / "parts")
    assert second.resume() and second.update == 1
    assert [second.step() for _ in range(2)] == losses[1:]
    for name, value in whole.average.items():
        assert torch.equal(value, second.average[name]), name


def test_training_changes_every_learned_part_but_not_the_backbone(pool, tmp_path):
    run = trainer(pool, tmp_path)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    for _ in range(2):
        terms = run.step()
    assert all(np.isfinite(value) for value in terms.values())
    changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any("backbone" in name for name in changed)
    for part in ("encoder.lateral", "denoiser", "similarity", "matcher", "decoder", "cross"):
        assert any(name.startswith(part) for name in changed), part


def test_episodes_walk_away_from_the_annotation_and_some_run_past_the_end(pool):
    rng = np.random.default_rng(0)
    past = walked = 0
    for _ in range(60):
        episode = sample_rollout(pool, rng, 4)
        if episode is None:
            continue
        walked += 1
        assert episode.images.shape == episode.masks.shape and float(episode.images.max()) <= 1.0
        assert float(episode.masks[episode.annotated].sum()) > 0 and float(episode.masks[episode.previous].sum()) > 0
        assert all(abs(a - b) == 1 for a, b in zip(episode.steps, [episode.previous, *episode.steps], strict=False))
        past += float(episode.masks[episode.steps[-1]].sum()) == 0
    assert walked > 20 and 0.1 < past / walked < 0.9


def test_a_pair_shows_the_same_structure_in_two_looks(pool):
    rng = np.random.default_rng(1)
    pairs = [pair for pair in (sample_pair(pool, rng) for _ in range(20)) if pair is not None]
    assert len(pairs) > 3
    for pair in pairs:
        assert float(pair.support_mask.sum()) >= 30 and float(pair.query_mask.sum()) >= 30
        assert pair.support.shape != pair.query.shape or not torch.equal(pair.support, pair.query)


def test_a_pair_shows_two_patients_where_there_are_two():
    anatomy = generate_anatomy(5, (16, 72, 72), (6.0, 5.0, 5.0))
    bodies = [anatomy, second_patient(anatomy, 5)]
    scans = [synthetic_training_scan(body, 5, number) for number, body in enumerate(bodies, start=1)]
    pool = TrainingPool([entry for scan in scans for entry in pool_scan(scan)], {"synthetic": 1.0})
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(20):
        target = pool.draw(rng)
        partner = pool.partner(target, rng)
        if partner is not None:
            found += 1
            assert partner.scan is not target.scan and partner.number == target.number
    assert found > 10
    assert any(sample_pair(pool, rng) is not None for _ in range(20))


def test_a_pool_of_single_patients_has_no_partners(pool):
    rng = np.random.default_rng(3)
    assert pool.partner(pool.draw(rng), rng) is None


def test_the_learning_rate_warms_up_and_falls():
    config = TrainingConfig(updates=100, warmup=10)
    rates = [learning_rate(config, update) for update in range(100)]
    assert np.all(np.diff(rates[:10]) > 0) and np.all(np.diff(rates[10:]) <= 0)
    assert rates[10] == pytest.approx(config.rate) and rates[-1] < 0.03 * config.rate

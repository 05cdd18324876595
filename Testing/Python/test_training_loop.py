"""Training: it runs on generated bodies, learns, and goes on exactly where it was stopped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from DPLSegmentLib.model import DPLModel
from DPLSegmentLib.synthetic import generate_anatomy, second_patient
from DPLSegmentLib.training import loop
from DPLSegmentLib.training.bodies import body_scan
from DPLSegmentLib.training.configs import BY_HAND, TrainingConfig
from DPLSegmentLib.training.episodes import sample_pair, sample_rollout
from DPLSegmentLib.training.feeding import Drawn, feed
from DPLSegmentLib.training.loop import Trainer, learning_rate
from DPLSegmentLib.training.pool import TrainingPool, pool_scan


@pytest.fixture(scope="module")
def pool():
    anatomy = generate_anatomy(5, (16, 72, 72), (6.0, 5.0, 5.0))
    return TrainingPool(pool_scan(body_scan(anatomy, 5)), {"synthetic": 1.0})


def trainer(pool, folder) -> Trainer:
    torch.manual_seed(0)
    config = TrainingConfig(updates=3, rollouts=1, pairs=1, length=2, warmup=1, backbone_rate=0.0, seed=3)
    return Trainer(config, pool, folder, DPLModel())


def steps(run: Trainer, count: int) -> list[dict[str, float]]:
    episodes = feed(run.pool, run.config, run.update)
    return [run.step(next(episodes)) for _ in range(count)]


def test_a_resumed_run_goes_on_as_if_it_had_never_stopped(pool, tmp_path):
    whole = trainer(pool, tmp_path / "whole")
    losses = steps(whole, 3)
    first = trainer(pool, tmp_path / "parts")
    steps(first, 1)
    first.save()
    second = trainer(pool, tmp_path / "parts")
    assert second.resume() and second.update == 1
    assert steps(second, 2) == losses[1:]
    for name, value in whole.average.items():
        assert torch.equal(value, second.average[name]), name


def test_training_changes_every_learned_part_but_not_the_backbone(pool, tmp_path):
    run = trainer(pool, tmp_path)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    terms = steps(run, 2)[-1]
    assert all(np.isfinite(value) for value in terms.values())
    changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any("backbone" in name for name in changed)
    for part in ("encoder.lateral", "denoiser", "similarity", "matcher", "decoder", "cross"):
        assert any(name.startswith(part) for name in changed), part


@pytest.mark.parametrize(
    ("rollouts", "pairs", "frozen", "changing"),
    [
        (1, 0, ("encoder",), {"matcher", "decoder", "denoiser", "similarity"}),
        (0, 1, ("encoder", "matcher", "decoder", "similarity", "cross_decoder"), {"denoiser"}),
    ],
    ids=["walks alone", "the reverse process alone"],
)
def test_frozen_parts_stay_as_they_came(pool, tmp_path, rollouts, pairs, frozen, changing):
    config = TrainingConfig(
        updates=2, rollouts=rollouts, pairs=pairs, length=2, warmup=1, frozen=frozen, seed=3, decay=0.1
    )
    torch.manual_seed(0)
    run = Trainer(config, pool, tmp_path, DPLModel())
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    steps(run, 2)
    changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in changed} == changing


def test_what_is_set_by_hand_has_its_value_before_and_after_training_and_in_the_average(pool, tmp_path):
    run = trainer(pool, tmp_path)
    assert run.config.fixed == BY_HAND and all(value > 0 for _, value in BY_HAND)
    steps(run, 2)
    for name, value in BY_HAND:
        for weights in (run.start, run.average, run.model.state_dict()):
            assert float(weights[name]) == pytest.approx(value)
    given = DPLModel()
    torch.nn.init.constant_(given.denoiser.kept, 0.25)
    assert float(Trainer(run.config, pool, tmp_path, given, fine_tunes=True).start["denoiser.kept"]) == 0.25


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
        assert all(a != b for a, b in zip(episode.steps, [episode.previous, *episode.steps], strict=False))
        past += float(episode.masks[episode.steps[-1]].sum()) == 0
    assert walked > 20 and 0.1 < past / walked < 0.9


def test_a_pair_shows_the_same_structure_in_two_looks(pool):
    rng = np.random.default_rng(1)
    pairs = [pair for pair in (sample_pair(pool, rng) for _ in range(60)) if pair is not None]
    assert len(pairs) > 3
    for pair in pairs:
        assert float(pair.support_mask[0].sum()) >= 30 and float(pair.query_mask.sum()) >= 30
        assert pair.support.shape[2:] != pair.query.shape[1:] or not torch.equal(pair.support[0], pair.query)


def test_a_pair_shows_two_patients_where_there_are_two():
    anatomy = generate_anatomy(5, (16, 72, 72), (6.0, 5.0, 5.0))
    bodies = [anatomy, second_patient(anatomy, 5)]
    scans = [body_scan(body, 5, number) for number, body in enumerate(bodies, start=1)]
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


def test_workers_change_nothing_but_the_time(pool):
    config = TrainingConfig(updates=3, rollouts=1, pairs=1, length=2, seed=3)
    for alone, helped in zip(feed(pool, config, 1), feed(pool, config, 1, workers=2), strict=True):
        assert [one.noise_seed for one in alone] == [one.noise_seed for one in helped]
        assert torch.equal(alone[0].episode.images, helped[0].episode.images)
        assert torch.equal(alone[1].episode.query, helped[1].episode.query)


def test_processes_share_the_episodes_of_one(pool):
    config = TrainingConfig(updates=1, rollouts=2, pairs=1, length=2, seed=3)
    (whole,) = feed(pool, config, 0)
    parts = [next(feed(pool, config, 0, rank, 2)) for rank in range(2)]
    seeds = [[one.noise_seed for one in part] for part in (whole, *parts)]
    assert seeds[1] == seeds[0][::2] and seeds[2] == seeds[0][1::2]


def test_a_run_with_a_time_limit_lowers_its_number_of_updates(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "FIRST_TIMED", 1)
    monkeypatch.setattr(loop, "LAST_TIMED", 2)
    torch.manual_seed(0)
    config = TrainingConfig(updates=10_000, minutes=1e-3, rollouts=1, pairs=0, length=1, warmup=1)
    run = Trainer(config, pool, tmp_path, DPLModel())
    run.run(quiet=True)
    assert run.update == run.config.updates == 3


def lost(pool, config) -> Drawn:
    """A walk past the object's end whose remembered mask is so wrong that nothing of it is left."""
    (drawn,) = feed(pool, replace(config, updates=1, rollouts=2, pairs=0), 0)
    walk = next(one.episode for one in drawn if one.episode.annotated not in one.episode.steps)
    masks = walk.masks.clone()
    masks[walk.steps] = 0.0
    return Drawn(replace(walk, masks=masks, remembered=torch.zeros_like(walk.remembered)), 0)


def test_a_walk_without_anything_to_learn_from_does_not_stop_a_run(pool, tmp_path):
    config = TrainingConfig(updates=1, rollouts=2, pairs=0, length=2, warmup=1, seed=3)
    run = Trainer(config, pool, tmp_path, DPLModel())
    nothing = run.step([lost(pool, config)] * 2)
    assert nothing["loss"] == nothing["norm"] == 0.0 and "mask" not in nothing
    (drawn,) = feed(pool, config, 0)
    found = run.step([lost(pool, config), drawn[0]])
    assert np.isfinite(found["loss"]) and found["norm"] > 0.0 and found["mask"] > 0.0


def test_weights_that_an_update_does_not_ask_for_go_on_by_their_moments_in_a_resumed_run_too(pool, tmp_path):
    whole = trainer(pool, tmp_path)
    steps(whole, 1)
    whole.save()
    resumed = trainer(pool, tmp_path)
    assert resumed.resume()
    before = {name: value.clone() for name, value in whole.model.state_dict().items()}
    for run in (whole, resumed):
        run.step([lost(pool, run.config)])
    after = whole.model.state_dict()
    assert not torch.equal(after["decoder.output.weight"], before["decoder.output.weight"])
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, after[name]), name

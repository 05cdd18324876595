"""Episodes: second annotated slices, several and partial supports, looks, motion; and their loss on any device."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("scipy")

from scipy import ndimage

from DPLSegmentLib.model import DPLModel, ModelConfig
from DPLSegmentLib.motion import Motion
from DPLSegmentLib.synthetic import generate_anatomy, second_patient
from DPLSegmentLib.training.bodies import body_scan
from DPLSegmentLib.training.episodes import EngineConfig, sample_pair, sample_rollout
from DPLSegmentLib.training.looks import draw_look, render_slices
from DPLSegmentLib.training.objective import pair_terms, total_loss
from DPLSegmentLib.training.pool import TrainingPool, cut, pool_scan
from DPLSegmentLib.training.precision import mixed_precision, no_denormals
from DPLSegmentLib.training.rollouts import _start, rollout_terms
from DPLSegmentLib.training.views import part_of, slice_shifts

CPU = torch.device("cpu")
PLAIN = EngineConfig(second=0.0, far=0.0, several=0.0, partial=0.0, motion=0.0, thick=0.0)


@pytest.fixture(scope="module")
def pool() -> TrainingPool:
    anatomy = generate_anatomy(5, (16, 72, 72), (6.0, 5.0, 5.0))
    scans = [body_scan(body, 5, n) for n, body in enumerate((anatomy, second_patient(anatomy, 5)), start=1)]
    return TrainingPool([entry for scan in scans for entry in pool_scan(scan)], {"synthetic": 1.0})


@pytest.fixture(scope="module")
def model() -> DPLModel:
    torch.manual_seed(0)
    return DPLModel()


def drawn(sample, pool, engine, count, seed=0, **more):
    rng = np.random.default_rng(seed)
    found = []
    while len(found) < count:
        episode = sample(pool, rng, **more, engine=engine)
        if episode is not None:
            found.append(episode)
    return found


def test_a_second_annotated_slice_is_never_walked_over_and_shows_the_object(pool):
    episodes = drawn(sample_rollout, pool, replace(PLAIN, second=1.0), 30, length=4)
    second = [e for e in episodes if e.second is not None]
    assert len(second) > 10
    ahead = 0
    for e in second:
        assert e.second not in (e.annotated, *e.steps) and float(e.masks[e.second].sum()) > 0
        direction = 1 if e.steps[0] > e.previous else -1
        ahead += direction * (e.second - e.previous) > 0
    assert 0 < ahead < len(second)  # walks towards it, and away from it
    assert all(e.second is None for e in drawn(sample_rollout, pool, PLAIN, 20, length=4))


def test_a_wrong_memory_is_remembered_but_the_truth_is_kept(pool):
    episodes = drawn(sample_rollout, pool, replace(PLAIN, errors=1.0), 30, length=3)
    later = [e for e in episodes if e.previous != e.annotated]
    assert later and any(not torch.equal(e.remembered, e.masks[e.previous]) for e in later)
    assert all(torch.equal(e.remembered, e.masks[e.previous]) for e in episodes if e.previous == e.annotated)


def test_an_outline_is_the_same_further_out_on_every_slice_also_in_memory(pool):
    plain = drawn(sample_rollout, pool, replace(PLAIN, errors=0.0), 12, length=4)
    moved = drawn(sample_rollout, pool, replace(PLAIN, errors=0.0, outline=1.0), 12, length=4)
    assert all(torch.equal(e.remembered, e.masks[e.previous]) for e in moved)
    # The first is drawn alike; what its annotator draws further out is further out on all slices.
    one, other = plain[0], moved[0]
    assert torch.equal(one.images, other.images)
    signs = {float(torch.sign((b > 0.5).sum() - (a > 0.5).sum())) for a, b in zip(one.masks, other.masks, strict=True)}
    assert len(signs - {0.0}) == 1


def test_joined_objects_are_two_that_touch(pool):
    rng = np.random.default_rng(1)
    joined = 0
    for _ in range(40):
        target = pool.draw(rng)
        both = target.joined(rng)
        zs = list(range(target.count))
        one, two = target.masks(zs), both.masks(zs)
        assert bool((one <= two).all())
        if both is target:
            continue
        joined += 1
        first, last = both.slices
        present = np.flatnonzero(two.any((1, 2)))
        assert both.other is not None and (first, last) == (present[0], present[-1])
        assert both.areas(zs).tolist() == two.sum((1, 2)).tolist()
        assert bool((ndimage.binary_dilation(one) & two & ~one).any())
    assert joined > 10


def test_a_whole_walk_goes_to_the_end_and_beyond_and_is_learned_from_in_part(pool):
    episodes = drawn(sample_rollout, pool, replace(PLAIN, approach=1.0), 30, length=3)
    for e in episodes:
        assert e.previous == e.annotated and e.learned == 3
        assert 0 <= e.approach <= max(0, len(e.steps) - 3)
        assert float(e.masks[e.steps[-1]].sum()) == 0 or e.steps[-1] in (0, len(e.images) - 1)
    assert max(len(e.steps) for e in episodes) > 5 and max(e.approach for e in episodes) > 1


def test_steps_before_a_walk_is_learned_from_count_only_where_it_has_gone_wrong(pool, model):
    (episode,) = [
        e for e in drawn(sample_rollout, pool, replace(PLAIN, approach=1.0), 30, length=2) if len(e.steps) > 6
    ][:1]
    walked = replace(episode, approach=4)

    def steps_learned(presence_bias):
        changed = copy.deepcopy(model)
        with torch.no_grad():
            changed.decoder.presence[-1].bias.fill_(presence_bias)
        seen = []
        changed.decoder.register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
        rollout_terms(changed, [walked], [torch.Generator().manual_seed(0)])
        return seen

    wrong = steps_learned(-50.0)  # gone, says the first step, and it is not
    assert wrong == [False, True, True]  # done again, and learned from
    right = steps_learned(50.0)
    assert right.count(True) <= 2 and right.index(True) > 0


def test_a_gapless_walk_has_every_slice_since_the_annotation(pool):
    gapless, others = (
        drawn(sample_rollout, pool, replace(PLAIN, past_end=1.0, gapless=share), 40, length=2) for share in (1.0, 0.0)
    )
    assert max(abs(e.previous - e.annotated) for e in gapless) > 3
    assert max(abs(e.previous - e.annotated) for e in others) <= 3


def test_a_walk_that_follows_knows_how_its_object_has_moved_since_the_annotation(pool):
    model, moves = DPLModel(ModelConfig(follows=True)), 0
    for episode in drawn(sample_rollout, pool, replace(PLAIN, past_end=1.0, gapless=1.0), 30, length=2):
        rows, columns = (size // 4 for size in episode.images.shape[1:])
        walkers = [
            _start(kind, episode, torch.rand(len(episode.images), 64, rows, columns), torch.Generator().manual_seed(0))
            for kind in (model, DPLModel())
        ]
        gap = abs(episode.previous - episode.annotated)
        truth, still = episode.masks[episode.annotated], walkers[1].request(0)
        motion = Motion().seen(truth, episode.remembered, gap) if gap else Motion()
        assert walkers[0].motion == motion and walkers[1].motion is None and still.moved == (0, 0)
        request = walkers[0].request(0)
        assert request.window == still.window.moved_by(*request.moved) and request.growth == motion.followed_growth
        moves += request.moved != (0, 0)
        walkers[0].accept(episode.steps[0], still.window, torch.full((1, 80, 80), 4.0))
        assert walkers[0].motion != motion
    assert moves > 3


def test_pairs_may_have_several_supports_and_show_a_part(pool):
    several = drawn(sample_pair, pool, replace(PLAIN, several=1.0), 15)
    assert {len(e.support) for e in several} >= {1, 2}
    assert all(e.support.shape[:2] == (len(e.support_mask), 3) for e in several)
    partial = drawn(sample_pair, pool, replace(PLAIN, partial=1.0), 15)
    shares = [float(e.support_mask.sum() / e.support_whole.sum()) for e in partial]
    assert min(shares) < 0.8 and max(shares) <= 1.0
    assert all(bool((e.support_mask <= e.support_whole).all()) for e in partial)
    plain = drawn(sample_pair, pool, PLAIN, 10)
    assert all(len(e.support) == 1 and torch.equal(e.support_mask, e.support_whole) for e in plain)


def test_a_part_is_cut_off_by_a_line():
    mask = torch.zeros(2, 64, 64)
    mask[:, 16:48, 16:48] = 1
    shares = [float(part_of(mask, np.random.default_rng(seed)).mean() / mask.mean()) for seed in range(12)]
    assert 0.3 < min(shares) < 0.6 < max(shares) < 0.95


def test_looks_keep_the_anatomy_and_change_everything_else():
    anatomy = generate_anatomy(3, (6, 64, 64), (8.0, 6.0, 6.0))
    scan = body_scan(anatomy, 3)
    counts = np.bincount(scan.regions.ravel())
    labels = scan.regions[2:5, None]
    looks = [draw_look(scan.tissues, counts, np.random.default_rng(n)) for n in range(8)]
    images = [render_slices(labels, look, scan.spacing, np.random.default_rng(0)) for look in looks]
    assert {look.contrast for look in looks} >= {"ct", "t2"}
    for image in images:
        assert image.shape == (3, 64, 64) and image.dtype == np.float32
        assert image.min() >= 0 and image.max() <= 1 and image.std() > 0.05
    correlations = np.corrcoef([image.ravel() for image in images])
    assert correlations.min() < 0.9
    again = render_slices(labels, looks[0], scan.spacing, np.random.default_rng(0))
    assert np.array_equal(again, images[0])


def test_thick_slices_mix_what_they_contain():
    labels = np.zeros((1, 2, 32, 32), np.uint8)
    labels[0, 0, 8:24, 8:24] = 1
    labels[0, 1, 8:24, 8:24] = 2
    look = draw_look(("organ", "organ"), np.array([1000, 500, 500]), np.random.default_rng(1))
    look = replace(look, texture=look.texture * 0, noise=0.0)
    both = render_slices(labels, look, (5.0, 1.0, 1.0), np.random.default_rng(0))[0, 16, 16]
    ends = [
        render_slices(labels[:, n : n + 1], look, (5.0, 1.0, 1.0), np.random.default_rng(0))[0, 16, 16] for n in (0, 1)
    ]
    assert min(ends) <= both <= max(ends)


def test_moved_slices_take_their_masks_along():
    array = np.zeros((2, 8, 8), int)
    array[:, 3, 4] = 1
    moved = cut(array, [0, 1], (1, 7, 1, 7), np.array([[0, 0], [1, -2]]))
    assert np.argwhere(moved).tolist() == [[0, 2, 3], [1, 3, 1]]
    assert slice_shifts(np.random.default_rng(0), 5, 0.0) is None
    assert slice_shifts(np.random.default_rng(0), 5, 1.0).shape == (5, 2)


def test_walking_together_gives_the_losses_of_walking_alone(pool, model):
    with_second = drawn(sample_rollout, pool, replace(PLAIN, second=1.0), 8, length=3)
    episodes = [e for e in with_second if e.second is not None][:2] + drawn(sample_rollout, pool, PLAIN, 2, length=3)
    assert [e.second is None for e in episodes] == [False, False, True, True]

    def noise():
        return [torch.Generator().manual_seed(n) for n in range(4)]

    together = rollout_terms(model, episodes, noise())
    alone = [rollout_terms(model, [e], [g])[0] for e, g in zip(episodes, noise(), strict=True)]
    for one, other in zip(together, alone, strict=True):
        assert one.keys() == other.keys() and {"mask", "matched", "presence"} <= one.keys()
        for name in one:
            assert float(one[name].detach()) == pytest.approx(float(other[name].detach()), rel=1e-3, abs=1e-5), name


def test_the_second_annotated_slice_is_remembered_as_such(pool, model):
    (episode,) = [
        e for e in drawn(sample_rollout, pool, replace(PLAIN, second=1.0), 6, length=2) if e.second is not None
    ][:1]
    model.zero_grad()
    total_loss(rollout_terms(model, [episode], [torch.Generator().manual_seed(0)])[0]).backward()
    assert float(model.matcher.slot_bias.grad[1].abs()) > 0  # the bias of KIND_SECOND_ANNOTATED


def test_the_encoder_learns_from_a_soft_look_up_and_the_diffusion_from_the_one_of_inference(pool, model):
    (episode,) = drawn(sample_pair, pool, PLAIN, 1)

    def reached(name):
        terms = pair_terms(model, episode, torch.Generator().manual_seed(0))
        parameters = {part: list(getattr(model, part).parameters()) for part in ("encoder", "denoiser", "cross")}
        found = {}
        for part, own in parameters.items():
            gradients = torch.autograd.grad(terms[name], own, retain_graph=True, allow_unused=True)
            found[part] = any(g is not None and float(g.abs().max()) > 0 for g in gradients)
        return found, float(terms[name].detach())

    where, soft = reached("cross")
    assert where == {"encoder": True, "denoiser": False, "cross": False}
    assert reached("fused")[0]["denoiser"]
    sharp = model.cross.log_temperature.detach()
    kept = sharp.clone()
    try:
        sharp.fill_(0.0)  # inference as vague as can be: what teaches the encoder does not change
        assert reached("cross")[1] == soft
    finally:
        sharp.copy_(kept)


def test_features_without_a_centre_learn_from_the_variants_and_the_look_up_learns_its_temperature(pool, model):
    (pair,) = drawn(sample_pair, pool, PLAIN, 1)
    (walk,) = drawn(sample_rollout, pool, replace(PLAIN, past_end=0.0), 1, length=2)

    def reached(terms, name):
        parameters = [*model.encoder.lateral.parameters(), *model.cross.parameters()]
        gradients = torch.autograd.grad(terms[name], parameters, retain_graph=True, allow_unused=True)
        return [g is not None and float(g.abs().max()) > 0 for g in gradients]

    for settled in (True, False):
        noise = torch.Generator().manual_seed(0)
        found = pair_terms(model, pair, noise, settled=settled)
        walked = rollout_terms(model, [walk], [noise], settled=settled)[0]
        assert ("fused" in found) == ("denoising" in found) == ("denoising" in walked) == settled
        for terms in (found, walked):
            assert any(reached(terms, "diffusion")) != settled
        assert all(reached(found, "cross")[-2:]) != settled


def test_every_tensor_of_the_loss_is_made_where_the_episode_is(pool, model):
    """With another default device, whatever forgets to name its device meets tensors of the episode's and fails."""
    walks = drawn(sample_rollout, pool, replace(PLAIN, second=0.5), 2, length=2)
    pairs = drawn(sample_pair, pool, replace(PLAIN, several=1.0), 2)
    with torch.device("meta"):
        terms = rollout_terms(model, walks, [torch.Generator(CPU).manual_seed(n) for n in range(2)])
        terms += [pair_terms(model, pair, torch.Generator(CPU).manual_seed(0)) for pair in pairs]
    losses = [float(total_loss(each).detach()) for each in terms]
    assert np.isfinite(losses).all()


def test_mixed_precision_is_near_and_leaves_no_trace(pool, model):
    (episode,) = drawn(sample_rollout, pool, PLAIN, 1, length=2)

    def loss() -> float:
        return float(total_loss(rollout_terms(model, [episode], [torch.Generator().manual_seed(0)])[0]).detach())

    plain = loss()
    with mixed_precision(model, CPU, True):
        mixed = loss()
    assert mixed != plain and mixed == pytest.approx(plain, rel=0.1)
    assert loss() == plain


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot take denormal numbers for zero")
def test_denormal_numbers_are_zero_while_it_lasts_and_not_afterwards():
    tiny = torch.tensor([1e-38])
    with no_denormals():
        assert float(tiny * 0.1) == 0.0
        with no_denormals():
            pass
        assert float(tiny * 0.1) == 0.0
    assert float(tiny * 0.1) > 0.0
    with pytest.raises(ValueError), no_denormals():
        raise ValueError
    assert float(tiny * 0.1) > 0.0

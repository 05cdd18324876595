"""The methods an evaluation compares: prototypes on features, plugins, settings of the enhancement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import disc
from hypothesis import given
from hypothesis import strategies as st
from scans import BALL, TUBE, phantom

from DPLSegmentLib import InputError
from DPLSegmentLib.enhancement import EnhancementConfig
from DPLSegmentLib.evaluation.methods import Prediction, Workshop, changed
from DPLSegmentLib.evaluation.plugins import load_plugins, resolve
from DPLSegmentLib.evaluation.protocols import PROTOCOLS, make_episode
from DPLSegmentLib.evaluation.prototype_methods import METHODS, Shot
from DPLSegmentLib.evaluation.scans import Scan
from DPLSegmentLib.evaluation.scoring import score

PLUGIN = """
def scores(image, spacing, annotation):
    for label, slices in annotation.items():
        (index, mask), = slices.items()
        yield label, mask[None].repeat(len(image), 0).astype("float32")
"""


def scan(name: str, **options) -> Scan:
    volume, truth = phantom((6, 32, 32), (8.0, 6.0, 6.0), **options)
    return Scan(name, volume, truth, {BALL: "ball", TUBE: "tube"})


def features(mask: torch.Tensor, seed: int, contrast: float = 1.0) -> torch.Tensor:
    """(C, h, w): one direction inside the mask, another outside, noise everywhere."""
    generator = torch.Generator().manual_seed(seed)
    inside, outside = torch.eye(16)[0], torch.eye(16)[1]
    clean = torch.where(mask[None] > 0.5, inside[:, None, None], outside[:, None, None])
    return clean * contrast + 0.1 * torch.randn(clean.shape, generator=generator)


def test_errors_are_ranked_by_the_uncertainty_that_is_shown_and_beside_it_by_the_labels_own():
    one = scan("one")
    episode = make_episode(PROTOCOLS["S1"], one, one, 1)
    masks = {label: np.roll(one.truth == label, 2, axis=2) for label in (BALL, TUBE)}
    wrong = {label: masks[label] != (one.truth == label) for label in masks}
    shown = np.maximum(wrong[BALL], wrong[TUBE]).astype(np.float32)
    facts = dict(method="m", seed=0, fold="all", seconds=0.0, tolerance=None)
    rows = score(episode, Prediction(masks, shown, about=lambda label: 1.0 - wrong[label]), **facts)
    assert all(row.auroc > 0.95 and row.auroc_alone == 0.0 for row in rows)
    rows = score(episode, Prediction(masks, shown), **facts)
    assert all(row.auroc > 0.95 and np.isnan(row.auroc_alone) for row in rows)


@pytest.mark.parametrize("name", METHODS)
def test_prototype_methods_find_what_looks_like_the_support(name):
    support, query = disc(24, (10, 10), 6), disc(24, (14, 13), 4)
    shots = [Shot(features(support, 0), support)]
    logits = METHODS[name](torch.stack([features(query, 1), features(query * 0, 2)]), shots)
    assert logits.shape == (2, 24, 24)
    found = logits > 0
    overlap = 2 * (found[0] & (query > 0.5)).sum() / (found[0].sum() + (query > 0.5).sum())
    assert overlap > 0.9 and found[1].float().mean() < 0.02


@given(st.floats(0.5, 4.0))
def test_prototype_methods_do_not_depend_on_the_scale_of_features(gain):
    mask = disc(16, (8, 8), 4)
    other = features(mask, 1)[None]
    for method in METHODS.values():
        plain = method(other, [Shot(features(mask, 0), mask)])
        scaled = method(other * gain, [Shot(features(mask, 0) * gain, mask)])
        assert torch.allclose(plain, scaled, atol=1e-3)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_built_in_method_segments_every_protocol(protocol):
    workshop = Workshop(["dpl", *METHODS], None, "cpu", {}, None, 6)
    support = scan("a")
    query = support if protocol == "S1" else scan("b", shift=(0.1, 0.0, 0.05), seed=1)
    episode = make_episode(PROTOCOLS[protocol], support, query, PROTOCOLS[protocol].annotated)
    for method in workshop.methods.values():
        found = method.segment(episode, 0)
        assert set(found.masks) == {BALL, TUBE} and found.uncertainty.shape == query.truth.shape
        assert all(mask.shape == query.truth.shape and mask.dtype == bool for mask in found.masks.values())
        assert not (found.masks[BALL] & found.masks[TUBE]).any()


def test_a_plugin_works_inside_one_scan_and_conflicts_go_to_the_nearest_annotation(tmp_path):
    (tmp_path / "__init__.py").write_text('METHODS = {"copy": "copying", "broken": "absent"}\n')
    (tmp_path / "copying.py").write_text(PLUGIN)
    workshop = Workshop(["copy"], None, "cpu", {}, tmp_path, 6)
    assert workshop.weights is None and workshop.methods["copy"].same_scan_only
    one = scan("a")
    found = workshop.methods["copy"].segment(make_episode(PROTOCOLS["S1"], one, one, 1), 0)
    assert found.uncertainty is None and (found.masks[BALL].any(axis=(1, 2))).all()
    assert found.alone[TUBE].sum() >= found.masks[TUBE].sum()


def test_what_cannot_be_a_plugin_is_named(tmp_path):
    with pytest.raises(InputError, match="no __init__.py"):
        load_plugins(tmp_path)
    start = tmp_path / "__init__.py"
    start.write_text("")
    with pytest.raises(InputError, match="no table METHODS"):
        load_plugins(tmp_path)
    start.write_text("raise RuntimeError('first\\nsecond')")
    with pytest.raises(InputError, match=r"cannot be imported \(first\)"):
        load_plugins(tmp_path)
    start.write_text('METHODS = {"far": "far", "bare": "bare", "torn": "torn"}\n')
    (tmp_path / "far.py").write_text("import surely_not_installed\n")
    (tmp_path / "bare.py").write_text("scores = 3\n")
    (tmp_path / "torn.py").write_text("1 / 0\n")
    known = load_plugins(tmp_path)
    for name, message in (("far", "surely_not_installed"), ("bare", "scores"), ("torn", "division")):
        with pytest.raises(InputError, match=message):
            known[name].ready()
    with pytest.raises(InputError, match="no method 'near'; choose from dpl, .*far"):
        Workshop(["near"], None, "cpu", {}, tmp_path, 6)


def test_conflicts_go_to_the_label_annotated_nearest_and_then_to_the_higher_score():
    whole = np.ones((5, 2, 2), np.float32)
    drawn = {1: {0: np.ones((2, 2), bool)}, 2: {4: np.ones((2, 2), bool)}}
    labels = resolve((5, 2, 2), drawn, [(1, whole * 0.9), (2, whole * 0.8)])
    assert labels[:, 0, 0].tolist() == [1, 1, 1, 2, 2]
    assert resolve((5, 2, 2), drawn, [(1, whole * 0.4), (2, whole * 0.8)]).min() == 2


def test_the_baselines_in_this_checkout_are_plugins():
    folder = Path(__file__).resolve().parents[1] / "Benchmarks" / "baselines"
    known = load_plugins(folder)
    assert set(known) == {"growcut", "flow", "knn", "litemedsam"}
    assert all((folder / f"{plugin.source}.py").is_file() for plugin in known.values())


def test_settings_of_the_enhancement_are_read_as_what_they_are():
    config = changed(EnhancementConfig(), {"alpha": "0.6", "variants": "0", "clip": "false"})
    assert (config.alpha, config.variants, config.clip) == (0.6, 0, False)
    for name, text, message in (
        ("alpha", "0.2", r"\[0.5, 1\]"),
        ("alpha", "much", "give a number"),
        ("clip", "maybe", "true or false"),
        ("variants", "65", "between 0 and 64"),
        ("colour", "1", "no setting 'colour'"),
    ):
        with pytest.raises(InputError, match=message):
            changed(EnhancementConfig(), {name: text})

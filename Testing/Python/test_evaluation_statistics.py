"""Intervals that resample scans, and the sign-flip test."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from DPLSegmentLib.evaluation.statistics import bootstrap_interval, sign_flip_test, weighted_mean, weighted_median

numbers = st.lists(st.floats(-5, 5), min_size=1, max_size=12)


@given(numbers, st.data())
def test_whole_weights_count_values_that_often(values, data):
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values)))
    repeated = np.repeat(values, weights)
    for weighted, plain in ((weighted_mean, np.mean), (weighted_median, np.median)):
        found = weighted(np.array(values), np.array([weights]))[0]
        if len(repeated) == 0:
            assert np.isnan(found)
        else:
            assert found == pytest.approx(plain(repeated), abs=1e-12)


def test_a_median_bears_infinite_values():
    every = np.ones((1, 3), int)
    assert weighted_median(np.array([1.0, np.inf, 2.0]), every)[0] == 2.0
    assert weighted_median(np.array([1.0, np.inf, np.inf]), every)[0] == np.inf


@given(st.lists(st.floats(0, 1), min_size=2, max_size=10), st.floats(-3, 3), st.floats(0.1, 4))
def test_the_interval_holds_its_values_and_moves_with_them(values, shift, scale):
    scans = range(len(values))
    low, high = bootstrap_interval(values, scans, scans, replicates=200)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    moved = bootstrap_interval(np.array(values) * scale + shift, scans, scans, replicates=200)
    assert moved == pytest.approx((low * scale + shift, high * scale + shift), abs=1e-9)


def test_one_query_has_no_interval_and_equal_scores_have_none_to_speak_of():
    assert np.isnan(bootstrap_interval([0.5, 0.6], ["a", "a"], ["b", "c"])).all()
    assert bootstrap_interval([0.7] * 4, [1, 2, 3, 4], [1, 2, 3, 4]) == (0.7, 0.7)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).random(8)
    assert bootstrap_interval(values, range(8), range(8)) == bootstrap_interval(values, range(8), range(8))


def test_scores_that_share_a_query_do_not_pass_for_independent_ones():
    generator = np.random.default_rng(1)
    pairs = [(one, other) for one in range(10) for other in range(10) if one != other]
    level = generator.normal(0, 1, 10)
    values = [level[query] for _, query in pairs]
    supports, queries = zip(*pairs, strict=True)
    wide = np.diff(bootstrap_interval(values, queries, supports))
    narrow = np.diff(bootstrap_interval(values, range(len(pairs)), range(len(pairs))))
    assert wide > 2 * narrow


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(2)
    pairs = [(one, other) for one in range(12) for other in range(12) if one != other]
    supports, queries = (np.array(part) for part in zip(*pairs, strict=True))
    covered = 0
    for _ in range(150):
        values = generator.normal(0, 1, 12)[queries] + generator.normal(0, 1, 12)[supports]
        low, high = bootstrap_interval(values + generator.normal(0, 0.3, len(pairs)), queries, supports, replicates=400)
        covered += low <= 0 <= high
    assert 0.85 <= covered / 150 <= 1.0


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=7))
def test_the_sign_flip_test_is_exact_for_few_differences(differences):
    observed = abs(sum(differences))
    signs = itertools.product((1, -1), repeat=len(differences))
    sums = [abs(sum(sign * value for sign, value in zip(pattern, differences, strict=True))) for pattern in signs]
    assert sign_flip_test(differences) == pytest.approx(np.mean([total >= observed for total in sums]))
    assert sign_flip_test(differences) == pytest.approx(sign_flip_test([-value for value in differences]))


def test_many_differences_are_tested_with_random_signs():
    generator = np.random.default_rng(3)
    assert sign_flip_test(generator.normal(1.0, 0.5, 30)) < 0.001
    balanced = [1.0, -1.0] * 15
    assert sign_flip_test(balanced) == pytest.approx(1.0)
    assert np.isnan(sign_flip_test([]))

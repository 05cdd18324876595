from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Benchmarks"))
from reliability import EDGES, pairs_of_scans, reliability


def test_probabilities_that_come_true_are_found_to_agree():
    rng = np.random.default_rng(3)
    given = rng.random(200_000)
    table = reliability(iter([(given, rng.random(given.size) < given)]))
    assert table[:, 0] == pytest.approx(np.diff(EDGES), abs=5e-3)
    assert table[:, 1] == pytest.approx(table[:, 2], abs=0.01)


def test_doubt_that_is_twice_too_large_is_seen():
    given = np.full(1000, 0.36)
    table = reliability(iter([(given, np.arange(1000) < 180)]))
    row = table[np.flatnonzero(table[:, 0])]
    assert row == pytest.approx(np.array([[1.0, 0.36, 0.18]]))
    assert np.isnan(table[table[:, 0] == 0, 1:]).all()


def test_every_label_counts_as_much_as_another():
    large, small = (np.full(10_000, 0.02), np.zeros(10_000, bool)), (np.full(10, 0.45), np.ones(10, bool))
    table = reliability(iter([large, small]))
    assert table[0, 0] == pytest.approx(0.5) and table[5] == pytest.approx([0.5, 0.45, 1.0])


def test_pairs_stay_within_their_fold():
    names = [str(n) for n in range(7)]
    pairs = pairs_of_scans(names, "R1")
    assert pairs == [("0", "1"), ("1", "2"), ("2", "3"), ("3", "4"), ("4", "0"), ("5", "6"), ("6", "5")]
    assert pairs_of_scans(names, "S1") == [(name, name) for name in names]

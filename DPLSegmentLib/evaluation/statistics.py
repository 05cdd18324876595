"""Intervals and tests for scores that share scans: every score belongs to a query and to a support.

Scores of one query resemble each other, and so do those from one support; counting each as independent would make the
intervals far too narrow. So scans are resampled, not scores.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

REPLICATES = 2000
LEVEL = 0.95
_EXACT = 14  # up to so many differences all sign patterns are tried
_DRAWS = 20_000

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of ``values`` (N,) under each row of ``weights`` (B, N); NaN where a row is zero."""
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights @ values) / total


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median of ``values`` (N,), infinite ones included, under each row of whole ``weights`` (B, N); as numpy's, the
    middle of the two central values for an even count. NaN where a row is zero."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    covered = np.cumsum(weights[:, order], axis=1)
    total = covered[:, -1:]
    low = ordered[np.argmax(covered * 2 >= total, axis=1)]
    high = ordered[np.argmax(covered * 2 > total, axis=1)]
    middle = np.where(low == high, low, 0.5 * low + 0.5 * high)
    return np.where(total[:, 0] > 0, middle, np.nan)


def bootstrap_interval(
    values: Sequence[float],
    queries: Sequence[Hashable],
    supports: Sequence[Hashable],
    statistic: Statistic = weighted_mean,
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a statistic over scores, by the pigeonhole bootstrap (Owen, 2007).

    Queries and supports are resampled with replacement, independently of each other; a score counts as often as its
    query was drawn times as often as its support was. Where every query has a support of its own (the same scan), only
    queries are resampled. The interval is a little wide rather than too narrow.

    Args:
        values: one score each; may be infinite for a median, must not be NaN.
        queries, supports: which scans each score belongs to.

    Returns:
        Lower and upper end; NaN where there is only one query.
    """
    values = np.asarray(values, float)
    query_of, query_count = _codes(queries)
    if query_count < 2:
        return float("nan"), float("nan")
    support_of, support_count = _codes(supports)
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(query_count, np.full(query_count, 1 / query_count), replicates)[:, query_of]
    paired = len(set(zip(query_of.tolist(), support_of.tolist(), strict=True))) == query_count == support_count
    if not paired and support_count > 1:
        drawn = generator.multinomial(support_count, np.full(support_count, 1 / support_count), replicates)
        weights = weights * drawn[:, support_of]
    found = statistic(values, weights)
    found = found[~np.isnan(found)]
    if len(found) == 0:
        return float("nan"), float("nan")
    # Without interpolation, so that infinite scores stay what they are.
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return float(low), float(high)


def sign_flip_test(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p-value of independent paired differences, under the hypothesis that their signs are arbitrary.

    Exact for up to ``_EXACT`` differences, with random signs (and the correction that counts the observed ones) above.
    NaN for none.
    """
    differences = np.asarray(differences, float)
    count = len(differences)
    if count == 0:
        return float("nan")
    observed = abs(differences.sum()) * (1 - 1e-12)
    if count <= _EXACT:
        patterns = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        sums = np.abs((1 - 2 * patterns) @ differences)
        return float((sums >= observed - 1e-15).mean())
    signs = np.random.default_rng(seed).integers(0, 2, (_DRAWS, count)) * 2 - 1
    sums = np.abs(signs @ differences)
    return float((1 + (sums >= observed - 1e-15).sum()) / (_DRAWS + 1))


def _codes(names: Sequence[Hashable]) -> tuple[np.ndarray, int]:
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([order[name] for name in names], int), len(order)

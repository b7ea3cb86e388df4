"""Percentiles and confidence bounds."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verification.statistics import by_chance, failure_bounds, percentile, percentile_of_counts, percentiles


def test_percentiles_are_measured_values() -> None:
    found = percentiles([float(n) for n in range(20, 0, -1)])
    assert (found.count, found.p50, found.p95, found.p99, found.maximum) == (20, 10, 19, 20, 20)
    with pytest.raises(ValueError, match="at least one value"):
        percentiles([])


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (1.0, "1 in 1 by chance"),
        (0.031, "1 in 30 by chance"),
        (1e-6, "1 in 1,000,000 by chance"),
        (2.4e-5, "1 in 40,000 by chance"),
        (0.0, "less than 1 in 1,000,000,000 by chance"),
    ],
)
def test_probability_in_words(p: float, words: str) -> None:
    assert by_chance(p) == words


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1), st.floats(0, 100))
def test_percentile_of_counts_equals_percentile_of_values(values: list[int], share: float) -> None:
    found = percentile_of_counts(Counter(values), share)
    assert found == percentile(sorted(values), share)
    assert sum(value <= found for value in values) * 100 >= share * len(values) - 0.01


@pytest.mark.parametrize(
    ("failures", "n", "confidence", "low", "high"),
    # The closed forms at the edges; and binom.test(5, 20) of R, as in the table of Brown, Cai and DasGupta (2001).
    [(0, 10, 0.95, 0.0, 0.30850), (10, 10, 0.95, 0.69150, 1.0), (5, 20, 0.95, 0.08657, 0.49105), (0, 0, 0.99, 0, 1)],
)
def test_clopper_pearson(failures: int, n: int, confidence: float, low: float, high: float) -> None:
    bounds = failure_bounds(failures, n, confidence)
    assert bounds.low == pytest.approx(low, abs=2e-5)
    assert bounds.high == pytest.approx(high, abs=2e-5)


@settings(deadline=None)
@given(st.integers(1, 5000), st.data())
def test_bounds_contain_the_ratio(n: int, data: st.DataObject) -> None:
    failures = data.draw(st.integers(0, n))
    bounds = failure_bounds(failures, n)
    assert 0 <= bounds.low <= failures / n <= bounds.high <= 1
    assert failure_bounds(failures, n, 0.9).low >= bounds.low


def test_more_failures_than_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="make no sense"):
        failure_bounds(3, 2)

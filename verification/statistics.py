"""Percentiles, and confidence bounds of a failure ratio. scipy is imported only if the bounds are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_RAREST = 1e-9


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of ``count`` values, in the values' own unit."""

    count: int
    p50: float
    p95: float
    p99: float
    maximum: float


def percentiles(values: Sequence[float]) -> Percentiles:
    """Return p50, p95, p99 and the maximum, by ``percentile``. Raises ValueError if there are no values."""
    ordered = sorted(values)
    p50, p95, p99 = (percentile(ordered, share) for share in (50, 95, 99))
    return Percentiles(len(ordered), p50, p95, p99, ordered[-1])


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of ascending values: the smallest one that at least ``share`` percent do not exceed.

    It is always a measured value, never an interpolation between two (Hyndman and Fan 1996, definition 1). Raises
    ValueError if there are no values, or if ``share`` lies outside of 0 to 100.
    """
    if not ordered:
        raise ValueError("a percentile needs at least one value, got none")
    return ordered[_rank(len(ordered), share) - 1]


def percentile_of_counts(counts: Mapping[float, int], share: float) -> float:
    """Return the nearest-rank percentile of a histogram (value to count). Raises ValueError as ``percentile`` does."""
    total = sum(counts.values())
    if total <= 0:
        raise ValueError("a percentile needs at least one value, got none")
    rank = _rank(total, share)
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= rank:
            return value
    raise AssertionError("the rank lies within the total")


def by_chance(p: float) -> str:
    """Return a probability as people say it: ``1 in 3,000 by chance``, with one significant digit."""
    if p <= _RAREST:
        return f"less than 1 in {round(1 / _RAREST):,} by chance"
    return f"1 in {round(float(f'{1 / p:.1g}')):,} by chance"


def _rank(count: int, share: float) -> int:
    if not 0 <= share <= 100:
        raise ValueError(f"a percentile lies in 0 to 100, got {share}")
    # In thousandths of a percent: 0.95 * 20 is 19.000000000000004 in floating point, which would select the next rank.
    return max(1, -(-count * round(share * 1000) // 100_000))


@dataclass(frozen=True)
class Bounds:
    """A ratio and its two confidence bounds; each in 0 to 1."""

    ratio: float
    low: float
    high: float


def failure_bounds(failures: int, n: int, confidence: float = 0.99) -> Bounds:
    """Return the Clopper-Pearson ("exact") interval of a failure ratio: two-sided, each tail holds half of ``1 - confidence``.

    Clopper and Pearson, Biometrika 26 (1934) 404. Its coverage is never below ``confidence``. For a one-sided bound at
    99 % pass 0.98. If ``n`` is 0, nothing is known and the bounds are 0 to 1. Raises ValueError unless 0 <= failures <=
    n and 0 < confidence < 1.
    """
    if not 0 <= failures <= n or not 0 < confidence < 1:
        raise ValueError(f"{failures} failures of {n} at confidence {confidence} make no sense")
    if n == 0:
        return Bounds(0.0, 0.0, 1.0)
    from scipy.special import (
        betaincinv,
    )  # imported here: it takes a sixth of a second, and only callers that count failures need it

    tail = (1 - confidence) / 2
    low = 0.0 if failures == 0 else float(betaincinv(failures, n - failures + 1, tail))
    high = 1.0 if failures == n else float(betaincinv(failures + 1, n - failures, 1 - tail))
    return Bounds(failures / n, low, high)

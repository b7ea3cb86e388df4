"""Percentiles, and how sure one can be of a failure ratio; scipy is imported only where it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Percentiles:
    """Of ``count`` values, in their own unit."""

    count: int
    p50: float
    p95: float
    p99: float
    maximum: float


def percentiles(values: Sequence[float]) -> Percentiles:
    """p50, p95, p99 by ``percentile``. Raises ValueError where there is no value."""
    ordered = sorted(values)
    p50, p95, p99 = (percentile(ordered, share) for share in (50, 95, 99))
    return Percentiles(len(ordered), p50, p95, p99, ordered[-1])


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of ascending values: the smallest one that ``share`` percent of them do not exceed.

    It is always a value that was measured, never an interpolation between two (Hyndman and Fan 1996, definition 1).
    Raises ValueError where there is no value, or ``share`` lies outside of 0 to 100.
    """
    if not ordered:
        raise ValueError("no values: there is no percentile of nothing")
    return ordered[_rank(len(ordered), share) - 1]


def percentile_of_counts(counts: Mapping[float, int], share: float) -> float:
    """The same, of a histogram: value to how often. Raises ValueError as ``percentile`` does."""
    total = sum(counts.values())
    if total <= 0:
        raise ValueError("no values: there is no percentile of nothing")
    rank = _rank(total, share)
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= rank:
            return value
    raise AssertionError("the rank lies within the total")


def _rank(count: int, share: float) -> int:
    if not 0 <= share <= 100:
        raise ValueError(f"a percentile lies in 0 to 100, got {share}")
    # In whole thousandths of a percent: 0.95 * 20 is 19.000000000000004 in floating point, and the next rank.
    return max(1, -(-count * round(share * 1000) // 100_000))


@dataclass(frozen=True)
class Bounds:
    """A ratio and the two bounds between which it lies with the asked confidence; each in 0 to 1."""

    ratio: float
    low: float
    high: float


def failure_bounds(failures: int, n: int, confidence: float = 0.99) -> Bounds:
    """The Clopper-Pearson ("exact") interval of a failure ratio: two-sided, each tail holds half of ``1 - confidence``.

    Clopper and Pearson, Biometrika 26 (1934) 404. It never covers less than ``confidence`` says. For a one-sided bound at 99 %
    ask for 0.98. Nothing asked is nothing known: ``n`` of 0 gives 0 to 1. Raises ValueError where the numbers make no sense.
    """
    if not 0 <= failures <= n or not 0 < confidence < 1:
        raise ValueError(f"{failures} failures of {n} at confidence {confidence} make no sense")
    if n == 0:
        return Bounds(0.0, 0.0, 1.0)
    from scipy.special import betaincinv  # a sixth of a second, which only who counts failures pays

    tail = (1 - confidence) / 2
    low = 0.0 if failures == 0 else float(betaincinv(failures, n - failures + 1, tail))
    high = 1.0 if failures == n else float(betaincinv(failures + 1, n - failures, 1 - tail))
    return Bounds(failures / n, low, high)

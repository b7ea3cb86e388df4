"""The measured answer times as series for a report's picture."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import median
from typing import Any

from verification.latency.judge import SHARES
from verification.latency.plan import CANDIDATE, LIVE
from verification.latency.repeating import LatencyResult
from verification.statistics import percentile

QUANTILES = (5, 25, 50, 75, 95, 99)
# The normal distribution's quantile of a two-sided interval of 95 %.
_Z = 1.96


def series(result: LatencyResult) -> dict[str, Any]:
    """Return the quantiles (ms) of each operation and kind of connection by colour, and how much slower the candidate is.

    ``ratio`` is the typical answer's time as a multiple of live's; ``low`` and ``high`` are the bounds of its 95 %
    confidence interval. They are left out where nothing was compared.
    """
    rows = []
    for name, operation in result.operations.items():
        for (other, kind), times in result.last(name).times.items():
            if other == name and times.get(CANDIDATE):
                row: dict[str, Any] = {"operation": f"{operation.method} {operation.path}, {kind}"}
                row |= {
                    word: _quantiles(times[colour])
                    for word, colour in (("candidate", CANDIDATE), ("live", LIVE))
                    if times.get(colour)
                }
                if times.get(LIVE):
                    low, high = interval(times[CANDIDATE], times[LIVE])
                    row |= {"ratio": round(result.shift((name, kind)).ratio, 3), "low": round(low, 3), "high": round(high, 3), "limit": result.limits.slower}  # fmt: skip
                rows.append(row)
    return {"operations": rows, "budgets": {key: getattr(result.limits, key) for key in SHARES}}


def _quantiles(times: Sequence[float]) -> list[float]:
    ordered = sorted(times)
    return [round(percentile(ordered, share), 3) for share in QUANTILES]


def interval(candidate: Sequence[float], live: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % confidence interval of the typical answer's time as a multiple of live's median.

    It belongs to the Hodges-Lehmann estimate: the differences of all pairs between the ranks that the Mann-Whitney
    statistic's normal approximation gives (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 4.3).
    """
    differences = sorted(one - other for one in candidate for other in live)
    pairs, typical = len(differences), median(live)
    if not typical:
        return 1.0, 1.0
    rank = int(pairs / 2 - _Z * sqrt(pairs * (len(candidate) + len(live) + 1) / 12))
    low, high = differences[max(rank, 0)], differences[min(pairs - 1 - rank, pairs - 1)]
    return 1 + low / typical, 1 + high / typical

"""Compares the answer times of two releases with statistical tests: two samples in, the result of a test out; pure.

Imports scipy.stats (half a second) only if it compares something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from verification.latency.plan import AGAIN, CANDIDATE, LIVE, LatencyLimits

# The error of the lower bound of a ratio, one-sided.
_ERROR_OF_BOUND = 0.05
# A core with fewer sessions than this has no typical ratio.
_LEAST_ON_A_CORE = 2
PLAINLY = 2.0
"""A process that shares its core with another one takes up to this many times as long."""


@dataclass(frozen=True)
class Shift:
    """The difference of the typical answer: ``shift_ms`` is the Hodges-Lehmann estimate, the median of all pairwise differences.

    This estimator belongs to the Mann-Whitney test, whose one-sided ``p`` is given with it. ``ratio`` is live's median
    plus the shift, divided by live's median. ``needed`` is how many answers of each colour find ``found`` times live
    with the required power.
    """

    candidate: int
    live: int
    live_ms: float
    shift_ms: float
    ratio: float
    p: float
    needed: int


def shift(candidate: Sequence[float], live: Sequence[float], limits: LatencyLimits, alpha: float) -> Shift:
    """Compare two samples in ms. Raises ValueError if one is empty."""
    if not candidate or not live:
        raise ValueError("there is nothing to compare: one of the samples is empty")
    numpy, stats = libraries()
    mine, other = numpy.asarray(candidate), numpy.asarray(live)
    typical = float(numpy.median(other))
    moved = float(numpy.median(numpy.subtract.outer(mine, other)))
    p = float(stats.mannwhitneyu(mine, other, alternative="greater", method="asymptotic").pvalue)
    needed = _needed(other, max((limits.found - 1) * typical, 2 * limits.slower_ms), alpha, limits.power)
    return Shift(len(candidate), len(live), typical, moved, 1 + moved / typical if typical else 1.0, p, needed)


def shift_of_all(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]], limits: LatencyLimits, alpha: float
) -> Shift:
    """Compare many series as one: each is divided by its median over both colours, so that slow and quick operations count the same.

    The milliseconds are those of a series whose typical answer takes 1 ms. Raises ValueError if there is nothing to
    compare.
    """
    numpy, _ = libraries()
    mine: list[float] = []
    other: list[float] = []
    for candidate, live in pairs:
        typical = float(numpy.median([*candidate, *live])) or 1.0
        mine += [one / typical for one in candidate]
        other += [one / typical for one in live]
    return shift(mine, other, replace(limits, slower_ms=0.0), alpha)


@dataclass(frozen=True)
class Sessions:
    """The difference of the typical answer, with each session as one observation: the medians of the sessions' differences.

    ``ratio`` and ``shift_ms`` compare the candidate with live. ``control`` is the ratio of a colour to itself, the mean
    of both colours, always 1.0 or more. ``p``: of the one-sided Wilcoxon signed-rank test of the sessions' ratios.
    ``bound``: the lower bound of the median ratio (95 %); most sessions lie above it: 12 of 16. ``high``: the upper
    quartile of the sessions' ratios. ``fast``: the ratio of the two colours' fastest tenths, over all sessions.
    ``core``: the ratio on the core of the measuring process on which it is lowest; ``ratio`` if that process stayed
    where it was.
    """

    count: int
    ratio: float
    shift_ms: float
    control: float
    p: float
    high: float
    fast: float
    bound: float
    core: float
    cores: int = 0


def by_sessions(times: Mapping[str, Sequence[float]], count: int, cores: Sequence[int] = ()) -> Sessions:
    """Compare series in ms that consist of ``count`` sessions; ``cores`` names the core of each, if they differ.

    Raises ValueError if a series has fewer answers than sessions.
    """
    numpy, stats = libraries()
    medians = {
        colour: numpy.array([float(numpy.median(part)) for part in numpy.array_split(numpy.asarray(series), count)])
        for colour, series in times.items()
        if len(series) >= count > 0
    }
    if CANDIDATE not in medians or LIVE not in medians:
        raise ValueError("there is nothing to compare: a series has fewer answers than sessions")
    logs = {colour: numpy.log(of) for colour, of in medians.items()}
    again = {colour: logs.get(AGAIN[colour], logs[colour]) for colour in (CANDIDATE, LIVE)}
    ratios = (logs[CANDIDATE] + again[CANDIDATE] - logs[LIVE] - again[LIVE]) / 2
    noise = sum(abs(float(numpy.median(again[colour] - logs[colour]))) for colour in again) / len(again)
    p = float(stats.wilcoxon(ratios, alternative="greater").pvalue) if numpy.any(ratios) else 1.0
    middle, high = (float(numpy.exp(one)) for one in numpy.quantile(ratios, (0.5, 0.75)))
    typical = {colour: (medians[colour] + medians.get(AGAIN[colour], medians[colour])) / 2 for colour in again}
    moved = float(numpy.median(typical[CANDIDATE] - typical[LIVE]))
    bound, core = float(numpy.exp(_bound(stats, ratios))), float(numpy.exp(_lowest(numpy, ratios, cores)))
    several = len(_by_core(numpy, ratios, cores))
    return Sessions(count, middle, moved, float(numpy.exp(noise)), p, high, _fast(numpy, times), bound, core, several)


def _fast(numpy: Any, times: Mapping[str, Sequence[float]]) -> float:
    """Return the ratio of the fastest tenths of both colours, over both of their series."""
    both = [numpy.asarray([*times[colour], *times.get(AGAIN[colour], ())]) for colour in (CANDIDATE, LIVE)]
    mine, other = (float(numpy.quantile(one, 0.1)) for one in both)
    return mine / other if other else 1.0


def _bound(stats: Any, ratios: Any) -> float:
    """Return the lower bound of the median that belongs to the sign test (binomial), so that no single session moves it far."""
    fewest = int(
        stats.binom.ppf(_ERROR_OF_BOUND, len(ratios), 0.5)
    )  # of so few below it, the chance is above the error
    return float(sorted(ratios)[max(0, fewest - 1)])


def _lowest(numpy: Any, ratios: Any, cores: Sequence[int]) -> float:
    """Return the lowest of the medians by core; the median of all if the cores are unknown or the same."""
    medians = [float(numpy.median(one)) for one in _by_core(numpy, ratios, cores)]
    return min(medians, default=float(numpy.median(ratios)))


def _by_core(numpy: Any, ratios: Any, cores: Sequence[int]) -> list[Any]:
    """Return the sessions' ratios by core, of cores with enough sessions; empty if the cores are unknown."""
    known = len(cores) == len(ratios)
    groups = [ratios[numpy.asarray(cores) == core] for core in sorted(set(cores))] if known else []
    return [one for one in groups if len(one) >= _LEAST_ON_A_CORE]


def all_by_sessions(series: Sequence[Mapping[str, Sequence[float]]], count: int, cores: Sequence[int] = ()) -> Sessions:
    """Compare many series as one, each divided by its typical answer; a session combines its part of every series."""
    numpy, _ = libraries()
    parts: dict[str, list[list[float]]] = {}
    for times in series:
        typical = float(numpy.median([one for values in times.values() for one in values])) or 1.0
        for colour, values in times.items():
            into = parts.setdefault(colour, [[] for _ in range(count)])
            for number, part in enumerate(numpy.array_split(numpy.asarray(values), count)):
                into[number].extend(float(one) / typical for one in part)
    medians = {colour: [float(numpy.median(part)) for part in of if part] for colour, of in parts.items()}
    found = by_sessions(medians, count, cores)
    return replace(found, fast=_fast(numpy, {colour: list(chain(*of)) for colour, of in parts.items()}))


def is_slower_in_sessions(found: Sessions, limits: LatencyLimits, alpha: float) -> bool:
    """Return whether the candidate is slower: beyond chance, by a relevant amount, by more than a colour differs from itself.

    Most sessions must show it. If a process shares its core with the measuring one, or with other work, its disadvantage
    changes with the core that the requests come from. A slower release is slower from each core, by at least half of the limit.
    """
    matters = found.ratio > limits.slower * found.control and found.shift_ms > limits.slower_ms
    lasts = found.bound > limits.slower and found.core > 1 + (limits.slower - 1) / 2
    return found.p <= alpha and matters and lasts


def is_plainly_slower(found: Sessions, limits: LatencyLimits) -> bool:
    """Return whether a candidate that is slower is so by more than other work explains.

    Its fastest answers are slower as well, and it is slower from each of several cores of the measuring process, or else
    far slower.
    """
    far = limits.slower if found.cores > 1 else PLAINLY
    return found.bound > far * found.control and min(found.fast, found.core) > limits.slower


def is_slower(found: Shift, limits: LatencyLimits, alpha: float) -> bool:
    """Return whether the candidate is slower: beyond chance, and by a relevant amount."""
    return found.p <= alpha and found.ratio > limits.slower and found.shift_ms > limits.slower_ms


def _needed(live: Any, delta: float, alpha: float, power: float) -> int:
    """Return how many answers of each colour find a live that is ``delta`` ms later, given the noise in live's answers. Noether (1987)."""
    numpy, stats = libraries()
    differences = numpy.subtract.outer(live + delta, live)
    superior = float(numpy.mean(differences > 0) + numpy.mean(differences == 0) / 2)
    if superior <= 0.5:
        return 1_000_000
    z = float(stats.norm.isf(alpha) + stats.norm.isf(1 - power))
    return int(z * z / (6 * (superior - 0.5) ** 2)) + 1


def libraries() -> tuple[Any, Any]:
    """Return numpy and scipy.stats."""
    import numpy
    from scipy import stats

    return numpy, stats

"""Is one release slower than another? Two samples of answer times in, one sentence of a statistician out; pure.

The only module of ours that imports scipy.stats (half a second), and only when something is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from verification.latency.plan import CANDIDATE, CONTROL, LIVE, LatencyLimits

# An answer is slow beyond so many times the distance from the fastest tenth to the median; of a normal distribution 1 in 10 million is.
_SPREADS = 4
# Nine sessions with more slow answers of the candidate, and none with more of live's, are as improbable as this (1 in 512).
_CHANCE_OF_SESSIONS = 0.002
# And the slowest of all are this share.
_SLOWEST = 0.025


@dataclass(frozen=True)
class Shift:
    """The typical answer's difference: ``shift_ms`` is the Hodges-Lehmann estimate, the median of all pairwise differences.

    It is the estimator that belongs to the Mann-Whitney test, whose one-sided ``p`` stands beside it. ``ratio`` is live's median with
    the shift, over live's median. ``needed`` is how many answers of each colour find ``found`` times live with the asked power.
    """

    candidate: int
    live: int
    live_ms: float
    shift_ms: float
    ratio: float
    p: float
    needed: int


@dataclass(frozen=True)
class Tail:
    """How many answers were slow: far beyond what is usual for both. ``p`` is Fisher's exact test's, one-sided.

    ``p_sessions`` is the one-sided sign test's, over the sessions in which the colours differ; 0.0 without sessions.
    """

    candidate: int
    live: int
    slow: int
    live_slow: int
    p: float
    p_sessions: float = 0.0

    @property
    def more(self) -> float:
        """The candidate's share of slow answers, less live's."""
        return self.slow / self.candidate - self.live_slow / self.live


def shift(candidate: Sequence[float], live: Sequence[float], limits: LatencyLimits, alpha: float) -> Shift:
    """Compares two samples in ms. Raises ValueError where one is empty."""
    if not candidate or not live:
        raise ValueError("there is nothing to compare: one of the samples is empty")
    numpy, stats = _libraries()
    mine, other = numpy.asarray(candidate), numpy.asarray(live)
    typical = float(numpy.median(other))
    moved = float(numpy.median(numpy.subtract.outer(mine, other)))
    p = float(stats.mannwhitneyu(mine, other, alternative="greater", method="asymptotic").pvalue)
    needed = _needed(other, max((limits.found - 1) * typical, 2 * limits.slower_ms), alpha, limits.power)
    return Shift(len(candidate), len(live), typical, moved, 1 + moved / typical if typical else 1.0, p, needed)


def shift_of_all(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]], limits: LatencyLimits, alpha: float
) -> Shift:
    """Many series as one: each divided by what is typical of it in both colours, so that a slow operation counts as a quick one does.

    Its milliseconds are those of a series whose typical answer takes one. Raises ValueError where there is nothing to compare.
    """
    numpy, _ = _libraries()
    mine: list[float] = []
    other: list[float] = []
    for candidate, live in pairs:
        typical = float(numpy.median([*candidate, *live])) or 1.0
        mine += [one / typical for one in candidate]
        other += [one / typical for one in live]
    return shift(mine, other, replace(limits, slower_ms=0.0), alpha)


@dataclass(frozen=True)
class Sessions:
    """The typical answer's difference in sessions, each an observation of its own: the medians of the sessions' differences.

    ``ratio`` and ``shift_ms`` are the candidate's against live; ``control`` is the ratio that live has to itself, the larger way
    round, so 1.0 or more. ``p``: the one-sided Wilcoxon signed-rank test of the sessions' ratios. ``low``, ``high``: a quarter of
    the sessions have a smaller ratio, or a larger one. ``fast`` is the ratio of the two colours' fastest tenths, all sessions together.
    """

    count: int
    ratio: float
    shift_ms: float
    control: float
    p: float
    low: float
    high: float
    fast: float


def by_sessions(times: Mapping[str, Sequence[float]], count: int) -> Sessions:
    """Compare series in ms that consist of ``count`` sessions; raises ValueError where there are fewer answers than sessions."""
    numpy, stats = _libraries()
    medians = {
        colour: numpy.array([float(numpy.median(part)) for part in numpy.array_split(numpy.asarray(series), count)])
        for colour, series in times.items()
        if len(series) >= count > 0
    }
    if CANDIDATE not in medians or LIVE not in medians:
        raise ValueError("there is nothing to compare: a series has fewer answers than sessions")
    candidate, live = medians[CANDIDATE], medians[LIVE]
    control = medians.get(CONTROL, live)
    ratios = numpy.log(candidate) - (numpy.log(live) + numpy.log(control)) / 2
    noise = abs(float(numpy.median(numpy.log(control) - numpy.log(live))))
    p = float(stats.wilcoxon(ratios, alternative="greater").pvalue) if numpy.any(ratios) else 1.0
    low, middle, high = (float(numpy.exp(one)) for one in numpy.quantile(ratios, (0.25, 0.5, 0.75)))
    moved = float(numpy.median(candidate - (live + control) / 2))
    mine = float(numpy.quantile(numpy.asarray(times[CANDIDATE]), 0.1))
    other = float(numpy.quantile(numpy.asarray([*times[LIVE], *times.get(CONTROL, ())]), 0.1))
    fast = mine / other if other else 1.0
    return Sessions(count, middle, moved, float(numpy.exp(noise)), p, low, high, fast)


def all_by_sessions(series: Sequence[Mapping[str, Sequence[float]]], count: int) -> Sessions:
    """Many series as one, each divided by its typical answer; a session's part of each lies beside that of the others."""
    numpy, _ = _libraries()
    parts: dict[str, list[list[float]]] = {}
    for times in series:
        typical = float(numpy.median([one for values in times.values() for one in values])) or 1.0
        for colour, values in times.items():
            into = parts.setdefault(colour, [[] for _ in range(count)])
            for number, part in enumerate(numpy.array_split(numpy.asarray(values), count)):
                into[number].extend(float(one) / typical for one in part)
    medians = {colour: [float(numpy.median(part)) for part in of if part] for colour, of in parts.items()}
    return by_sessions(medians, count)


def is_slower_in_sessions(found: Sessions, limits: LatencyLimits, alpha: float) -> bool:
    """All must hold: beyond chance, by so much that it matters, by so much more than live differs from itself, and lasting.

    Other work lengthens answers while it shares a core, and leaves the fast ones fast: a slower release is slower in those as well,
    by half of the limit at least, or in three quarters of the sessions by all of it.
    """
    matters = found.ratio > limits.slower * found.control and found.shift_ms > limits.slower_ms
    lasts = found.fast > 1 + (limits.slower - 1) / 2 or found.low > limits.slower
    return found.p <= alpha and matters and lasts


def is_slower(found: Shift, limits: LatencyLimits, alpha: float) -> bool:
    """Both must hold: beyond chance, and by so much that it matters."""
    return found.p <= alpha and found.ratio > limits.slower and found.shift_ms > limits.slower_ms


def tail(pairs: Sequence[tuple[Sequence[float], Sequence[float]]], limits: LatencyLimits, sessions: int = 0) -> Tail:
    """Slow answers of one or more series (candidate, live), each by its own border. Raises ValueError where there is none.

    Two borders are tried, and the plainer one is what is found (its ``p`` doubled for that): one finds many that are a little slow,
    the other, where a busy machine makes many answers of both colours slow, those that are slower still.
    """
    numpy, stats = _libraries()
    pairs = [pair for pair in pairs if pair[0] and pair[1]]
    if not pairs:
        raise ValueError("there is nothing to compare: there are no two samples")
    mine, other = (sum(len(pair[side]) for pair in pairs) for side in (0, 1))
    found = []
    for border in (_far_from_usual, _among_the_slowest):
        slow = live_slow = 0
        more = numpy.zeros(sessions)
        for candidate, live in pairs:
            begins = border(numpy, [*candidate, *live], limits)
            slow += sum(one > begins for one in candidate)
            live_slow += sum(one > begins for one in live)
            if sessions:
                for series, sign in ((candidate, 1), (live, -1)):
                    parts = numpy.array_split(numpy.asarray(series) > begins, sessions)
                    more += sign * numpy.array([float(part.mean()) if part.size else 0.0 for part in parts])
        table = [[slow, mine - slow], [live_slow, other - live_slow]]
        p = float(stats.fisher_exact(table, alternative="greater").pvalue)
        differing = int(numpy.sum(more != 0))
        p_sessions = (
            float(stats.binomtest(int(numpy.sum(more > 0)), differing, alternative="greater").pvalue)
            if differing
            else 1.0
        )
        found.append(Tail(mine, other, slow, live_slow, min(1.0, 2 * p), p_sessions if sessions else 0.0))
    return min(found, key=lambda one: one.p)


def _far_from_usual(numpy: Any, both: Sequence[float], limits: LatencyLimits) -> float:
    """From the fast half of both samples together, so that neither colour, nor any tail, sets the border.

    A border from live's sample alone (its p95, say) would favour live: few of its own answers lie beyond their own quantile.
    """
    typical, fast = (float(one) for one in numpy.quantile(both, (0.5, 0.1)))
    return typical + max((limits.slower - 1) * typical, limits.slower_ms, _SPREADS * (typical - fast))


def _among_the_slowest(numpy: Any, both: Sequence[float], limits: LatencyLimits) -> float:
    """The quantile test's: the slowest of both together ought to be of either in equal parts."""
    typical, slowest = (float(one) for one in numpy.quantile(both, (0.5, 1 - _SLOWEST)))
    return max(slowest, typical + (limits.slower - 1) * typical, typical + limits.slower_ms)


def has_slower_tail(found: Tail, limits: LatencyLimits, alpha: float) -> bool:
    """All must hold: beyond chance, by so much that it matters, and, where there were sessions, in most of them."""
    return found.p <= alpha and found.more > limits.tail_share and found.p_sessions <= _CHANCE_OF_SESSIONS


def _needed(live: Any, delta: float, alpha: float, power: float) -> int:
    """Noether (1987): answers of each colour that find live, ``delta`` ms later, as the noise in live's own answers has it."""
    numpy, stats = _libraries()
    differences = numpy.subtract.outer(live + delta, live)
    superior = float(numpy.mean(differences > 0) + numpy.mean(differences == 0) / 2)
    if superior <= 0.5:
        return 1_000_000
    z = float(stats.norm.isf(alpha) + stats.norm.isf(1 - power))
    return int(z * z / (6 * (superior - 0.5) ** 2)) + 1


def _libraries() -> tuple[Any, Any]:
    import numpy
    from scipy import stats

    return numpy, stats

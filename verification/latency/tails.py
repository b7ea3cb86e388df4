"""Compares the slow answers of two releases: how many there are, in which sessions, and from which core; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from verification.latency.comparison import libraries
from verification.latency.plan import LatencyLimits

Pairs = Sequence[tuple[Sequence[float], Sequence[float]]]
"""The times (ms) of one or more series: of the candidate, and of live."""
# An answer is slow beyond this many times the distance from the fastest tenth to the median (normal distribution: 1 in
# 10 million).
_SPREADS = 4
CHANCE_OF_SESSIONS = 0.002
"""The probability of nine sessions with more slow answers of the candidate, and none with more of live's (1 in 512)."""
CHANCE_OF_CONFIRMING_SESSIONS = 0.01
"""The same of a measurement that confirms a tail: 8 of 8 sessions, 14 of 16, or 19 of 24."""
CHANCE_OF_SESSIONS_IF_PLAIN = 0.004
"""The same of eight sessions (1 in 256), enough for a tail that is plain."""
# The probability of a tail by chance below which it is plain, and how many times live's share it must be.
_PLAIN_TAIL, _PLAIN_SHARE = 1e-6, 3
LATE_BEYOND_OTHER_WORK = (3.0, 50.0)
"""An answer later than three times the typical one and than 50 ms more than it does not only share its core with other work.

Such a process takes up to twice as long, and waits for a few slices of the scheduler (about 3 ms each on Linux).
"""
# The share that counts as the slowest of all answers.
_SLOWEST = 0.025


@dataclass(frozen=True)
class Tail:
    """The number of slow answers: far beyond the usual time of both colours. ``p``: of Fisher's exact test, one-sided.

    ``p_sessions``: of the one-sided sign test over the sessions in which the colours differ; 0.0 without sessions.
    ``core``: the candidate's share of slow answers minus live's, on the core of the measuring process on which it is lowest.
    """

    candidate: int
    live: int
    slow: int
    live_slow: int
    p: float
    p_sessions: float = 0.0
    core: float = 1.0

    @property
    def more(self) -> float:
        """Return the candidate's share of slow answers minus live's."""
        return self.slow / self.candidate - self.live_slow / self.live


def tail(pairs: Pairs, limits: LatencyLimits, sessions: int = 0, cores: Sequence[int] = ()) -> list[Tail]:
    """Return the slow answers of one or more series, each by its own border. Raises ValueError without two samples.

    There is a result for each of three borders, the smallest ``p`` first (``p`` is tripled, since any of them counts). The first
    finds many answers that are a little slow. The second finds those that are slower still if a busy machine makes many
    answers of both colours slow. The third, beyond the delays of other work, finds few that are very slow. ``cores`` names the core of each session, if they differ. Where the candidate's typical
    answer takes longer, its answers are divided by that ratio: a release that is slower as a whole has no slower tail.
    """
    _, stats = libraries()
    pairs = [pair for pair in pairs if len(pair[0]) and len(pair[1])]
    if not pairs:
        raise ValueError("there is nothing to compare: there are no two samples")
    pairs = _without_shift(pairs, max(1, sessions))
    found = []
    for border in _BORDERS:
        late, asked = _count(pairs, partial(border, limits), max(1, sessions))
        (slow, live_slow), (mine, other) = late.sum(axis=1), asked.sum(axis=1)
        p_sessions = _sign_test(stats, _more(late, asked)) if sessions else 0.0
        core = min((float(_more(*one)) for one in _by_core(late, asked, cores)), default=1.0)
        p = min(1.0, len(_BORDERS) * _fisher(stats, late, asked))
        found.append(Tail(int(mine), int(other), int(slow), int(live_slow), p, p_sessions, core))
    return sorted(found, key=lambda one: one.p)


def slower_tail(
    found: Sequence[Tail], limits: LatencyLimits, alpha: float, chance_of_sessions: float = CHANCE_OF_SESSIONS
) -> Tail | None:
    """Return the first result that shows a slower tail; None if there is none."""
    return next((one for one in found if has_slower_tail(one, limits, alpha, chance_of_sessions)), None)


def has_slower_tail(
    found: Tail, limits: LatencyLimits, alpha: float, chance_of_sessions: float = CHANCE_OF_SESSIONS
) -> bool:
    """Return whether the tail is slower: beyond chance, by a relevant amount, and, if there were sessions, in most of them.

    A process that shares its core with other work answers late from one core only; a slower release from each.
    """
    matters = min(found.more, found.core) > limits.tail_share
    return found.p <= alpha and matters and found.p_sessions <= chance_of_sessions


def is_plain_tail(pairs: Pairs, limits: LatencyLimits, cores: Sequence[int] = ()) -> bool:
    """Return whether other work on the machine does not explain a slower tail of these series.

    Only answers that are later than such work makes them count. There are relevantly more of them than live's, and each core that
    the sessions used must show that; live's answers, in the same time, show little of it. ``cores`` names the core of each session.
    """
    _, stats = libraries()
    parts = max(1, len(cores))
    late, asked = _count(_without_shift(pairs, parts), _beyond_other_work, parts)
    groups = [(late.sum(axis=1), asked.sum(axis=1)), *_by_core(late, asked, cores)]
    little = all(found[0] * of[1] > _PLAIN_SHARE * found[1] * of[0] for found, of in groups)
    matters = all(float(_more(found, of)) > limits.tail_share for found, of in groups)
    return little and matters and _fisher(stats, late, asked) <= _PLAIN_TAIL


def _without_shift(pairs: Pairs, parts: int) -> Pairs:
    """Return the series with the candidate's answers of each session as quick as live's, if its typical answer takes longer."""
    numpy, _ = libraries()
    sides: tuple[list[Any], list[Any]] = ([], [])
    for pair in pairs:
        for series, into in zip(pair, sides, strict=True):
            into.append(numpy.array_split(numpy.asarray(series, dtype=float), parts))
    usual = [float(numpy.median([*pair[0], *pair[1]])) or 1.0 for pair in pairs]
    for session in range(parts):
        ratios = [numpy.concatenate([of[session] / one for of, one in zip(side, usual, strict=True)]) for side in sides]
        if not all(one.size for one in ratios):
            continue
        mine, other = (float(numpy.median(one)) for one in ratios)
        if mine > other > 0:
            for of in sides[0]:
                of[session] = of[session] * (other / mine)
    return [(numpy.concatenate(mine), numpy.concatenate(other)) for mine, other in zip(*sides, strict=True)]


def _count(pairs: Pairs, border: Callable[[Sequence[float]], float], parts: int) -> tuple[Any, Any]:
    """Return the late answers and all answers, each by colour (two rows) and session (``parts`` columns)."""
    numpy, _ = libraries()
    late, asked = numpy.zeros((2, parts)), numpy.zeros((2, parts))
    for pair in pairs:
        begins = border([*pair[0], *pair[1]])
        for side, series in enumerate(pair):
            for number, part in enumerate(numpy.array_split(numpy.asarray(series) > begins, parts)):
                late[side, number] += part.sum()
                asked[side, number] += part.size
    return late, asked


def _by_core(late: Any, asked: Any, cores: Sequence[int]) -> list[tuple[Any, Any]]:
    """Return the counts by colour for each core; nothing if the cores are unknown or the same."""
    numpy, _ = libraries()
    if len(cores) != late.shape[1] or len(set(cores)) < 2:
        return []
    groups = [numpy.asarray(cores) == core for core in sorted(set(cores))]
    return [(late[:, group].sum(axis=1), asked[:, group].sum(axis=1)) for group in groups]


def _more(late: Any, asked: Any) -> Any:
    """Return the candidate's share of late answers minus live's, of each column; without answers a share is 0."""
    numpy, _ = libraries()
    shares = late / numpy.maximum(asked, 1)
    return shares[0] - shares[1]


def _sign_test(stats: Any, more: Any) -> float:
    """Return the one-sided p of the sessions in which one colour has more late answers; 1.0 if there are none."""
    differing = int((more != 0).sum())
    return float(stats.binomtest(int((more > 0).sum()), differing, alternative="greater").pvalue) if differing else 1.0


def _fisher(stats: Any, late: Any, asked: Any) -> float:
    """Return the one-sided p of Fisher's exact test that the candidate has more late answers."""
    table = [[int(slow), int(of - slow)] for slow, of in zip(late.sum(axis=1), asked.sum(axis=1), strict=True)]
    return float(stats.fisher_exact(table, alternative="greater").pvalue)


def _far_from_usual(limits: LatencyLimits, both: Sequence[float]) -> float:
    """Return a border from the fast half of both samples together, so that neither colour, nor any tail, sets it.

    A border from live's sample alone (its p95, for example) would favour live: few of its own answers lie beyond their
    own quantile.
    """
    numpy, _ = libraries()
    typical, fast = (float(one) for one in numpy.quantile(both, (0.5, 0.1)))
    return typical + max((limits.slower - 1) * typical, limits.slower_ms, _SPREADS * (typical - fast))


def _among_the_slowest(limits: LatencyLimits, both: Sequence[float]) -> float:
    """Return the border of the quantile test: the slowest answers of both together should come equally from both."""
    numpy, _ = libraries()
    typical, slowest = (float(one) for one in numpy.quantile(both, (0.5, 1 - _SLOWEST)))
    return max(slowest, typical + (limits.slower - 1) * typical, typical + limits.slower_ms)


def _beyond_other_work(both: Sequence[float]) -> float:
    """Return the border beyond which other work on the machine does not explain an answer."""
    numpy, _ = libraries()
    times, more_ms = LATE_BEYOND_OTHER_WORK
    typical = float(numpy.median(both))
    return max(times * typical, typical + more_ms)


_BORDERS = (_far_from_usual, _among_the_slowest, lambda _limits, both: _beyond_other_work(both))

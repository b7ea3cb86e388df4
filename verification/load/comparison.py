"""Compares a release under load with the live one: two loads of the same seconds in, findings in words out; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from verification.http.route import DIRECT
from verification.latency.comparison import Shift, is_slower, shift
from verification.latency.plan import LatencyLimits
from verification.latency.tails import Tail, slower_tail, tail
from verification.load.model import LoadPlan, LoadResult

# Live has users, so its load ends after this many failed requests.
MOST_FAILURES = 3
LONGEST_S = 60.0
# Of one measurement, divided by its number of questions; a finding must be found twice.
_ALPHA = 0.01
# The answers of an operation that each colour needs; with fewer the operation is not compared by itself.
_ENOUGH = 20
# All pairs are compared, so of a longer series every n-th answer is used, including the slowest.
_MOST = 1000


@dataclass(frozen=True)
class BesideLive:
    """Candidate and live under the same small load.

    ``found``: the operations in which the candidate is slower, the worst first; ``problem``: why this proves nothing.
    """

    live_url: str
    candidate: LoadResult
    live: LoadResult
    shifts: Mapping[str, Shift]
    tail: Tail | None
    found: Mapping[str, str]
    problem: str | None

    @property
    def harmed(self) -> bool:
        """Return whether live failed under the load: then the load must not be repeated."""
        return self.live.failures >= MOST_FAILURES


def plans(plan: LoadPlan, live_url: str, rate: float) -> tuple[LoadPlan, LoadPlan]:
    """Return the plans of a small load for both: the same mix, as many requests for each user, ``rate`` requests/s for each colour.

    Live's load ends after ``MOST_FAILURES`` failures.
    """
    rate = min(rate, plan.rate)
    users = max(1, math.ceil(plan.users * rate / plan.rate))
    small = replace(
        plan, users=users, rate=rate, seconds=min(plan.seconds, LONGEST_S), workers=1, elsewhere=0, listen=None
    )
    return small, replace(small, base_url=live_url, most_failures=MOST_FAILURES, route=DIRECT)


def compare(made: tuple[LoadPlan, LoadPlan], results: Sequence[LoadResult], table: Mapping[str, Any]) -> BesideLive:
    """Compare the results of the plans that ``plans`` made; ``table`` is the load gate's: slower, slower_ms, tail_share."""
    candidate, live = results
    live_url, rate = made[1].base_url, made[1].rate
    limits = LatencyLimits.of(table)
    if problem := _problem(candidate, live, table, rate):
        return BesideLive(live_url, candidate, live, {}, None, {}, problem)
    pairs = dict(_pairs(candidate, live))
    alpha = _ALPHA / (len(pairs) + 1)
    shifts = {name: shift(*pair, limits, alpha) for name, pair in pairs.items()}
    candidates = tail(list(pairs.values()), limits)
    slower_by = slower_tail(candidates, limits, alpha)
    slow = slower_by or candidates[0]
    slower = {name: one for name, one in shifts.items() if is_slower(one, limits, alpha)}
    worst_first = sorted(slower, key=lambda name: -slower[name].ratio)
    found = {name: _shifted(name, slower[name], limits) for name in worst_first}
    if slower_by is not None:
        found["all"] = (
            f"{slow.slow} of {slow.candidate} answers under load were slow, of live's {slow.live_slow} of {slow.live} in the "
            f"same seconds: {slow.more:.1%} more, limit {limits.tail_share:.1%}"
        )
    return BesideLive(live_url, candidate, live, shifts, slow, found, None)


def _problem(candidate: LoadResult, live: LoadResult, table: Mapping[str, Any], rate: float) -> str | None:
    if live.failures >= MOST_FAILURES:
        first = live.errors[0][0] if live.errors else "no answer"
        return f"live failed {live.failures} of {live.requests} requests and was left alone: {first}"
    for name, one in (("candidate", candidate), ("live", live)):
        if one.saturated(one.latest_of(table)):
            return (
                f"the generator of {name}'s load was busy: {one.generator_cpu:.2f} cores (limit {one.MOST_CPU:g}), its clock "
                f"{one.late_ms:.0f} ms late (limit {one.latest_of(table):g} ms)"
            )
        least = rate * one.planned_seconds / 2
        if one.cut_short or one.requests < least:
            return f"{name} answered {one.requests} requests in {one.seconds:.1f} s, at least {least:.0f} are needed"
    return None if any(True for _ in _pairs(candidate, live)) else f"no operation was answered {_ENOUGH} times by both"


def _shifted(name: str, one: Shift, limits: LatencyLimits) -> str:
    return (
        f"{name} under load: the typical answer took {one.live_ms + one.shift_ms:.0f} ms, live's {one.live_ms:.0f} ms in the same "
        f"seconds ({one.ratio:.2f} times, limit {limits.slower:g} times and {limits.slower_ms:g} ms more); "
        f"{one.candidate} and {one.live} answers"
    )


def _pairs(candidate: LoadResult, live: LoadResult) -> Iterator[tuple[str, tuple[list[float], list[float]]]]:
    """Yield the answer times (ms) of the operations that both answered often enough."""
    others = {one.operation: _times(one.times) for one in live.by_operation}
    for one in candidate.by_operation:
        pair = _times(one.times), others.get(one.operation, [])
        if min(map(len, pair)) >= _ENOUGH:
            yield one.operation, pair


def _times(counts: Mapping[float, int]) -> list[float]:
    whole = [ms for ms, count in sorted(counts.items(), reverse=True) for _ in range(count)]
    return whole[:: math.ceil(len(whole) / _MOST)] if whole else []

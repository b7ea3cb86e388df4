"""Judges measured answer times of a release: budgets, a comparison with live, and a second measurement before a refusal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from statistics import mean

from verification.latency import comparison
from verification.latency.measuring import (
    LOOKS,
    MORE_SESSIONS,
    MOST,
    Measured,
    candidate_failures,
    measure,
    measure_in_sessions,
)
from verification.latency.plan import CANDIDATE, KINDS, LIVE, LatencyLimits, LatencyPlan, Operation, Place
from verification.statistics import failure_bounds, percentile

SHARES = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}
# One failure in a thousand answers is acceptable; a ratio that is higher beyond doubt is not.
_HICCUPS, _CONFIDENCE = 0.001, 0.99
# If the clock is late by more than a fifth of the shortest budget, the machine was measured, not the release: no verdict.
_LATE = 0.2
ALL = "all"
SLOWER, TAIL, BUDGET, FAILURES, SAMPLES, GENERATOR = "slower", "tail", "budget", "failures", "samples", "generator"
Measure = Callable[[Collection[Place]], Measured]


@dataclass(frozen=True)
class Finding:
    """One limit that was not kept: of an operation, or of ``all``; ``test`` is one of the names above."""

    test: str
    operation: str
    says: str


@dataclass(frozen=True)
class LatencyResult:
    """The result of the gate. ``suspected``: findings of the first measurement; ``findings``: those that the second one confirmed."""

    first: Measured
    second: Measured | None
    suspected: tuple[Finding, ...]
    findings: tuple[Finding, ...]
    compared: bool
    limits: LatencyLimits
    operations: Mapping[str, Operation]

    def about(self, operation: str, *tests: str) -> list[str]:
        """Return the findings about one operation, in words."""
        return [one.says for one in self.findings if one.operation == operation and one.test in tests]

    def first_words(self, operation: str) -> list[str]:
        """Return what the first measurement found about the operation, also if the second one did not confirm it."""
        return [one.says for one in self.suspected if one.operation == operation]

    def last(self, operation: str) -> Measured:
        """Return the measurement that decided about an operation."""
        again = self.second is not None and any(place[0] == operation for place in self.second.times)
        return self.second if again and self.second is not None else self.first

    def shift(self, place: Place) -> comparison.Shift:
        """Return how the typical answer differs from live's. Raises ValueError if there are no two samples."""
        times = self.last(place[0]).times[place]
        return comparison.shift(times[CANDIDATE], times[LIVE], self.limits, self.limits.alpha)

    @property
    def requests(self) -> int:
        """Return the number of requests to the candidate, in both measurements."""
        return sum(one.asked[CANDIDATE] for one in (self.first, self.second) if one is not None)


def verify(plan: LatencyPlan, limits: LatencyLimits) -> LatencyResult:
    """Measure, and measure again if a limit was not kept; only the candidate if the plan names no live colour."""
    judge = Judge(limits, plan.samples, plan.operations)

    def once(places: Collection[Place]) -> Measured:
        looked = judge.of(places)
        return measure(plan, places, hopeless=looked.hopeless, wanted=looked.wanted)

    def again(suspected: Collection[str]) -> Measured:
        return measure_in_sessions(plan, suspected, hopeless=judge.hopeless, wanted=judge.wanted)

    return judge_twice(once, judge, compared=LIVE in plan.urls, again=again)


def judge_twice(
    measured: Measure, judge: Judge, *, compared: bool, again: Callable[[Collection[str]], Measured] | None = None
) -> LatencyResult:
    """Apply the rule of the second measurement: refuse a release if both found something, for the reasons of the second.

    ``again`` makes the second measurement, in sessions, and gets the names of the suspected operations.
    """
    first = measured(judge.places)
    suspected = tuple(judge.suspicions(first))
    if not suspected:
        return LatencyResult(first, None, (), (), compared, judge.limits, judge.operations)
    # Measure everything again: a slow tail may have shown in one operation first, and by chance would not show in that one twice.
    names = dict.fromkeys(one.operation for one in suspected if one.operation != ALL)
    second = measured(judge.places) if again is None else again(names)
    confirmed = judge.findings(second)
    words = {one.operation: one.says for one in suspected}
    findings = [
        Finding(
            one.test,
            one.operation,
            f"{one.says}; the first of two measurements: {words.get(one.operation, suspected[0].says)}",
        )
        for one in confirmed
    ]
    return LatencyResult(first, second, suspected, tuple(findings), compared, judge.limits, judge.operations)


class Judge:
    """Judges by the limits; ``alpha`` is divided by the number of questions of one measurement (Bonferroni)."""

    def __init__(
        self,
        limits: LatencyLimits,
        samples: int,
        operations: Mapping[str, Operation],
        places: Collection[Place] = (),
    ) -> None:
        self.limits = limits
        self.operations = operations
        self._samples = samples
        self._places = list(places) or [(name, kind) for kind in KINDS for name in operations]
        names = {name for name, _ in self._places}
        questions = len(self._places) + len(names) + 2
        self.alpha = limits.alpha / (questions * LOOKS * MOST)
        # Sessions are evaluated at most three times.
        self._alpha_of_sessions = limits.alpha / (questions * (1 + len(MORE_SESSIONS)))

    def of(self, places: Collection[Place]) -> Judge:
        """Return a judge with the same limits for a part of the operations."""
        return Judge(self.limits, self._samples, self.operations, places)

    @property
    def places(self) -> list[Place]:
        """Return the operations and kinds of connection that are judged."""
        return self._places

    # -- during the measurement -----------------------------------------------------------------------------------------

    def hopeless(self, measured: Measured) -> str | None:
        """Return why the remaining answers cannot bring the result back, because too many are over a budget or failed; else None."""
        if found := self._failures(measured):
            return found.says
        for name in {name for name, _ in self._places}:
            planned = sum(count for place, count in measured.planned.items() if place[0] == name)
            times = measured.of(name, CANDIDATE)
            for key, share in SHARES.items():
                limit = getattr(self.limits, key)
                if sum(one > limit for one in times) > planned * (100 - share) / 100:
                    return f"{name}: too many answers over {limit:g} ms"
        return None

    def wanted(self, measured: Measured) -> list[Place]:
        """Return the places that need more answers for the required power; none if a difference is plain already."""
        plain = next(chain(self._slower(measured), self._tails(measured)), None)
        if plain is not None:
            measured.cut_short = plain.says
            return []
        if measured.sessions:
            return [
                place
                for place, found in self._in_sessions(measured)
                if found.p <= self.limits.alpha and found.high > self.limits.slower
            ]
        return self._under_powered(measured)

    def _under_powered(self, measured: Measured) -> list[Place]:
        """Return the operations whose answers, over both kinds of connection, are fewer than their noise requires."""
        needed: dict[str, list[int]] = {}
        made: dict[str, int] = {}
        for (name, _), found in self._shifts(measured):
            needed.setdefault(name, []).append(found.needed)
            made[name] = made.get(name, 0) + min(found.candidate, found.live)
        return [place for place in self._places if place[0] in made and made[place[0]] < mean(needed[place[0]])]

    def _shifts(self, measured: Measured) -> list[tuple[Place, comparison.Shift]]:
        return [
            (place, comparison.shift(times[CANDIDATE], times[LIVE], self.limits, self.alpha))
            for place in self._places
            if (times := measured.times[place]).get(LIVE) and times[CANDIDATE]
        ]

    # -- after the measurement ------------------------------------------------------------------------------------------

    def findings(self, measured: Measured) -> list[Finding]:
        """Return every limit that was not kept."""
        found = [*self._budgets(measured), *self._slower(measured), *self._tails(measured)]
        if failed := self._failures(measured):
            found.append(failed)
        late, allowed = measured.lateness_ms, _LATE * self.limits.p50_ms
        if late > allowed:
            found.append(
                Finding(
                    GENERATOR, ALL, f"this machine was too busy to measure: {late:.0f} ms late, limit {allowed:g} ms"
                )
            )
        return found or list(self._too_few(measured))

    def suspicions(self, measured: Measured) -> list[Finding]:
        """Return every limit that may not have been kept. A weaker proof is enough here, because the second measurement decides."""
        found = self.findings(measured)
        if any(one.test != SAMPLES for one in found):
            return found
        weaker = self.of(self._places)
        weaker.alpha = self.limits.alpha / len(self._places)
        return list(weaker._slower(measured)) or found

    def _budgets(self, measured: Measured) -> Iterator[Finding]:
        for name in dict.fromkeys(name for name, _ in self._places):
            times = sorted(measured.of(name, CANDIDATE))
            others = sorted(measured.of(name, LIVE))
            for key, share in SHARES.items() if times else ():
                value, limit = percentile(times, share), getattr(self.limits, key)
                if value > limit:
                    live = f", live {percentile(others, share):.0f} ms" if others else ""
                    says = f"{self._asked(name)}: {key.removesuffix('_ms')} {value:.0f} ms, limit {limit:g} ms{live}; {len(times)} answers"
                    yield Finding(BUDGET, name, says)

    def _in_sessions(self, measured: Measured) -> list[tuple[Place, comparison.Sessions]]:
        """Compare the places that every session asked on both colours."""
        return [
            (place, comparison.by_sessions(times, measured.sessions))
            for place in self._places
            if min(len((times := measured.times[place]).get(colour, ())) for colour in (CANDIDATE, LIVE))
            >= measured.sessions
        ]

    def _slower_in_sessions(self, measured: Measured) -> Iterator[Finding]:
        found = self._in_sessions(measured)
        places = [place for place, _ in found]
        if any(one.shift_ms > self.limits.slower_ms for _, one in found):
            all_ = comparison.all_by_sessions([measured.times[place] for place in places], measured.sessions)
            limits = replace(self.limits, slower_ms=0.0)
            if comparison.is_slower_in_sessions(all_, limits, self._alpha_of_sessions):
                yield Finding(SLOWER, ALL, self._session_words(ALL, all_, "each beside what is typical of it"))
        for (name, kind), one in found:
            if comparison.is_slower_in_sessions(one, self.limits, self._alpha_of_sessions):
                about = f"{one.shift_ms:.1f} ms more than live, {kind} connections"
                yield Finding(SLOWER, name, self._session_words(name, one, about))

    def _session_words(self, name: str, found: comparison.Sessions, about: str) -> str:
        return (
            f"{self._asked(name)}: {found.ratio:.2f} times live's time, limit {self.limits.slower * found.control:.2f} times ({about}; "
            f"{found.count} sessions, Wilcoxon p {found.p:.1g}; live against itself {found.control:.2f} times)"
        )

    def _slower(self, measured: Measured) -> Iterator[Finding]:
        if measured.sessions:
            yield from self._slower_in_sessions(measured)
            return
        shifts = self._shifts(measured)
        if any(found.shift_ms > self.limits.slower_ms for _, found in shifts):
            found = comparison.shift_of_all(self._pairs(measured, self._places), self.limits, self.alpha)
            if comparison.is_slower(found, replace(self.limits, slower_ms=0.0), self.alpha):
                yield Finding(SLOWER, ALL, self._words(ALL, found, "each beside what is typical of it"))
        for (name, kind), found in shifts:
            if comparison.is_slower(found, self.limits, self.alpha):
                about = f"{found.shift_ms:.1f} ms more than live's {found.live_ms:.1f} ms, {kind} connections"
                yield Finding(SLOWER, name, self._words(name, found, about))

    def _words(self, name: str, found: comparison.Shift, about: str) -> str:
        return (
            f"{self._asked(name)}: {found.ratio:.2f} times live's time, limit {self.limits.slower:g} times ({about}; "
            f"Mann-Whitney p {found.p:.1g}, {found.candidate} and {found.live} answers)"
        )

    def _tails(self, measured: Measured) -> Iterator[Finding]:
        groups = {name: [(name, kind) for kind in KINDS] for name in dict.fromkeys(name for name, _ in self._places)}
        for name, places in {ALL: self._places, **groups}.items():
            pairs = self._pairs(measured, places)
            if not pairs:
                continue
            found = comparison.tail(pairs, self.limits, measured.sessions)
            if comparison.has_slower_tail(found, self.limits, self.alpha):
                yield Finding(
                    TAIL,
                    name,
                    f"{self._asked(name)}: {found.slow / found.candidate:.1%} of {found.candidate} answers are far slower than usual, "
                    f"of live's {found.live_slow / found.live:.1%}; limit {self.limits.tail_share:.0%} more "
                    f"(Fisher p {found.p:.1g})",
                )

    def _failures(self, measured: Measured) -> Finding | None:
        failed, asked = candidate_failures(measured), measured.asked[CANDIDATE]
        if len(failed) < 2 or failure_bounds(len(failed), asked, 2 * _CONFIDENCE - 1).low <= _HICCUPS:
            return None
        _, name, why = failed[0]
        return Finding(
            FAILURES,
            ALL,
            f"{len(failed)} of {asked} requests failed, limit 1 in 1000; the first: {self._asked(name)}: {why}",
        )

    def _too_few(self, measured: Measured) -> Iterator[Finding]:
        for place in self._places:
            for colour, times in measured.times[place].items():
                needed = measured.planned[place] - len([one for one in measured.failures if one[1] == place[0]])
                if len(times) < max(1, needed):
                    why = f": {measured.cut_short}" if measured.cut_short else ""
                    says = f"{self._asked(place[0])}: {len(times)} answers of {colour}, {measured.planned[place]} are needed{why}"
                    yield Finding(SAMPLES, place[0], says)
        pairs = self._pairs(measured, self._places)
        if not pairs:
            return
        all_ = comparison.shift_of_all(pairs, self.limits, self.alpha)
        if min(all_.candidate, all_.live) < all_.needed:
            says = f"the noise is too great to find {self.limits.found:g} times live's time in {all_.candidate} answers"
            yield Finding(SAMPLES, ALL, f"{says}, {all_.needed} are needed")

    def _pairs(self, measured: Measured, places: Collection[Place]) -> list[tuple[list[float], list[float]]]:
        """Return (candidate, live) of the places that both colours answered."""
        return [
            (times[CANDIDATE], times[LIVE])
            for place in places
            if (times := measured.times.get(place, {})).get(LIVE) and times[CANDIDATE]
        ]

    def _asked(self, operation: str) -> str:
        if operation == ALL:
            return "all operations"
        return f"{self.operations[operation].method} {self.operations[operation].path}"

"""Judges one measurement of answer times of a release: budgets, and a comparison with live. ``repeating`` repeats measurements."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from statistics import mean

from verification.latency import comparison, tails
from verification.latency.measuring import LOOKS, MOST, SECOND, Measured, candidate_failures
from verification.latency.plan import CANDIDATE, KINDS, LIVE, LatencyLimits, Operation, Place
from verification.statistics import by_chance, failure_bounds, percentile

SHARES = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}
# One failure in a thousand answers is acceptable; a ratio that is higher beyond doubt is not.
_HICCUPS, _CONFIDENCE = 0.001, 0.99
# If the clock is late by more than a fifth of the shortest budget, the machine was measured, not the release: no verdict.
_LATE = 0.2
ALL = "all"
SLOWER, TAIL, BUDGET, FAILURES, SAMPLES, GENERATOR = "slower", "tail", "budget", "failures", "samples", "generator"


@dataclass(frozen=True)
class Finding:
    """One limit that was not kept: of an operation, or of ``all``; ``test`` is one of the names above.

    ``plain``: other work on the machine cannot explain it, so that two measurements are enough.
    """

    test: str
    operation: str
    says: str
    plain: bool = True

    def after(self, earlier: str) -> Finding:
        """Return the finding with the words of the earlier measurements added."""
        return replace(self, says=f"{self.says}; {earlier}")


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
        # Sessions are evaluated at most four times; the looks for plain tails have a level of their own, of 1 in a million.
        self._alpha_of_sessions = limits.alpha / (questions * (len(SECOND.early) + 1 + len(SECOND.more)))
        self._chance_of_sessions = tails.CHANCE_OF_SESSIONS
        self._named: frozenset[tuple[str, str]] = frozenset()
        self._is_whole = True

    def of(self, places: Collection[Place]) -> Judge:
        """Return a judge with the same limits for a part of the operations."""
        return Judge(self.limits, self._samples, self.operations, places)

    def is_complete(self, measured: Measured) -> bool:
        """Return whether each place has as many answers of each colour as planned and as the noise requires, failures excepted."""
        is_powered = bool(measured.sessions) or not self._under_powered(measured)
        return is_powered and next(self._missing(measured), None) is None

    def has_answers(self, measured: Measured) -> bool:
        """Return whether each place has answers of each colour."""
        return all(times and all(times.values()) for times in (measured.times[place] for place in self._places))

    def only(self, operations: Collection[str]) -> Judge:
        """Return a judge of those operations, of each by itself, at the levels of this one, which hold for all that it judges."""
        judge = self.of([place for place in self._places if place[0] in operations])
        judge.alpha, judge._alpha_of_sessions, judge._is_whole = self.alpha, self._alpha_of_sessions, False
        return judge

    def confirming(self, found: Collection[Finding]) -> Judge:
        """Return a judge of the third measurement: only a difference that has been found can be confirmed, at the plain level.

        The level is not divided again, because these differences are named and passed the divided level before.
        """
        judge = self.of(self._places)
        judge._named = frozenset((one.test, one.operation) for one in found)
        judge._is_whole = self._is_whole
        judge.alpha = judge._alpha_of_sessions = self.limits.alpha
        judge._chance_of_sessions = tails.CHANCE_OF_CONFIRMING_SESSIONS
        return judge

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
            for key, share in SHARES.items() if self._decides(BUDGET, name) else ():
                limit = getattr(self.limits, key)
                if sum(one > limit for one in times) > max(1, planned * (100 - share) / 100):
                    return f"{name}: too many answers over {limit:g} ms"
        return None

    def wanted(self, measured: Measured) -> list[Place]:
        """Return the places that need more answers for the required power; none if a difference is plain already."""
        differences = self._tails(measured) if measured.shows_tails_only else self._differences(measured)
        for one in differences:
            if one.plain or not measured.is_early:
                measured.cut_short = one.says
                return []
        if not measured.sessions and (suspicion := self._over_budget(measured)) is not None:
            measured.cut_short = suspicion
            return []
        if measured.is_early:
            return self._places
        if self._named:
            return self._unconfirmed(measured)
        if measured.sessions and not measured.has_controls:
            return []
        if measured.sessions:
            return [
                place
                for place, found in self._in_sessions(measured)
                if found.p <= self.limits.alpha and found.high > self.limits.slower
            ]
        return self._under_powered(measured)

    def _over_budget(self, measured: Measured) -> str | None:
        """Return the first operation of which too many answers so far are over a budget, one answer alone excepted."""
        for name in dict.fromkeys(name for name, _ in self._places):
            times = measured.of(name, CANDIDATE)
            for key in ("p50_ms", "p95_ms"):  # a single answer is more than 1 % of these, so p99 waits for all of them
                limit = getattr(self.limits, key)
                over = sum(one > limit for one in times)
                if over > 1 and over > len(times) * (100 - SHARES[key]) / 100:
                    return f"{name}: {over} of {len(times)} answers over {limit:g} ms"
        return None

    def _unconfirmed(self, measured: Measured) -> list[Place]:
        """Return the places of which more sessions may still confirm a difference."""
        named = {name for _, name in self._named}
        places = [place for place in self._places if place[0] in named or ALL in named]
        slower = [place for place, found in self._in_sessions(measured) if found.high > self.limits.slower]
        pairs = self._pairs(measured, places) if any(test == TAIL for test, _ in self._named) else []
        tailed = bool(pairs) and max(one.more for one in tails.tail(pairs, self.limits)) > self.limits.tail_share / 2
        return [place for place in places if tailed or place in slower]

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
        found = [*self._budgets(measured), *self._differences(measured)]
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
        weaker = self.of(self._places)
        weaker.alpha = self.limits.alpha / len(self._places)
        known = {one.operation for one in found if one.test == SLOWER}
        return [*found, *(one for one in weaker._slower(measured) if one.operation not in known)]

    def _differences(self, measured: Measured) -> Iterator[Finding]:
        """Return the differences from live; in a measurement that confirms only those that it can confirm."""
        for one in chain(self._slower(measured), self._tails(measured)):
            if self._decides(one.test, one.operation):
                yield one

    def _decides(self, test: str, operation: str) -> bool:
        """Return whether such a finding counts: a measurement that confirms has too few answers for any other one."""
        return not self._named or (test, operation) in self._named

    def _budgets(self, measured: Measured) -> Iterator[Finding]:
        for name in dict.fromkeys(name for name, _ in self._places if self._decides(BUDGET, name)):
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
            (place, comparison.by_sessions(times, measured.sessions, measured.cores))
            for place in self._places
            if min(len((times := measured.times[place]).get(colour, ())) for colour in (CANDIDATE, LIVE))
            >= measured.sessions
        ]

    def _slower_in_sessions(self, measured: Measured) -> Iterator[Finding]:
        found = self._in_sessions(measured)
        places = [place for place, _ in found]
        if self._is_whole and any(one.shift_ms > self.limits.slower_ms for _, one in found):
            series = [measured.times[place] for place in places]
            all_ = comparison.all_by_sessions(series, measured.sessions, measured.cores)
            limits = replace(self.limits, slower_ms=0.0)
            if comparison.is_slower_in_sessions(all_, limits, self._alpha_of_sessions):
                yield self._slower_finding(ALL, all_, "each beside what is typical of it")
        for (name, kind), one in found:
            if comparison.is_slower_in_sessions(one, self.limits, self._alpha_of_sessions):
                about = f"{one.shift_ms:.1f} ms more than live, {kind} connections"
                yield self._slower_finding(name, one, about)

    def _slower_finding(self, name: str, found: comparison.Sessions, about: str) -> Finding:
        says = (
            f"{self._asked(name)}: {found.ratio:.2f} times live's time, at least {found.bound:.2f}, "
            f"limit {self.limits.slower * found.control:.2f} times ({about}; "
            f"{found.count} sessions, Wilcoxon's test: {by_chance(found.p)}; live compared with itself: {found.control:.2f} times)"
        )
        return Finding(SLOWER, name, says, plain=comparison.is_plainly_slower(found, self.limits))

    def _slower(self, measured: Measured) -> Iterator[Finding]:
        if measured.sessions:
            if measured.has_controls:
                yield from self._slower_in_sessions(measured)
            return
        shifts = self._shifts(measured)
        if any(found.shift_ms > self.limits.slower_ms for _, found in shifts):
            found = comparison.shift_of_all(self._pairs(measured, self._places), self.limits, self.alpha)
            if comparison.is_slower(found, replace(self.limits, slower_ms=0.0), self.alpha):
                says = self._words(ALL, found, "each beside what is typical of it")
                yield Finding(SLOWER, ALL, says, plain=False)
        for (name, kind), found in shifts:
            if comparison.is_slower(found, self.limits, self.alpha):
                about = f"{found.shift_ms:.1f} ms more than live's {found.live_ms:.1f} ms, {kind} connections"
                yield Finding(SLOWER, name, self._words(name, found, about), plain=False)

    def _words(self, name: str, found: comparison.Shift, about: str) -> str:
        return (
            f"{self._asked(name)}: {found.ratio:.2f} times live's time, limit {self.limits.slower:g} times ({about}; "
            f"Mann-Whitney's test of {found.candidate} and {found.live} answers: {by_chance(found.p)})"
        )

    def _tails(self, measured: Measured) -> Iterator[Finding]:
        groups = {name: [(name, kind) for kind in KINDS] for name in dict.fromkeys(name for name, _ in self._places)}
        for name, places in (({ALL: self._places} if self._is_whole else {}) | groups).items():
            pairs = self._pairs(measured, places)
            if not pairs:
                continue
            candidates = tails.tail(pairs, self.limits, measured.sessions, measured.cores)
            plain = candidates[0].p <= self.alpha and tails.is_plain_tail(pairs, self.limits, measured.cores)
            chance = max(tails.CHANCE_OF_SESSIONS_IF_PLAIN if plain else 0.0, self._chance_of_sessions)
            found = tails.slower_tail(candidates, self.limits, self.alpha, chance)
            if found is not None:
                yield Finding(
                    TAIL,
                    name,
                    f"{self._asked(name)}: {found.slow / found.candidate:.1%} of {found.candidate} answers are far slower than usual, "
                    f"of live's {found.live_slow / found.live:.1%}; limit {self.limits.tail_share:.0%} more "
                    f"(Fisher's test: {by_chance(found.p)})",
                    plain=plain,
                )

    def _failures(self, measured: Measured) -> Finding | None:
        failed, asked = candidate_failures(measured), measured.asked_candidate
        if len(failed) < 2 or failure_bounds(len(failed), asked, 2 * _CONFIDENCE - 1).low <= _HICCUPS:
            return None
        _, name, why = failed[0]
        return Finding(
            FAILURES,
            ALL,
            f"{len(failed)} of {asked} requests failed, limit 1 in 1000; the first: {self._asked(name)}: {why}",
        )

    def _missing(self, measured: Measured) -> Iterator[Finding]:
        for place in self._places:
            for colour, times in measured.times[place].items():
                needed = measured.planned[place] - len([one for one in measured.failures if one[1] == place[0]])
                if len(times) < max(1, needed):
                    why = f": {measured.cut_short}" if measured.cut_short else ""
                    says = f"{self._asked(place[0])}: {len(times)} answers of {colour}, {measured.planned[place]} are needed{why}"
                    yield Finding(SAMPLES, place[0], says)

    def _too_few(self, measured: Measured) -> Iterator[Finding]:
        yield from self._missing(measured)
        pairs = self._pairs(measured, self._places)
        if not pairs or self._named or not self._is_whole:  # these get more sessions instead
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

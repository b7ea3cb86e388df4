"""Repeats measurements until they agree: no release is refused after one measurement, and none passes on a part of one."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from verification.latency import comparison
from verification.latency.judge import ALL, BUDGET, FAILURES, GENERATOR, SAMPLES, SLOWER, TAIL, Finding, Judge
from verification.latency.measuring import SECOND, THIRD, Measured, SessionPlan, measure, measure_in_sessions
from verification.latency.plan import CANDIDATE, LIVE, LatencyLimits, LatencyPlan, Operation, Place

Measure = Callable[[Collection[Place]], Measured]
# Other work moves on, or ends, in this time; in seconds.
PAUSE_BEFORE_CONFIRMATION_S = 5.0
_NUMBERS = ("", "first", "second", "third", "fourth", "fifth")
_COUNTS = ("", "one", "two", "three", "four", "five")


@dataclass(frozen=True)
class LatencyResult:
    """The result of the gate.

    ``suspected``: findings of the first measurement; ``findings``: those that a later one confirmed. ``further``: the measurements
    after the first one, in their order. ``unconfirmed``: what one of them found, and the next one did not confirm.
    """

    first: Measured
    further: tuple[Measured, ...]
    suspected: tuple[Finding, ...]
    findings: tuple[Finding, ...]
    compared: bool
    limits: LatencyLimits
    operations: Mapping[str, Operation]
    unconfirmed: tuple[Finding, ...] = ()

    @property
    def all(self) -> tuple[Measured, ...]:
        """Return the measurements in their order."""
        return self.first, *self.further

    @property
    def decisive(self) -> Measured:
        """Return the last measurement."""
        return self.all[-1]

    def about(self, operation: str, *tests: str) -> list[str]:
        """Return the findings about one operation, in words."""
        return [one.says for one in self.findings if one.operation == operation and one.test in tests]

    def first_words(self, operation: str) -> list[str]:
        """Return what the first measurement found about the operation, also if a later one did not confirm it."""
        return [one.says for one in self.suspected if one.operation == operation]

    def unconfirmed_words(self, operation: str) -> list[str]:
        """Return what a further measurement found about the operation, if the one after it did not confirm it."""
        return [one.says for one in self.unconfirmed if one.operation == operation]

    def last(self, operation: str) -> Measured:
        """Return the last measurement of an operation."""
        return next(
            (one for one in reversed(self.all) if any(place[0] == operation for place in one.times)), self.first
        )

    def is_answered(self, place: Place) -> bool:
        """Return whether both colours gave a good answer, so that ``shift`` can compare them."""
        times = self.last(place[0]).times.get(place, {})
        return all(times.get(colour) for colour in (CANDIDATE, LIVE))

    def shift(self, place: Place) -> comparison.Shift:
        """Return how the typical answer differs from live's. Raises ValueError if there are no two samples."""
        times = self.last(place[0]).times[place]
        return comparison.shift(times[CANDIDATE], times[LIVE], self.limits, self.limits.alpha)

    @property
    def requests(self) -> int:
        """Return the number of requests to the candidate, in all measurements."""
        return sum(one.asked_candidate for one in self.all)

    def refused(self, found: Collection[Finding], before: Sequence[Finding] = ()) -> LatencyResult:
        """Return the result with these findings of its last measurement, each with the words of the first one.

        ``before``: the findings that they confirm, of the last measurement but one.
        """
        count = len(self.all)
        findings = []
        for one in found:
            earlier = f"the first of {_COUNTS[count]} measurements: {_about(one, self.suspected)}"
            earlier += f"; the {_NUMBERS[count - 1]}: {_about(one, before)}" if before else ""
            findings.append(one.after(earlier))
        return replace(self, findings=tuple(findings))


class Again(Protocol):
    """Makes a further measurement, in sessions."""

    def __call__(self, suspected: Collection[str], sessions: SessionPlan, judge: Judge) -> Measured:
        """Measure the places of ``sessions`` again, the suspected operations with all samples; ``judge`` says when it is enough."""


def verify(plan: LatencyPlan, limits: LatencyLimits) -> LatencyResult:
    """Measure, and measure again if a limit was not kept; only the candidate if the plan names no live colour."""
    judge = Judge(limits, plan.samples, plan.operations)

    def once(places: Collection[Place]) -> Measured:
        looked = judge.of(places)
        return measure(plan, places, hopeless=looked.hopeless, wanted=looked.wanted)

    def again(suspected: Collection[str], sessions: SessionPlan, judge: Judge) -> Measured:
        return measure_in_sessions(plan, suspected, sessions, hopeless=judge.hopeless, wanted=judge.wanted)

    return judge_repeatedly(once, judge, again, compared=LIVE in plan.urls)


def judge_repeatedly(
    measured: Measure,
    judge: Judge,
    again: Again,
    *,
    compared: bool,
    pause: Callable[[float], None] = time.sleep,
) -> LatencyResult:
    """Apply the rule of repeated measurements: refuse a release if the first suspects it, for the reasons of the last.

    A further measurement decides, unless nothing that it finds is plain: then another one follows after a ``pause`` (in seconds),
    and only a difference of the same operation, by the same test, counts. If a suspicion has ended the first measurement, and no
    further one had all answers, everything is measured once more before a release passes.
    """
    first = measured(judge.places)
    suspected = tuple(judge.suspicions(first))
    result = LatencyResult(first, (), suspected, (), compared, judge.limits, judge.operations)
    if not suspected:
        return result
    # A slow tail may have shown in one operation first, and by chance would not show in that one twice.
    is_narrow = _names_operations(suspected) and judge.has_answers(first)
    part = judge.only(_operations(suspected)) if is_narrow else judge
    sessions = _sessions(SECOND, suspected, part)
    second = again(_operations(suspected), sessions, part)
    result, found = replace(result, further=(second,)), part.findings(second)
    if any(one.plain for one in found):
        return result.refused(found)
    if found:
        result = _confirmed(result, part, again, found, pause)
    is_whole = not is_narrow and (sessions.controls or not compared) and judge.is_complete(second)
    if result.findings or is_whole or judge.is_complete(first):
        return result
    return _measured_whole(result, judge, again, pause)


def _measured_whole(result: LatencyResult, judge: Judge, again: Again, pause: Callable[[float], None]) -> LatencyResult:
    """Measure everything; another measurement must confirm what is found, because it is new."""
    whole = again((), replace(SECOND, places=tuple(judge.places)), judge)
    result, found = replace(result, further=(*result.further, whole)), judge.findings(whole)
    if not found:
        return result
    if any(one.test in (SAMPLES, GENERATOR) for one in found):
        return result.refused(found)
    result = _confirmed(result, judge, again, found, pause)
    if result.findings or judge.is_complete(whole):
        return result
    why = f"no measurement of everything had all answers; the last one ended early: {whole.cut_short or found[0].says}"
    return replace(result, findings=(Finding(SAMPLES, ALL, why),))


def _confirmed(
    result: LatencyResult,
    judge: Judge,
    again: Again,
    found: Sequence[Finding],
    pause: Callable[[float], None],
) -> LatencyResult:
    """Measure what was found once more, after a pause; only what is found again counts."""
    pause(PAUSE_BEFORE_CONFIRMATION_S)
    confirming = (judge.only(_operations(found)) if _names_operations(found) else judge).confirming(found)
    last = again(_operations(found), _sessions(THIRD, found, confirming), confirming)
    confirmed = confirming.findings(last)
    known = {(one.test, one.operation) for one in confirmed}
    missing = [one for one in found if (one.test, one.operation) not in known]
    result = replace(result, further=(*result.further, last), unconfirmed=(*result.unconfirmed, *missing))
    return result.refused(confirmed, found)


def _about(one: Finding, found: Sequence[Finding]) -> str:
    """Return the words of the finding about the same operation, else of the first one."""
    return next((other.says for other in found if other.operation == one.operation), found[0].says)


def _operations(found: Collection[Finding]) -> Collection[str]:
    """Return the names of the operations that these findings are about, each once."""
    return dict.fromkeys(one.operation for one in found if one.operation != ALL)


def _names_operations(found: Collection[Finding]) -> bool:
    """Return whether nothing but single operations is slower or over a budget, so that the others need not be measured again."""
    return all(one.test in (SLOWER, BUDGET) and one.operation != ALL for one in found)


def _sessions(plan: SessionPlan, found: Collection[Finding], judge: Judge) -> SessionPlan:
    """Return the plan for the judge's places; without controls, in half the time, if only slow or failed answers are counted."""
    typical = any(one.test not in (TAIL, BUDGET, FAILURES) for one in found)
    return replace(plan, controls=typical, places=tuple(judge.places))

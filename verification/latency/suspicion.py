"""Suspects a slow tail from the answers to checks, and measures it in sessions at once, in the place of the first measurement.

Checks ask the release hundreds of times before the latency gate begins. If too many of these answers were late, a first measurement
would only find the same. Checks do not ask live, so the comparison with live decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from verification.latency.budget_watch import measured_as
from verification.latency.judge import ALL, BUDGET, TAIL, Finding, Judge
from verification.latency.measuring import SECOND, Measured, SessionPlan, measure_in_sessions
from verification.latency.plan import CANDIDATE, LIVE, LatencyLimits, LatencyPlan, Operation, Place
from verification.latency.repeating import LatencyResult
from verification.latency.tails import LATE_BEYOND_OTHER_WORK
from verification.statistics import failure_bounds

# Of fewer answers nobody knows what is usual.
_FEWEST = 20
# The chance that one question suspects a release of which just the acceptable share of answers is late.
_CHANCE = 0.001

MeasureSessions = Callable[[Collection[str], SessionPlan, Judge, Callable[[Measured], Collection[Place]]], Measured]


@dataclass(frozen=True)
class Suspicion:
    """How many answers to checks were late, of one operation by the latency gate's name or of ``all``."""

    operation: str
    late: int
    answers: int

    def __str__(self) -> str:
        return f"{self.late} of {self.answers} answers to checks were far later than usual"


class LateAnswers:
    """Keeps how long the candidate's answers to checks took, by operation."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}

    def add(self, operation: str, elapsed_ms: float) -> None:
        """Add one answer of an operation (METHOD and path template), in ms."""
        self._times.setdefault(operation, []).append(elapsed_ms)

    def suspicion(self, operations: Mapping[str, Operation], limits: LatencyLimits) -> Suspicion | None:
        """Return what to measure first: all operations, else the one with the greatest share of late answers; None if nothing."""
        counted = {name: (_late(times), len(times)) for name, times in self._times.items() if len(times) >= _FEWEST}
        late, answers = (sum(one[number] for one in counted.values()) for number in (0, 1))
        found = [Suspicion(ALL, late, answers)]
        named = ((measured_as(name, operations), counts) for name, counts in counted.items())
        single = [Suspicion(name, *counts) for name, counts in named if name is not None]
        found += sorted(single, key=lambda one: -one.late / one.answers)
        return next((one for one in found if _is_more(one, limits.tail_share)), None)


def _late(times: Sequence[float]) -> int:
    """Return how many answers of one operation are beyond its border."""
    border = _border(times)
    return sum(one > border for one in times)


def _border(times: Sequence[float]) -> float:
    """Return the time (ms) beyond which other work on the machine does not explain an answer, by what is usual of the operation."""
    usual = median(times)
    factor, more_ms = LATE_BEYOND_OTHER_WORK
    return max(factor * usual, usual + more_ms)


def _is_more(found: Suspicion, share: float) -> bool:
    return found.answers > 0 and failure_bounds(found.late, found.answers, 1 - 2 * _CHANCE).low > share


def confirm(plan: LatencyPlan, limits: LatencyLimits, suspicion: Suspicion) -> LatencyResult:
    """Measure what is suspected in sessions, beside live; the result has findings only if they are plain.

    Without findings nothing is proven: everything must be measured. Raises ValueError if the plan names no live colour.
    """
    if LIVE not in plan.urls:
        raise ValueError("a slow tail is compared with live's, and the plan names no live colour")

    def sessions(
        suspected: Collection[str], of: SessionPlan, judge: Judge, wanted: Callable[[Measured], Collection[Place]]
    ) -> Measured:
        return measure_in_sessions(plan, suspected, of, hopeless=judge.hopeless, wanted=wanted)

    return judge_suspicion(sessions, Judge(limits, plan.samples, plan.operations), suspicion)


def judge_suspicion(measure: MeasureSessions, judge: Judge, suspicion: Suspicion) -> LatencyResult:
    """Apply the rule of ``confirm`` to the times that ``measure`` takes: a slow tail counts, or the suspected operation's budget."""

    def wanted(measured: Measured) -> Collection[Place]:
        """End at the first look if nothing is to be seen, because good releases must not wait."""
        more = judge.wanted(measured)
        is_first_look = measured.sessions == SECOND.early[0]
        return () if is_first_look and not _has_more_late(measured, suspicion.operation, judge.limits) else more

    sessions = replace(SECOND, controls=False, places=tuple(judge.places))
    measured = measure([suspicion.operation] if suspicion.operation != ALL else (), sessions, judge, wanted)
    result = LatencyResult(measured, (), (), (), True, judge.limits, judge.operations)
    if measured.cut_short is None and measured.sessions < SECOND.least:
        return result
    found = [one for one in judge.findings(measured) if one.plain and _is_about(one, suspicion)]
    return replace(result, findings=tuple(one.after(f"before it {suspicion}") for one in found))


def _is_about(found: Finding, suspicion: Suspicion) -> bool:
    return found.test == TAIL or (found.test == BUDGET and found.operation == suspicion.operation)


def _has_more_late(measured: Measured, operation: str, limits: LatencyLimits) -> bool:
    """Return whether the operation has so many more late answers than live's that more sessions may prove it."""
    late, asked = (dict.fromkeys((CANDIDATE, LIVE), 0) for _ in range(2))
    for times in (times for (name, _), times in measured.times.items() if operation in (name, ALL)):
        border = _border([*times[CANDIDATE], *times[LIVE]] or [0.0])
        for colour in late:
            asked[colour] += len(times[colour])
            late[colour] += sum(one > border for one in times[colour])
    shares = {colour: late[colour] / max(1, asked[colour]) for colour in late}
    return shares[CANDIDATE] - shares[LIVE] > limits.tail_share / 2

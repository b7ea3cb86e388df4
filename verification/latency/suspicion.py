"""Suspects a slow tail from the answers to checks, and measures it in sessions at once, in the place of the first measurement.

Checks ask the release hundreds of times before the latency gate begins. If too many of these answers were late, a first measurement
would only find them again. Checks do not ask live, so the comparison with live decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from verification.latency.budget_watch import SHARES, OverBudget, measured_as
from verification.latency.judge import ALL, BUDGET, GENERATOR, TAIL, Finding, Judge
from verification.latency.measuring import SECOND, Measured, SessionPlan, measure_in_sessions
from verification.latency.plan import CANDIDATE, LIVE, LatencyLimits, LatencyPlan, Operation, Place
from verification.latency.repeating import LatencyResult
from verification.latency.tails import LATE_BEYOND_OTHER_WORK
from verification.statistics import failure_bounds

# Of fewer answers nobody knows what is usual.
_FEWEST = 20
# The chance to suspect a release of which just the acceptable share of answers is late: of all, and of each operation.
_CHANCE_OF_ALL, _CHANCE = 0.05, 0.01
# Sessions may take three times `longest`. These may take half of it, because everything may have to be measured after them.
_PART_OF_LONGEST = 1 / 6

MeasureSessions = Callable[[Collection[str], SessionPlan, Judge, Callable[[Measured], Collection[Place]]], Measured]


@dataclass(frozen=True)
class Suspicion:
    """How many answers to checks were late, of one operation by the latency gate's name or of ``all``.

    ``budgets``: those of which too many answers of the operation were over the limit.
    """

    operation: str
    late: int
    answers: int
    budgets: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.late} of {self.answers} answers to checks were far later than usual"


class LateAnswers:
    """Keeps how long the candidate's answers to checks took, by operation and status."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[tuple[str, int], list[float]] = {}

    def add(self, operation: str, status: int, elapsed_ms: float) -> None:
        """Add one answer of an operation (METHOD and path template), in ms. A refused login takes another time than a good one."""
        self._times.setdefault((operation, status), []).append(elapsed_ms)

    def suspicion(self, operations: Mapping[str, Operation], limits: LatencyLimits) -> Suspicion | None:
        """Return what to measure first: all operations, else the one with the greatest share of late answers; None if nothing."""
        series: dict[str, list[list[float]]] = {}
        for (operation, _), times in self._times.items():
            if len(times) >= _FEWEST:
                series.setdefault(operation, []).append(times)
        found = [_suspicion(ALL, [one for some in series.values() for one in some], limits)]
        single = [
            _suspicion(name, some, limits)
            for operation, some in series.items()
            if (name := measured_as(operation, operations)) is not None
        ]
        found += sorted(single, key=lambda one: -one.late / one.answers)
        return next((one for one in found if _is_more(one, limits.tail_share)), None)


def _suspicion(operation: str, series: Sequence[Sequence[float]], limits: LatencyLimits) -> Suspicion:
    """Return the suspicion of an operation, or of all, from the answer times (ms) of each kind of answer."""
    counts = OverBudget.of((one for times in series for one in times), limits)
    budgets = {key for key, share in SHARES.items() if getattr(counts, key) > share * counts.answers}
    late = sum(_late(times, _border(times)) for times in series)
    return Suspicion(operation, late, counts.answers, frozenset(budgets))


def _late(times: Sequence[float], border: float) -> int:
    return sum(one > border for one in times)


def _border(times: Sequence[float]) -> float:
    """Return the time (ms) beyond which other work on the machine does not explain an answer, by what is usual of the series."""
    usual = median(times or [0.0])
    factor, more_ms = LATE_BEYOND_OTHER_WORK
    return max(factor * usual, usual + more_ms)


def _is_more(found: Suspicion, share: float) -> bool:
    chance = _CHANCE_OF_ALL if found.operation == ALL else _CHANCE
    return found.answers > 0 and failure_bounds(found.late, found.answers, 1 - 2 * chance).low > share


def confirm(plan: LatencyPlan, limits: LatencyLimits, suspicion: Suspicion) -> LatencyResult:
    """Measure what is suspected in sessions, beside live; the result has findings only if this measurement proves them.

    Without findings nothing is proven: everything must be measured. Raises ValueError if the plan names no live colour.
    """
    if LIVE not in plan.urls:
        raise ValueError("a slow tail is compared with live's, and the plan names no live colour")
    plan = replace(plan, longest_s=plan.longest_s * _PART_OF_LONGEST)

    def sessions(
        suspected: Collection[str], of: SessionPlan, judge: Judge, wanted: Callable[[Measured], Collection[Place]]
    ) -> Measured:
        return measure_in_sessions(plan, suspected, of, hopeless=judge.hopeless, wanted=wanted)

    return judge_suspicion(sessions, Judge(limits, plan.samples, plan.operations), suspicion)


def judge_suspicion(measure: MeasureSessions, judge: Judge, suspicion: Suspicion) -> LatencyResult:
    """Apply the rule of ``confirm`` to the times that ``measure`` takes.

    A plain tail refuses that lasts, and a budget of the suspected operation that its answers to checks broke as well.
    """

    def wanted(measured: Measured) -> Collection[Place]:
        """End at a look if nothing is to be seen, because good releases must not wait."""
        more = judge.wanted(measured)
        return more if _has_more_late(measured, suspicion.operation, judge.limits) else ()

    sessions = replace(SECOND, controls=False, places=tuple(judge.places))
    measured = measure([suspicion.operation] if suspicion.operation != ALL else (), sessions, judge, wanted)
    result = LatencyResult(measured, (), (), (), True, judge.limits, judge.operations)
    found = judge.findings(measured)
    if any(one.test == GENERATOR for one in found):
        return result
    proven = [one for one in found if _is_proven(one, measured, suspicion, judge.limits)]
    return replace(result, findings=tuple(one.after(f"before it {suspicion}") for one in proven))


def _is_proven(found: Finding, measured: Measured, suspicion: Suspicion, limits: LatencyLimits) -> bool:
    if found.test == TAIL:
        return found.plain and measured.sessions >= SECOND.early[0] and _lasts(measured, found.operation)
    return found.test == BUDGET and found.operation == suspicion.operation and _breaks(measured, suspicion, limits)


def _lasts(measured: Measured, operation: str) -> bool:
    """Return whether the second half of the sessions has more than half as many late answers of the candidate as the first half.

    Else it is a release that warms up: many processes of which each gives its first answer late, for instance.
    """
    halves = [0, 0]
    for times in _of(measured, operation):
        border, middle = _border([*times[CANDIDATE], *times[LIVE]]), len(times[CANDIDATE]) // 2
        halves[0] += _late(times[CANDIDATE][:middle], border)
        halves[1] += _late(times[CANDIDATE][middle:], border)
    return halves[1] > halves[0] / 2


def _breaks(measured: Measured, suspicion: Suspicion, limits: LatencyLimits) -> bool:
    """Return whether the operation breaks a budget that the answers to checks broke, whatever its remaining answers are."""
    counts = OverBudget.of(measured.of(suspicion.operation, CANDIDATE), limits)
    planned = sum(count for place, count in measured.planned.items() if place[0] == suspicion.operation)
    return any(getattr(counts, key) > max(1, SHARES[key] * planned) for key in suspicion.budgets)


def _has_more_late(measured: Measured, operation: str, limits: LatencyLimits) -> bool:
    """Return whether the operation has so many more late answers than live's that more sessions may prove it."""
    late, asked = (dict.fromkeys((CANDIDATE, LIVE), 0) for _ in range(2))
    for times in _of(measured, operation):
        border = _border([*times[CANDIDATE], *times[LIVE]])
        for colour in late:
            asked[colour] += len(times[colour])
            late[colour] += _late(times[colour], border)
    shares = {colour: late[colour] / max(1, asked[colour]) for colour in late}
    return shares[CANDIDATE] - shares[LIVE] > limits.tail_share / 2


def _of(measured: Measured, operation: str) -> list[dict[str, list[float]]]:
    """Return the times by colour of each kind of connection of the operation, or of all."""
    return [times for (name, _), times in measured.times.items() if operation in (name, ALL)]

"""Watch the latency budgets while checks use the release: prove early that an operation is too slow, then measure it alone.

Checks ask some operations hundreds of times before the latency gate runs. Their answers are counted, not compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace

from verification.latency.measuring import Measured, measure
from verification.latency.plan import CANDIDATE, KINDS, LatencyLimits, LatencyPlan, Operation
from verification.statistics import failure_bounds, percentile

SHARES = {"p95_ms": 0.05, "p99_ms": 0.01}
"""The share of answers that may take longer than each budget."""
# The chance that any good operation is suspected during a run, however often its answers are evaluated.
_ERROR = 0.001
# Fewer answers prove nothing at this level.
_FEWEST = 4
_ID = re.compile(r"(?!v\d+$).*\d.*")
# If the clock is late by this share of the p50 budget, the measurement is about the machine.
_LATE = 0.2


@dataclass(frozen=True)
class OverBudget:
    """How many answers an operation gave, and how many of them took longer than each budget."""

    answers: int = 0
    p95_ms: int = 0
    p99_ms: int = 0

    @staticmethod
    def of(times: Iterable[float], limits: LatencyLimits) -> OverBudget:
        """Return the counts of answer times in ms."""
        found = list(times)
        return OverBudget(
            len(found), sum(one > limits.p95_ms for one in found), sum(one > limits.p99_ms for one in found)
        )

    def __add__(self, other: OverBudget) -> OverBudget:
        """Return the counts of both."""
        return OverBudget(self.answers + other.answers, self.p95_ms + other.p95_ms, self.p99_ms + other.p99_ms)

    def proves(self, questions: int) -> str | None:
        """Return the budget that these answers prove to be broken, None if they prove nothing.

        ``questions``: how many pairs of operation and budget are watched. Each gets its part of the error, and each
        evaluation at n answers a part of that: 3 / n(n - 1), which sums to 1 from four answers on. So the counts may be
        evaluated at every answer.
        """
        if self.answers < _FEWEST:
            return None
        error = _ERROR / questions * (_FEWEST - 1) / (self.answers * (self.answers - 1))
        for name, allowed in SHARES.items():
            over = getattr(self, name)
            if over > allowed * self.answers and failure_bounds(over, self.answers, 1 - 2 * error).low > allowed:
                return name
        return None


@dataclass(frozen=True)
class Suspect:
    """An operation (METHOD and path template) whose answers to checks prove that ``budget`` is broken."""

    operation: str
    budget: str
    counts: OverBudget
    limit_ms: float

    def __str__(self) -> str:
        over = getattr(self.counts, self.budget)
        return f"{over} of {self.counts.answers} answers to checks took longer than {self.limit_ms:g} ms"


class BudgetWatch:
    """Counts the answers of the operations that the latency gate measures; other operations are ignored."""

    __slots__ = ("_counts", "_limits", "_operations", "_settled")

    def __init__(self, limits: LatencyLimits, operations: Mapping[str, Operation]) -> None:
        self._limits = limits
        self._operations = operations
        self._counts: dict[str, OverBudget] = {}
        self._settled: set[str] = set()

    def count(self, operation: str, elapsed_ms: float) -> OverBudget:
        """Count one answer of an operation (ms); return the counts that were added."""
        added = OverBudget(1, int(elapsed_ms > self._limits.p95_ms), int(elapsed_ms > self._limits.p99_ms))
        self.add(operation, added)
        return added

    def add(self, operation: str, counts: OverBudget) -> None:
        """Add counts of an operation."""
        self._counts[operation] = self._counts.get(operation, OverBudget()) + counts

    def suspect(self) -> Suspect | None:
        """Return an operation that is proven to be too slow and not settled yet; None if there is none.

        A read without parameters goes first, because its measurement needs no other operation.
        """
        questions = len(SHARES) * max(1, len(self._operations))
        found = [
            Suspect(operation, budget, counts, getattr(self._limits, budget))
            for operation, counts in self._counts.items()
            if self.was_slow(operation)
            and operation not in self._settled
            and measured_as(operation, self._operations)
            and (budget := counts.proves(questions))
        ]
        return min(found, key=lambda one: (not one.operation.startswith("GET "), "{" in one.operation), default=None)

    def was_slow(self, operation: str) -> bool:
        """Return whether any answer of the operation took longer than a budget."""
        counts = self._counts.get(operation, OverBudget())
        return counts.p95_ms > 0 or counts.p99_ms > 0

    def settle(self, operation: str) -> None:
        """Never suspect this operation again: it was measured."""
        self._settled.add(operation)


@dataclass(frozen=True)
class Alone:
    """The result of measuring an operation alone; ``broken``: its budget does not hold. ``says``: value, limit and samples."""

    broken: bool
    says: str


def measured_as(operation: str, operations: Mapping[str, Operation]) -> str | None:
    """Return the latency gate's name for an operation, such as ``GET /items/{id}``; None if the gate does not measure it."""
    wanted = _shape(operation)
    return next((one.name for one in operations.values() if _shape(f"{one.method} {one.path}") == wanted), None)


def _shape(operation: str) -> str:
    """Return the operation without its query and without the names of its parameters."""
    return re.sub(r"\$?\{[^}]*\}", "{}", operation.partition("?")[0])


def without_ids(path: str) -> str:
    """Return a path with ``{}`` for each part that looks like an id: it has a digit, and is not a version such as ``v1``."""
    return "/".join("{}" if _ID.fullmatch(part) else part for part in path.split("/"))


def measure_alone(plan: LatencyPlan, limits: LatencyLimits, suspect: Suspect) -> Alone:
    """Measure the suspected operation of the candidate. Nothing else may use the release during the measurement.

    It ends as soon as the answers prove that a budget is broken, or as soon as the gate's own samples must break it.
    """
    name = measured_as(suspect.operation, plan.operations)
    if name is None:
        raise ValueError(f"the latency gate does not measure {suspect.operation}")
    # The release is warm: it has answered the checks. A budget does not depend on the live colour's answers.
    plan = replace(plan, urls={CANDIDATE: plan.urls[CANDIDATE]}, warmup=0)

    def hopeless(measured: Measured) -> str | None:
        broken = _broken(measured, name, limits)
        return None if broken is None else f"{broken} is broken"

    measured = measure(plan, [(name, kind) for kind in KINDS], hopeless=hopeless, wanted=lambda _: ())
    times = sorted(measured.of(name, CANDIDATE))
    broken = _broken(measured, name, limits)
    if not times:
        return Alone(False, f"{suspect.operation}: no answer, {_why(measured)}")
    budget = broken or suspect.budget
    value, limit = percentile(times, 100 - 100 * SHARES[budget]), getattr(limits, budget)
    says = (
        f"{suspect.operation}: {budget.removesuffix('_ms')} {value:.0f} ms, limit {limit:g} ms; "
        f"{len(times)} answers, measured alone because {suspect}"
    )
    late = measured.lateness_ms > _LATE * limits.p50_ms
    return Alone(broken is not None and not late, f"{says}; this machine was too busy to measure" if late else says)


def _why(measured: Measured) -> str:
    return measured.cut_short or next((why for _, _, why in measured.failures), "the measurement was empty")


def _broken(measured: Measured, name: str, limits: LatencyLimits) -> str | None:
    """Return the budget that these answers break: by proof, or because the remaining planned answers cannot bring it back."""
    counts = OverBudget.of(measured.of(name, CANDIDATE), limits)
    planned = sum(count for place, count in measured.planned.items() if place[0] == name)
    if counts.answers < _FEWEST:
        return None
    if (proven := counts.proves(len(SHARES))) is not None:
        return proven
    return next((budget for budget, share in SHARES.items() if getattr(counts, budget) > planned * share), None)


def encoded(counts: OverBudget) -> list[int]:
    """Return the counts as a list of numbers."""
    return list(astuple(counts))


def decoded(numbers: Sequence[int]) -> OverBudget:
    """Return the counts that ``encoded`` turned into a list."""
    return OverBudget(*numbers)

"""The candidate's slow answers to checks: counted in each process, handed to the coordinator with the checks' reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from verification.http.client import Exchange
from verification.latency.budget_watch import BudgetWatch, OverBudget, decoded, encoded
from verification.latency.plan import LatencyLimits, Operation
from verification.latency.suspicion import LateAnswers, Suspicion

ANSWERS = "answers over budget"
CUT_SHORT = "cut short"
WAITED = "waited"
# A check that goes on for so long after the proof is cut short; it begins again if the proof is not confirmed.
PATIENCE_S = 5.0
# A failing answer (5xx or none) that took longer has waited for a dependency, a lock or a pool; so has any other answer
# that took longer than this and than the p99 budget.
WAITING_MS = 500.0

NameOf = Callable[[Exchange], str | None]


class SlowAnswers:
    """Watches the running check's requests to the candidate; any thread may add to it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._late = LateAnswers()
        self._clock = clock
        self._lock = threading.Lock()
        self._watch: BudgetWatch | None = None
        self._name_of: NameOf | None = None
        self._pending: dict[str, OverBudget] = {}  # by operation: since the last report that carried them
        self._ordinary = False
        self._in_call = False
        self._proven_at: float | None = None
        self._cut = False
        self._waited_ms = 0.0
        self._p99_ms = 0.0

    def watch(self, limits: LatencyLimits, operations: Mapping[str, Operation], name_of: NameOf) -> None:
        """Count the answers of these operations by these budgets; ``name_of`` names a request's. The first call counts."""
        if self._watch is None:
            self._watch, self._name_of, self._p99_ms = BudgetWatch(limits, operations), name_of, limits.p99_ms

    def begin(self, ordinary: bool) -> None:
        """Begin a check; only ``ordinary`` checks ask the candidate one request at a time, as a user does."""
        with self._lock:
            self._ordinary, self._cut, self._waited_ms, self._proven_at = ordinary, False, 0.0, None

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Allow the check to be cut short in this block. pytest keeps the failure of a fixture, so its setup is not cut."""
        self._in_call = True
        try:
            yield
        finally:
            self._in_call = False

    def exchanged(self, exchange: Exchange) -> None:
        """Count a request to the candidate. Raises pytest's Failed if the running check must end here."""
        if not self._ordinary or self._watch is None or self._name_of is None:
            return
        with self._lock:
            failing = exchange.status is None or exchange.status >= 500
            if exchange.elapsed_ms > (WAITING_MS if failing else max(WAITING_MS, self._p99_ms)):
                self._waited_ms += exchange.elapsed_ms
            if exchange.status is None or failing:
                return
            operation = self._name_of(exchange)
            if operation is not None:
                self._late.add(operation, exchange.status, exchange.elapsed_ms)
                added = self._watch.count(operation, exchange.elapsed_ms)
                self._pending[operation] = self._pending.get(operation, OverBudget()) + added
            cut = self._must_end(self._watch)
        if cut:
            pytest.fail(CUT_SHORT, pytrace=False)

    def _must_end(self, watch: BudgetWatch) -> bool:
        if not self._in_call or self._cut or (suspect := watch.suspect()) is None:
            return False
        if self._proven_at is None:
            self._proven_at = self._clock()
        if self._clock() - self._proven_at < PATIENCE_S:
            return False
        self._cut = True
        while suspect is not None:  # each operation cuts one check in each process
            watch.settle(suspect.operation)
            suspect = watch.suspect()
        return True

    def suspicion(self, operations: Mapping[str, Operation], limits: LatencyLimits) -> Suspicion | None:
        """Return what the answers to this process's checks suspect of a slow tail; None if nothing."""
        with self._lock:
            return self._late.suspicion(operations, limits)

    def hand_over(self, report: pytest.TestReport) -> None:
        """Move the counts since the last call into the report, of operations that were ever slow; mark a check that was cut."""
        with self._lock:
            watch = self._watch
            sent = [one for one in self._pending if watch is not None and watch.was_slow(one)]
            counts = {one: encoded(self._pending.pop(one)) for one in sent}
            if counts:
                report.user_properties.append((ANSWERS, counts))
            if self._waited_ms:
                report.user_properties.append((WAITED, self._waited_ms / 1000))
            if self._cut:
                report.user_properties.append((CUT_SHORT, True))

    def hide_cut(self, report: pytest.TestReport) -> None:
        """Make the report of a check that was cut short one that says nothing: neither a pass nor a failure."""
        if self._cut and (report.when == "call" or report.failed):
            report.outcome = "skipped"
            report.longrepr = (report.location[0], report.location[1] or 0, "cut short: the release answers too slowly")


def answers_in(report: pytest.TestReport) -> dict[str, OverBudget]:
    """Return the counts of a report, by operation."""
    return {
        operation: decoded(numbers)
        for name, value in report.user_properties
        if name == ANSWERS and isinstance(value, dict)
        for operation, numbers in value.items()
    }


def was_cut(report: pytest.TestReport) -> bool:
    """Return whether the report is of a check that was cut short."""
    return any(name == CUT_SHORT for name, _ in report.user_properties)


def waited_s(report: pytest.TestReport) -> float:
    """Return how many seconds the check has waited in vain for answers."""
    return sum(value for name, value in report.user_properties if name == WAITED and isinstance(value, float))

"""The latency verdict before the latency gate: which operation to measure alone, and which checks to begin again after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployment.evidence.verdict import CheckOutcome
from deployment.settings import Settings
from plugins.measurement import latency_plan
from plugins.slow_answers import answers_in, waited_s, was_cut
from plugins.stages import LATENCY
from plugins.state import State
from verification.http.answer_limits import AnswerLimits
from verification.journeys.model import Service
from verification.latency.budget_watch import Alone, BudgetWatch, Suspect, measure_alone
from verification.latency.plan import LatencyLimits, operations_of

# Checks of one stage, such as the many of `endpoints`, show some failures and do not all wait for the same dead dependency.
MOST_WAITING_S = 5.0
FEWEST_WAITS = 3


class EarlyVerdict:
    """Sums the counts of all processes. It only asks for a measurement; the coordinator stops the run."""

    __slots__ = ("_again", "_gate", "_largest", "_limits", "_service", "_waited_s", "_waits", "_watch")

    def __init__(self, settings: Settings, service: Service) -> None:
        """Take the latency gate's limits from the settings, and its operations from the description of the service."""
        self._gate = settings.table(LATENCY)
        self._service = service
        self._largest = AnswerLimits.of(settings.limits.largest_answer, settings.limits.request_deadline).largest
        self._limits = LatencyLimits.of(self._gate)
        self._watch = BudgetWatch(self._limits, operations_of(service))
        self._again: list[str] = []
        self._waited_s = 0.0
        self._waits = 0

    def add(self, report: pytest.TestReport) -> bool:
        """Add the counts of a report; return whether it is of a check that was cut short and must begin again."""
        for operation, counts in answers_in(report).items():
            self._watch.add(operation, counts)
        if not was_cut(report):
            return False
        if report.nodeid not in self._again:
            self._again.append(report.nodeid)
        return True

    def ended(self, report: pytest.TestReport, outcome: CheckOutcome) -> None:
        """Note how long a check that did not pass has waited in vain."""
        if outcome is not CheckOutcome.PASSED and (seconds := waited_s(report)):
            self._waited_s += seconds
            self._waits += 1

    @property
    def waiting(self) -> bool:
        """Whether a gate has failed because the release waited in vain, for a dead dependency for instance."""
        return self._waited_s > 0

    @property
    def waited_enough(self) -> bool:
        """Whether failing checks have waited for so long in all that no other check may begin."""
        return self._waited_s >= MOST_WAITING_S and self._waits >= FEWEST_WAITS

    @property
    def pending(self) -> bool:
        """Whether an operation must be measured, or a check must begin again, before further checks run."""
        return bool(self._again) or self._watch.suspect() is not None

    def suspect(self) -> Suspect | None:
        """Return the operation to measure now; None if there is none."""
        return self._watch.suspect()

    def settle(self, suspect: Suspect) -> None:
        """Never return this operation again: each is measured once in a run."""
        self._watch.settle(suspect.operation)

    def measure(self, suspect: Suspect, state: State) -> Alone:
        """Measure the operation on the candidate."""
        candidate, users = state.candidate, state.smoke_users
        if candidate is None or (self._service.needs_user and not users):
            return Alone(False, f"{suspect.operation}: there is no candidate to measure")
        plan = latency_plan(self._service, candidate, None, users, self._gate)
        return measure_alone(replace(plan, largest=self._largest, ledger=state.ledger), self._limits, suspect)

    def take_again(self) -> list[str]:
        """Return the checks that must begin again, each once."""
        again, self._again = self._again, []
        return again

"""The verdict: it compares the expected checks with the passed ones, and relies on nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from deployment.model import GateRule

ORDER = ("health", "database", "redis", "auth", "endpoints", "latency", "load")
LIVE = "live"
DURATION_DECIMALS = 3  # decimals of a duration in a report


class CheckOutcome(StrEnum):
    """How one check ended; only ``PASSED`` is a pass."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"  # its fixtures failed, or its worker was lost
    INCONCLUSIVE = "inconclusive"  # skipped, expected to fail, …: it proves nothing


class GateOutcome(StrEnum):
    """How a gate ended, as reports name it."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    NOT_RUN = "not_run"
    # Those of its checks that ran passed; the run stopped before the others, or lacks the accounts to ask them.
    INCOMPLETE = "incomplete"
    ABSENT = "absent"  # the service declares that it has no such part


BLOCKS_NOTHING = frozenset({GateOutcome.PASSED, GateOutcome.ABSENT})
"""The outcomes of a required gate that do not prevent a promotion."""


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; ``message`` says in one line why it did not pass."""

    check: str
    gate: str
    outcome: CheckOutcome
    message: str | None = None


@dataclass(frozen=True)
class GateResult:
    """A gate's line in the report; ``reason`` says in a sentence why it did not pass.

    ``checks`` is how many checks were expected, ``ran`` how many of them reported a result, and ``failed`` how many of
    those did not pass.
    """

    name: str
    required: bool
    outcome: GateOutcome
    checks: int
    failed: int
    duration_s: float
    waived: str | None = None
    requests: int = 0
    reason: str | None = None
    ran: int = 0

    def as_report(self) -> dict[str, object]:
        """Return the fields of the public report."""
        return {
            "name": self.name,
            "required": self.required,
            "outcome": self.outcome.value,
            "checks": self.checks,
            "ran": self.ran,
            "failed": self.failed,
            "duration_s": round(self.duration_s, DURATION_DECIMALS),
            "waived": self.waived,
        }


def in_report_order(names: Iterable[str]) -> list[str]:
    """Return a report's gates in order: the original seven, then further ones alphabetically, ``live`` last."""
    further = sorted(set(names) - set(ORDER) - {LIVE})
    return [*ORDER, *further, LIVE]


def names_of(check: str) -> tuple[str, str, str]:
    """Return the names that stand for a check, for instance in a waiver: its own, that of all its parameters, that of its file."""
    base = check.partition("[")[0]
    return check, base, base.partition("::")[0]


@dataclass
class Tally:
    """Collects the expected checks and their results. An expected check without a result is not a pass.

    Its gate is in error if the result is overdue, that is, if the run went on without it; else the run itself stopped
    before the check, and the gate is incomplete.
    """

    expected: dict[str, str] = field(default_factory=dict)  # check -> gate
    results: dict[str, list[CheckResult]] = field(default_factory=dict)
    declared: dict[str, int] = field(default_factory=dict)  # check -> the least number of samples that it must take
    requests: Counter[str] = field(default_factory=Counter)  # by check: requests to the release that were recorded
    samples: Counter[str] = field(default_factory=Counter)  # by check: answers that were recorded
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    faults: list[tuple[str, str]] = field(default_factory=list)  # (gate or step, what): lost workers, internal errors
    overdue: set[str] = field(default_factory=set)  # checks whose results must have come by now
    absent: dict[str, str] = field(default_factory=dict)  # gate -> what the service declares that it does not have
    answers: dict[str, set[str]] = field(default_factory=dict)  # the contract's answer -> the checks that received it
    not_asked: dict[str, str] = field(default_factory=dict)  # check -> why this run cannot ask it
    harmed: dict[str, str] = field(default_factory=dict)  # gate -> why it failed although none of its checks did
    advisory: set[str] = field(default_factory=set)  # expected checks that do not count for their gates
    unfinished: set[str] = field(default_factory=set)  # checks that have begun, and whose teardown has not reported

    def expect(self, check: str, gate: str, samples: int = 0, *, advisory: bool = False) -> None:
        """Expect a check to pass, on at least ``samples`` samples; if it is advisory, its gate does not need it."""
        self.expected[check] = gate
        self.declared[check] = samples
        if advisory:
            self.advisory.add(check)

    def record(self, result: CheckResult) -> None:
        """Record a check's result. A second, different outcome of the same check never improves the first."""
        self.results.setdefault(result.check, []).append(result)

    def phase(self, check: str, name: str | None) -> None:
        """Note which of its phases a check has reported: setup, call or teardown."""
        (self.unfinished.discard if name == "teardown" else self.unfinished.add)(check)

    def forget_unfinished(self) -> None:
        """Remove the passes of checks whose teardown never reported: the end of the run cut them short."""
        for check in self.unfinished & self.results.keys():
            kept = [one for one in self.results.pop(check) if one.outcome is not CheckOutcome.PASSED]
            if kept:
                self.results[check] = kept

    def add_usage(self, check: str, requests: int, seconds: float, samples: int = 0) -> None:
        """Add the requests, answers and seconds that a check used, including its setup and teardown."""
        self.requests[check] += requests
        self.samples[check] += samples
        self.seconds[check] += seconds

    def add_answers(self, check: str, answers: Iterable[str]) -> None:
        """Add the contract's answers that a check received."""
        for answer in answers:
            self.answers.setdefault(answer, set()).add(check)

    def met(self) -> dict[str, set[str]]:
        """Return the contract's answers and the checks that met them.

        A check that did not pass may have got another answer than it should. An advisory one does not count.
        """
        passed = {check for check, results in self.results.items() if _worst(results) is CheckOutcome.PASSED}
        passed -= self.advisory
        return {answer: checks & passed for answer, checks in self.answers.items() if checks & passed}

    def missing_samples(self, check: str) -> str | None:
        """Return a sentence if a check took fewer samples than it declares, so that its result proves too little.

        Else None.
        """
        taken, declared = self.samples[check], self.declared.get(check, 0)
        return (
            f"it took {taken} samples, but declares {declared}: too few to prove anything" if taken < declared else None
        )

    def fault(self, where: str, what: str) -> None:
        """Record a problem that belongs to no check and forbids a pass."""
        self.faults.append((where, what))

    def require_results(self, checks: Iterable[str]) -> None:
        """Declare that these checks must have reported by now: from here on a missing result is an error."""
        self.overdue.update(checks)

    def fail_gate(self, gate: str, reason: str) -> None:
        """Fail a gate for a reason that none of its checks reported, such as harm during the bake."""
        self.harmed.setdefault(gate, reason)

    def declare_absent(self, gate: str, reason: str) -> None:
        """Declare that the service has no such part, so that no check of the gate is expected."""
        self.absent[gate] = reason

    def leave_out(self, check: str, reason: str) -> None:
        """Record that this run cannot ask a check, and why: it neither passed nor failed."""
        self.not_asked[check] = reason

    def left_out(self) -> list[dict[str, str]]:
        """Return the checks that were left out, each with its gate and the reason."""
        return [
            {"check": check, "gate": self.expected[check], "reason": reason}
            for check, reason in sorted(self.not_asked.items())
        ]

    def lacks_only_left_out(self, gate: str) -> bool:
        """Return whether checks of a gate were left out, and every other one of it has a result."""
        checks = [check for check in self._counted(gate) if not self.results.get(check)]
        return bool(checks) and all(check in self.not_asked for check in checks)

    def unreported(self) -> str | None:
        """Return a check that counts for its gate, was not left out, and has no result; None if there is none."""
        checks = (check for check in self.expected if check not in self.advisory and check not in self.not_asked)
        return next((check for check in checks if not self.results.get(check)), None)

    def _counted(self, gate: str) -> list[str]:
        return [check for check, own in self.expected.items() if own == gate and check not in self.advisory]

    def advised(self) -> list[dict[str, str | None]]:
        """Return the result of each advisory check: its outcome (``not_run`` without one), and why it did not pass."""
        found: list[dict[str, str | None]] = []
        for check in sorted(self.advisory):
            results = self.results.get(check, [])
            bad = next((one for one in results if one.outcome is not CheckOutcome.PASSED), None)
            outcome = _worst(results).value if results else GateOutcome.NOT_RUN.value
            found.append({"check": check, "outcome": outcome, "message": bad.message if bad else None})
        return found

    def gate(self, rule: GateRule) -> GateResult:
        """Return the gate's result so far."""
        checks = self._counted(rule.name)
        results_of = {check: self.results.get(check, []) for check in checks}
        requests = sum(self.requests[check] for check in checks)
        outcome, reason = self._judge(rule, results_of, requests)
        ran = sum(bool(results) for results in results_of.values())
        failed = sum(_worst(results) is not CheckOutcome.PASSED for results in results_of.values() if results)
        duration = sum(self.seconds[check] for check in checks)
        return GateResult(rule.name, rule.required, outcome, len(checks), failed, duration, None, requests, reason, ran)

    def _judge(
        self, rule: GateRule, results_of: Mapping[str, Sequence[CheckResult]], requests: int
    ) -> tuple[GateOutcome, str | None]:
        """Return a gate's outcome, and why it did not pass, from the results of each of its checks."""
        expected = len(results_of)
        outcomes = Counter(_worst(results) for results in results_of.values() if results)
        ran = sum(outcomes.values())
        failed = ran - outcomes[CheckOutcome.PASSED]
        if rule.name in self.absent and not expected:
            return GateOutcome.ABSENT, self.absent[rule.name]
        if failed:  # whether or not too few checks were collected
            outcome = GateOutcome.FAILED if failed > outcomes[CheckOutcome.ERROR] else GateOutcome.ERROR
            return outcome, _first_failure(results_of)
        if expected < rule.min_checks:
            return GateOutcome.NOT_RUN, f"{expected} checks were collected, {rule.min_checks} are required"
        if rule.name in self.harmed:
            return GateOutcome.FAILED, self.harmed[rule.name]
        left_out = [self.not_asked[check] for check in results_of if check in self.not_asked]
        if expected == 0 or ran == 0:
            none = f"no check was asked: {left_out[0]}" if left_out else "no check ran"
            return GateOutcome.NOT_RUN, none if expected else None
        missing = [check for check, results in results_of.items() if not results and check not in self.not_asked]
        if lost := [check for check in missing if check in self.overdue]:
            return GateOutcome.ERROR, f"{len(lost)} of {expected} checks never reported, among them {lost[0]}"
        if missing:
            return GateOutcome.INCOMPLETE, f"{ran} of {expected} checks ran, and passed; the others did not run"
        if ran < expected:
            why = f"{ran} of {expected} checks ran, and passed; the others were not asked: {left_out[0]}"
            return GateOutcome.INCOMPLETE, why
        if rule.required and requests == 0:
            return (
                GateOutcome.FAILED,
                "its checks sent the release no recorded request, so they proved nothing about it",
            )
        return GateOutcome.PASSED, None


def _worst(results: Sequence[CheckResult]) -> CheckOutcome:
    for outcome in (CheckOutcome.FAILED, CheckOutcome.ERROR, CheckOutcome.INCONCLUSIVE):
        if any(result.outcome is outcome for result in results):
            return outcome
    return CheckOutcome.PASSED


def _first_failure(results_of: Mapping[str, Sequence[CheckResult]]) -> str:
    """Return the message of the first check that failed by itself, else of the first that could not begin."""
    bad = [result for results in results_of.values() for result in results if result.outcome is not CheckOutcome.PASSED]
    if not bad:
        raise AssertionError("a failed gate has a check that did not pass")
    first = next((result for result in bad if result.outcome is CheckOutcome.FAILED), bad[0])
    return f"{first.check.rpartition('::')[2]}: {first.message or first.outcome.value}"


def not_passed(gates: Iterable[GateResult]) -> list[GateResult]:
    """Return the required gates that block the promotion."""
    return [gate for gate in gates if gate.required and gate.outcome not in BLOCKS_NOTHING and gate.waived is None]


def checks_passed(gates: Iterable[GateResult]) -> str:
    """Return how many checks passed in how many gates; a gate without checks does not count."""
    with_checks = [gate for gate in gates if gate.checks]
    passed, expected = sum(gate.ran - gate.failed for gate in with_checks), sum(gate.checks for gate in with_checks)
    count = f"{passed}" if passed == expected else f"{passed} of {expected}"
    return f"{count} checks passed in {len(with_checks)} gates"


def must_have_passed(gates: Sequence[GateResult]) -> None:
    """Raise AssertionError if a promotion is requested although its gates block it: a defect of this program."""
    if not gates:
        raise AssertionError("promotion was requested without a single gate")
    blocked = not_passed(gates)
    if blocked:
        raise AssertionError(f"promotion was requested although {blocked[0].name} has not passed")


def culprit(gates: Sequence[GateResult]) -> GateResult:
    """Return the gate to name among those that did not pass.

    Checks that could not begin (no sign-in, say) are not the cause, and a gate that was cut short is none either.
    """
    causes = (GateOutcome.FAILED, GateOutcome.ERROR)
    return next((gate for cause in causes for gate in gates if gate.outcome is cause), gates[0])

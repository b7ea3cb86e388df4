"""The verdict: it counts what was expected against what passed, and trusts nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from deployment.model import GateRule

ORDER = ("health", "database", "redis", "auth", "endpoints", "latency", "load")
LIVE = "live"
FEW_SECONDS = 3  # decimals of a duration in a report


class CheckOutcome(StrEnum):
    """How one check came out; only ``PASSED`` is a pass."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"  # its fixtures failed, or its worker was lost
    INCONCLUSIVE = "inconclusive"  # skipped, expected to fail, …: it proved nothing


class GateOutcome(StrEnum):
    """How a gate came out, as reports name it."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    NOT_RUN = "not_run"


@dataclass(frozen=True)
class CheckResult:
    """What came of one check; ``message`` says in a line why it did not pass."""

    check: str
    gate: str
    outcome: CheckOutcome
    message: str | None = None


@dataclass(frozen=True)
class GateResult:
    """A gate's line in the report; ``reason`` says in a sentence why it did not pass."""

    name: str
    required: bool
    outcome: GateOutcome
    checks: int
    failed: int
    duration_s: float
    waived: str | None = None
    requests: int = 0
    reason: str | None = None

    def as_report(self) -> dict[str, object]:
        """The fields of the public report."""
        return {
            "name": self.name,
            "required": self.required,
            "outcome": self.outcome.value,
            "checks": self.checks,
            "failed": self.failed,
            "duration_s": round(self.duration_s, FEW_SECONDS),
            "waived": self.waived,
        }


def in_report_order(names: Iterable[str]) -> list[str]:
    """The gates of a report: the seven of old first, further ones alphabetically, ``live`` last."""
    further = sorted(set(names) - set(ORDER) - {LIVE})
    return [*ORDER, *further, LIVE]


@dataclass
class Tally:
    """Collects what is expected and what came of it. A check that is expected and never heard of is not a pass."""

    expected: dict[str, str] = field(default_factory=dict)  # check -> gate
    results: dict[str, list[CheckResult]] = field(default_factory=dict)
    declared: dict[str, int] = field(default_factory=dict)  # check -> samples that it takes at least
    requests: Counter[str] = field(default_factory=Counter)  # by check: what it was recorded to ask of the release
    samples: Counter[str] = field(default_factory=Counter)  # by check: what it was recorded to be answered
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    faults: list[tuple[str, str]] = field(default_factory=list)  # (gate or step, what): lost workers, internal errors

    def expect(self, check: str, gate: str, samples: int = 0) -> None:
        """A check that must pass, on so many samples at least."""
        self.expected[check] = gate
        self.declared[check] = samples

    def record(self, result: CheckResult) -> None:
        """What came of a check; a second, different outcome of the same one never improves the first."""
        self.results.setdefault(result.check, []).append(result)

    def spent(self, check: str, requests: int, seconds: float, samples: int = 0) -> None:
        """What a check used up, setup and teardown included, and how many answers it got for it."""
        self.requests[check] += requests
        self.samples[check] += samples
        self.seconds[check] += seconds

    def short_of(self, check: str) -> str | None:
        """Where a check has taken fewer samples than it declares, that in words: what it says of the release stands on too little."""
        taken, declared = self.samples[check], self.declared.get(check, 0)
        return f"it took {taken} samples, and declares {declared}: that proves nothing" if taken < declared else None

    def fault(self, where: str, what: str) -> None:
        """Something that belongs to no check and forbids a pass."""
        self.faults.append((where, what))

    def gate(self, rule: GateRule) -> GateResult:
        """The gate's result so far."""
        checks = [check for check, gate in self.expected.items() if gate == rule.name]
        heard = {check: self.results.get(check, []) for check in checks}
        requests = sum(self.requests[check] for check in checks)
        outcome, reason = _judge(rule, heard, requests)
        failed = sum(_worst(results) is not CheckOutcome.PASSED for results in heard.values() if results)
        duration = sum(self.seconds[check] for check in checks)
        return GateResult(rule.name, rule.required, outcome, len(checks), failed, duration, None, requests, reason)


def _judge(rule: GateRule, heard: Mapping[str, Sequence[CheckResult]], requests: int) -> tuple[GateOutcome, str | None]:
    """Return a gate's outcome, and why it did not pass, from the results of each of its checks."""
    expected = len(heard)
    outcomes = Counter(_worst(results) for results in heard.values() if results)
    ran = sum(outcomes.values())
    failed = ran - outcomes[CheckOutcome.PASSED]
    if expected < rule.min_checks:
        return GateOutcome.NOT_RUN, f"{expected} checks were collected, {rule.min_checks} are required"
    if expected == 0 or ran == 0:
        return GateOutcome.NOT_RUN, "no check ran" if expected else None
    if failed:
        outcome = GateOutcome.FAILED if failed > outcomes[CheckOutcome.ERROR] else GateOutcome.ERROR
        return outcome, _first_failure(heard)
    if ran < expected:
        missing = next(check for check, results in heard.items() if not results)
        return GateOutcome.ERROR, f"{expected - ran} of {expected} checks never reported, among them {missing}"
    if rule.required and requests == 0:
        return GateOutcome.FAILED, "its checks sent the release no recorded request, so they proved nothing about it"
    return GateOutcome.PASSED, None


def _worst(results: Sequence[CheckResult]) -> CheckOutcome:
    for outcome in (CheckOutcome.FAILED, CheckOutcome.ERROR, CheckOutcome.INCONCLUSIVE):
        if any(result.outcome is outcome for result in results):
            return outcome
    return CheckOutcome.PASSED


def _first_failure(heard: Mapping[str, Sequence[CheckResult]]) -> str:
    """What the first check said that failed by itself, else the first that could not begin."""
    bad = [result for results in heard.values() for result in results if result.outcome is not CheckOutcome.PASSED]
    if not bad:
        raise AssertionError("a failed gate has a check that did not pass")
    first = next((result for result in bad if result.outcome is CheckOutcome.FAILED), bad[0])
    return f"{first.check.rpartition('::')[2]}: {first.message or first.outcome.value}"


def not_passed(gates: Iterable[GateResult]) -> list[GateResult]:
    """The required gates that stand between a candidate and its promotion."""
    return [gate for gate in gates if gate.required and gate.outcome is not GateOutcome.PASSED and gate.waived is None]


def must_have_passed(gates: Sequence[GateResult]) -> None:
    """Raises AssertionError where a promotion is asked for that its gates do not carry: a defect of this program."""
    if not gates:
        raise AssertionError("promotion was asked for without a single gate")
    blocked = not_passed(gates)
    if blocked:
        raise AssertionError(f"promotion was asked for while {blocked[0].name} has not passed")


def culprit(gates: Sequence[GateResult]) -> GateResult:
    """Of gates that did not pass, the one to name: checks that could not even begin (no sign-in, say) are not the cause."""
    return next((gate for gate in gates if gate.outcome is GateOutcome.FAILED), gates[0])

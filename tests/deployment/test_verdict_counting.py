"""The verdict: the expected checks against the passed checks."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from deployment.evidence.verdict import (
    CheckOutcome,
    CheckResult,
    GateOutcome,
    Tally,
    culprit,
    in_report_order,
    must_have_passed,
    not_passed,
)
from deployment.model import GateRule

PASSED, FAILED = CheckOutcome.PASSED, CheckOutcome.FAILED
ERROR, INCONCLUSIVE = CheckOutcome.ERROR, CheckOutcome.INCONCLUSIVE
RULE = GateRule("health", True, 2)


def tally(*outcomes: CheckOutcome | tuple[CheckOutcome, ...] | None, requests: int = 1) -> Tally:
    """Return a tally with one expected check per outcome. None: it never reports. A tuple: it reports several times."""
    counted = Tally()
    for number, outcome in enumerate(outcomes):
        check = f"suites/health/test_health.py::test_{number}"
        counted.expect(check, "health")
        for one in outcome if isinstance(outcome, tuple) else [outcome] if outcome else []:
            counted.record(CheckResult(check, "health", one, f"said {one}"))
            counted.add_usage(check, requests, 0.5)
    return counted


def overdue(*outcomes: CheckOutcome | None) -> Tally:
    """Return such a tally of a run that went on although results are missing."""
    counted = tally(*outcomes)
    counted.require_results(counted.expected)
    return counted


def harmed(*outcomes: CheckOutcome | None) -> Tally:
    """Return such a tally of a gate that failed for another reason than its checks."""
    counted = tally(*outcomes)
    counted.fail_gate("health", "bake: users were harmed")
    return counted


@pytest.mark.parametrize("outcomes", [(FAILED,), (PASSED, FAILED, None)])
def test_a_failure_counts_before_the_number_of_checks(outcomes: tuple[CheckOutcome | None, ...]) -> None:
    gate = tally(*outcomes).gate(replace(RULE, min_checks=4))
    assert (gate.outcome, gate.failed) == (GateOutcome.FAILED, 1)
    assert (gate.reason or "").endswith("said failed"), gate.reason
    assert not_passed([gate]) == [gate]
    assert tally(ERROR).gate(RULE).outcome is GateOutcome.ERROR
    too_few = tally(PASSED).gate(RULE)
    assert (too_few.outcome, too_few.reason) == (GateOutcome.NOT_RUN, "1 checks were collected, 2 are required")


def test_a_gate_that_the_service_declares_absent_blocks_nothing_and_is_no_pass() -> None:
    declared = Tally()
    declared.declare_absent("redis", "shop declares that it has no Redis")
    gate = declared.gate(GateRule("redis", True, 4))
    assert (gate.outcome, gate.checks, gate.reason) == (GateOutcome.ABSENT, 0, "shop declares that it has no Redis")
    assert not_passed([gate]) == []
    declared.expect("suites/redis/test_x.py::test_x", "redis")
    assert declared.gate(GateRule("redis", True, 1)).outcome is GateOutcome.NOT_RUN


def test_all_expected_checks_passed() -> None:
    gate = tally(PASSED, PASSED).gate(RULE)
    assert (gate.outcome, gate.checks, gate.failed, gate.duration_s, gate.reason) == (
        GateOutcome.PASSED,
        2,
        0,
        1.0,
        None,
    )
    assert not_passed([gate]) == []


@pytest.mark.parametrize(
    ("counted", "outcome", "reason"),
    [
        (tally(), GateOutcome.NOT_RUN, "0 checks were collected, 2 are required"),
        (tally(PASSED), GateOutcome.NOT_RUN, "1 checks were collected"),
        (tally(None, None), GateOutcome.NOT_RUN, "no check ran"),
        (tally(PASSED, FAILED), GateOutcome.FAILED, "test_1: said failed"),
        (tally(PASSED, ERROR), GateOutcome.ERROR, "test_1: said error"),
        (tally(PASSED, INCONCLUSIVE), GateOutcome.FAILED, "test_1: said inconclusive"),
        (tally(FAILED, ERROR), GateOutcome.FAILED, "test_0"),
        (overdue(PASSED, PASSED, None), GateOutcome.ERROR, "1 of 3 checks never reported, among them .*test_2"),
        (
            tally(PASSED, PASSED, None),
            GateOutcome.INCOMPLETE,
            "2 of 3 checks ran, and passed; the others did not run",
        ),
        (tally(PASSED, FAILED, None), GateOutcome.FAILED, "test_1: said failed"),
        (overdue(None, None), GateOutcome.NOT_RUN, "no check ran"),
        (harmed(PASSED, None), GateOutcome.FAILED, "bake: users were harmed"),
        (harmed(None), GateOutcome.NOT_RUN, "1 checks were collected"),
        (harmed(FAILED, None), GateOutcome.FAILED, "test_0: said failed"),
        (tally(PASSED, (FAILED, PASSED)), GateOutcome.FAILED, "test_1"),
        (tally(PASSED, (PASSED, FAILED)), GateOutcome.FAILED, "test_1"),
        (tally(PASSED, (PASSED, ERROR)), GateOutcome.ERROR, "test_1"),
        (tally(PASSED, (INCONCLUSIVE, PASSED)), GateOutcome.FAILED, "test_1"),
        (tally(PASSED, PASSED, requests=0), GateOutcome.FAILED, "no recorded request"),
    ],
)
def test_gate_that_does_not_pass(counted: Tally, outcome: GateOutcome, reason: str) -> None:
    gate = counted.gate(RULE)
    assert gate.outcome is outcome
    assert re.search(reason, gate.reason or "")
    assert not_passed([gate]) == [gate]


def test_only_the_result_that_is_overdue_is_an_error() -> None:
    """A lost worker's check is overdue; the checks of a later stage, which the run then did not start, are not."""
    counted = tally(PASSED, None, None)
    counted.require_results(list(counted.expected)[:2])
    gate = counted.gate(RULE)
    assert (gate.outcome, gate.checks, gate.ran, gate.failed) == (GateOutcome.ERROR, 3, 1, 0)
    assert (gate.reason or "").startswith(
        "1 of 3 checks never reported, among them suites/health/test_health.py::test_1"
    )


def test_gate_that_was_cut_short_says_how_many_checks_ran() -> None:
    gate = tally(PASSED, PASSED, None).gate(RULE)
    facts = gate.as_report()
    assert [facts[key] for key in ("outcome", "checks", "ran", "failed")] == ["incomplete", 3, 2, 0]


def test_absent_gate_does_not_prevent_a_promotion_and_is_no_pass() -> None:
    gate = replace(tally(PASSED, PASSED).gate(RULE), outcome=GateOutcome.ABSENT)
    assert not_passed([gate]) == []
    must_have_passed([gate])
    with pytest.raises(AssertionError):
        must_have_passed([replace(gate, outcome=GateOutcome.INCOMPLETE)])


def test_reason_names_the_gate_that_failed_and_not_one_that_was_cut_short() -> None:
    cut = tally(PASSED, PASSED, None).gate(RULE)
    error = replace(cut, name="auth", outcome=GateOutcome.ERROR)
    failed = replace(cut, name="endpoints", outcome=GateOutcome.FAILED)
    assert culprit([cut, error, failed]).name == "endpoints"
    assert culprit([cut, error]).name == "auth"
    assert culprit([cut]).name == "health"


def test_optional_gate_blocks_nothing() -> None:
    gate = tally(PASSED, FAILED).gate(replace(RULE, required=False))
    assert gate.outcome is GateOutcome.FAILED
    assert not_passed([gate]) == []
    silent = tally(PASSED, PASSED, requests=0).gate(replace(RULE, required=False))
    assert silent.outcome is GateOutcome.PASSED


def test_waived_gate_blocks_nothing_and_is_reported() -> None:
    gate = replace(tally(PASSED, FAILED).gate(RULE), waived="CHG-1")
    assert not_passed([gate]) == []
    assert gate.as_report()["waived"] == "CHG-1"


def test_checks_of_other_gates_do_not_count() -> None:
    counted = tally(PASSED, PASSED)
    counted.expect("other", "redis")
    assert counted.gate(RULE).checks == 2
    assert counted.gate(GateRule("redis")).outcome is GateOutcome.NOT_RUN


def test_order_of_gates() -> None:
    order = ["health", "database", "redis", "auth", "endpoints", "latency", "load", "billing", "zeta", "live"]
    assert in_report_order({"zeta", "live", "billing", "auth"}) == order

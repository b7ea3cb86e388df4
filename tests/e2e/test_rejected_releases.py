"""Broken releases never reach a user: the expected step or gate rejects each one, without a failed request.

Failure mode 5: the wrong version is verified (`wrong-version` answers well, as 1.0.0).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from deployment.evidence.verdict import LIVE, ORDER
from tests.e2e import images, killing
from tests.e2e.images import Fault
from tests.e2e.sandbox import Sandbox, wait_until
from tests.e2e.user import User

GATES = [*ORDER, "bystander", "continuity", "rehearsal", LIVE]
# The gates of one stage: if one of them fails, the others may have run as well.
TOGETHER = {"database", "redis", "auth", "endpoints", "continuity", "rehearsal"}
# Its first half runs before these gates, its second half after the load.
BYSTANDER = "bystander"

EXPECTED = [
    (images.NEVER_LISTENS, "provision"),
    (images.CRASHES, "provision"),
    (images.RELEASE_FAILS, "provision"),
    (images.DEGRADED, "health"),
    (images.WRONG_VERSION, "health"),
    (images.DATABASE_DOWN, "database"),
    (images.REDIS_DOWN, "redis"),
    (images.LOGIN_REFUSED, "auth"),
    (images.ANY_PASSWORD, "auth"),
    (images.OPEN_CONSULTS, "auth"),
    (images.FIELD_REMOVED, "endpoints"),
    (images.FIELD_RETYPED, "endpoints"),
    (images.TOO_SLOW, "latency"),
    (images.SLOW_RESOURCE, "latency"),
    (images.SLOW_HEALTH, "latency"),
    (images.ERRS_UNDER_LOAD, "load"),
]
# Rejected by latency before the latency gate runs, because the checks before it prove that an operation is too slow.
EARLY = {images.SLOW_RESOURCE, images.SLOW_HEALTH}
# `make test` deploys one, with short times, and tests/gates tries one of the other kinds of fault; `make soak` deploys all of
# them as shipped.
SAMPLE = (images.OPEN_CONSULTS, "auth")
SHORT_TIMES = "short times"
# Gates that a report lists after latency and load, but that run before them.
WITH_THE_OTHERS = ("continuity", "rehearsal")
# These faults show first in the journeys that checks of auth play; the gate that is meant fails as well.
NAMED_FIRST_BY = {images.FIELD_REMOVED: "auth", images.FIELD_RETYPED: "auth"}
WITH_WORKERS = [(images.CRASHES, "provision"), (images.WRONG_VERSION, "health"), (images.FIELD_RETYPED, "endpoints")]


def test_every_broken_release_is_tried() -> None:
    """Every fault that a registry contains is deployed by a test."""
    assert {fault for fault, _ in EXPECTED} == set(images.REJECTED)


@pytest.mark.parametrize(
    ("fault", "culprit", "options"),
    [pytest.param(*SAMPLE, (SHORT_TIMES,))]
    + [pytest.param(*one, (), marks=pytest.mark.soak) for one in EXPECTED]
    + [pytest.param(*one, ("-n2",), marks=pytest.mark.soak) for one in WITH_WORKERS]
    + [pytest.param(images.TOO_SLOW, "latency", ("--environment=quick",), marks=pytest.mark.soak)],
    ids=lambda value: value.name if isinstance(value, Fault) else "".join(value).strip("-") or "as-shipped",
)
def test_rejected(
    either_sandbox: Sandbox,
    user_of: Callable[[Sandbox], User],
    fast_settings: Path,
    fault: Fault,
    culprit: str,
    options: tuple[str, ...],
) -> None:
    """Exit 1, blue stays live, and the reason names the step or gate; the same with and without workers."""
    before = either_sandbox.running()
    with user_of(either_sandbox) as user:
        tag = f"--image-tag={fault.tag}"
        if options == (SHORT_TIMES,):
            ran = either_sandbox.wait(killing.deploy(either_sandbox, fast_settings, tag))
        else:
            ran = either_sandbox.pytest("--target=green", tag, *options)
    print(ran.facts["reason"], user.seen.requests)
    assert ran.code == 1, ran.output
    assert (ran.facts["verdict"], ran.facts["exit_code"], ran.facts["live_harmed"]) == ("rejected", 1, False)
    assert ran.facts["reason"].startswith(f"{NAMED_FIRST_BY.get(fault, culprit)}: "), ran.facts["reason"]
    assert user.seen.failures == []
    assert user.seen.writes > 10
    either_sandbox.assert_live("blue", images.OLD)
    wait_until(
        lambda: either_sandbox.running() == before, "the run's processes to end"
    )  # a task of ECS ends later than the run
    _assert_report(ran.facts, fault, culprit)
    assert ran.folder is not None
    for name in ("verification.json", "report.html", "junit.xml", "audit.jsonl"):
        assert (ran.folder / name).stat().st_size > 0
    assert (either_sandbox.reports / "latest").resolve() == ran.folder.resolve()


def _assert_report(facts: Mapping[str, Any], fault: Fault, culprit: str) -> None:
    outcomes = {gate["name"]: gate["outcome"] for gate in facts["gates"]}
    assert list(outcomes) == GATES
    if fault in EARLY:  # the run ends in the middle of a stage
        assert outcomes.pop(culprit) == "failed"
        assert set(outcomes.values()) <= {"passed", "incomplete", "not_run"}
    else:
        _assert_gates(outcomes, culprit)
    steps = [step["name"] for step in facts["steps"]]
    assert steps == ["lease", "provision", *([] if culprit == "provision" else ["verify"]), "retire"]
    last = facts["steps"][-2]
    assert last["outcome"] == "failed"
    assert (facts["promotion"], facts["rollback"]) == (None, None)
    assert (facts["image"], facts["version"]) == (f"telehealth-api:{fault.tag}", fault.tag)


def _assert_gates(outcomes: dict[str, str], culprit: str) -> None:
    """Assert that the culprit failed, and that no gate of a later stage ran."""
    first = GATES.index(culprit) if culprit in GATES else -1
    if first >= 0 and culprit != BYSTANDER:
        assert outcomes.pop(BYSTANDER) in ("passed", "incomplete"), "its second half must not run after a failure"
    for number, name in enumerate(GATES):
        if name == culprit:
            assert outcomes[name] in ("failed", "error")
        elif name in WITH_THE_OTHERS and culprit in ("latency", "load"):
            assert outcomes[name] == "passed", name
        elif name in outcomes and number > first and not (culprit in TOGETHER and name in TOGETHER):
            assert outcomes[name] == "not_run", name

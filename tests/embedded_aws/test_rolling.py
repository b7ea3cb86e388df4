"""The next step of a rolling deployment and the count of its failures: pure functions, without a process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infrastructure.embedded.aws.ecs.deployments import (
    completed,
    failed_task,
    new_deployment,
    superseded,
    without_ended,
)
from infrastructure.embedded.aws.ecs.records import Service
from infrastructure.embedded.aws.ecs.rolling import Decision, Member, Percent, Throttle, decide, failures_allowed

CAREFUL, TIGHT = Percent(100, 200), Percent(50, 100)


def members(*, old: str = "", new: str = "") -> list[Member]:
    """Return members from signs: `r` is a ready task, `.` one that is not ready yet; ids are o1, o2, … and n1, n2, …"""
    made = [Member(f"o{number}", False, sign == "r") for number, sign in enumerate(old, 1)]
    return made + [Member(f"n{number}", True, sign == "r") for number, sign in enumerate(new, 1)]


@pytest.mark.parametrize(
    ("desired", "percent", "tasks", "expected"),
    [
        (2, CAREFUL, members(), Decision(2)),
        (2, CAREFUL, members(new="r."), Decision()),
        (2, CAREFUL, members(old="rr"), Decision(2)),
        (2, CAREFUL, members(old="rr", new=".."), Decision()),
        (2, CAREFUL, members(old="rr", new="r."), Decision(0, ("o1",))),
        (2, CAREFUL, members(old="rr", new="rr"), Decision(0, ("o1", "o2"))),
        (2, CAREFUL, members(old="r.", new=".."), Decision(0, ("o2",))),
        (3, Percent(100, 150), members(old="rrr"), Decision(1)),
        (2, TIGHT, members(old="rr"), Decision(0, ("o1",))),
        (2, TIGHT, members(old="r"), Decision(1)),
        (1, CAREFUL, members(new="r.r"), Decision(0, ("n2", "n3"))),
        (0, CAREFUL, members(old="r", new="r"), Decision(0, ("n1", "o1"))),
    ],
)
def test_decide(desired: int, percent: Percent, tasks: list[Member], expected: Decision) -> None:
    assert decide(desired, percent, tasks) == expected


@pytest.mark.parametrize(("desired", "failures"), [(0, 3), (1, 3), (6, 3), (7, 4), (50, 25), (1000, 200)])
def test_failures_allowed(desired: int, failures: int) -> None:
    assert failures_allowed(desired) == failures


def service(*, breaker: bool = True) -> Service:
    settings = {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": breaker, "rollback": breaker}}}
    first = new_deployment("api:1", 1)
    return completed(Service("c/api", "arn:x:service/c/api", "arn:c", 0.0, 1, settings, (first,)))


def failed(known: Service, times: int) -> Service:
    primary = known.primary.id
    for _ in range(times):
        known = failed_task(known, primary)
    return known


def test_the_third_failure_rolls_back_to_the_last_completed_deployment() -> None:
    begun = superseded(service(), new_deployment("api:2", 1))
    broken = begun.primary.id
    twice = failed(begun, 2)
    assert (twice.primary.id, twice.primary.failed, twice.primary.state) == (broken, 2, "IN_PROGRESS")
    back = failed_task(twice, broken)
    assert (back.primary.task_definition, back.primary.state) == ("api:1", "IN_PROGRESS")
    was = back.deployment(broken)
    assert was is not None
    assert (was.state, was.status, was.desired) == ("FAILED", "ACTIVE", 0)
    assert failed_task(back, broken) == back, "it is over: no failure is counted any more"
    assert [one.id for one in without_ended(back, set()).deployments] == [back.primary.id]


def test_without_a_breaker_failures_are_only_counted() -> None:
    begun = superseded(service(breaker=False), new_deployment("api:2", 1))
    assert (failed(begun, 9).primary.failed, failed(begun, 9).primary.state) == (9, "IN_PROGRESS")


def test_a_later_crash_does_not_fail_a_completed_deployment() -> None:
    assert failed(service(), 5) == service() or failed(service(), 5).primary.state == "COMPLETED"


def test_a_first_deployment_that_fails_stalls() -> None:
    settings = {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}}
    first = Service("c/api", "arn:x:service/c/api", "arn:c", 0.0, 1, settings, (new_deployment("api:1", 1),))
    stalled = failed(first, 3)
    assert (stalled.primary.state, len(stalled.deployments)) == ("FAILED", 1)
    assert replace(stalled, events=()) == replace(failed_task(stalled, stalled.primary.id), events=())


def test_the_pauses_between_starts_grow() -> None:
    throttle, now, pauses = Throttle(), 1000.0, []
    for _ in range(9):
        throttle.failed(now, lived_s=0.1)
        pauses.append(max(0.0, throttle.not_before - now))
        now += pauses[-1]
        assert throttle.due(now)
    assert pauses == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    throttle.failed(now, lived_s=31.0)
    assert throttle.due(now), "a task that lived long begins a new series"

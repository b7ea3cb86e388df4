"""Several runs and one lock: waiting for it, breaking it by hand, and runs that lost it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployment.errors import EnvironmentTaken, LeaseHeld, LeaseLost, Refused
from deployment.evidence.journal import Journal
from deployment.model import Holder, Reason
from deployment.phases import Phase
from deployment.recovery.force_unlock import NOTE, break_lock
from deployment.recovery.lock_wait import Queue, refuse_while_held
from tests.deployment.fakes import FakeClock, elsewhere
from tests.deployment.harness import ACTOR, GATES, LIMITS, Deployment

NOW = datetime(2026, 11, 22, tzinfo=UTC)
OTHER = Holder("other", "jane", "host-2", 7, 1.0, NOW, NOW + timedelta(days=9), 3, "deploy telehealth-api:1.1.0")


def test_held_lease_is_refused_at_once_without_a_wait() -> None:
    def held() -> None:
        raise LeaseHeld(OTHER)

    clock = FakeClock()
    with pytest.raises(LeaseHeld, match=r"other of jane.*host-2, pid 7, since .*doing: deploy telehealth-api:1\.1\.0"):
        Queue(clock, 0, lambda *_: None).retry(held)
    assert clock.elapsed == 0


@pytest.mark.parametrize("error", [LeaseHeld(OTHER), EnvironmentTaken("taken by run x")])
def test_wait_reports_the_holder_and_continues(error: Exception) -> None:
    clock, reports = FakeClock(), []

    def attempt() -> str:
        if clock.elapsed < 5:
            raise error
        return "mine"

    queue = Queue(clock, 20, lambda whom, seconds: reports.append((whom, seconds)))
    assert queue.retry(attempt) == "mine"
    assert [seconds for _, seconds in reports] == [0, 1, 2, 3, 4]
    assert {whom for whom, _ in reports} == {str(error).splitlines()[0]}


def test_all_waits_share_one_deadline() -> None:
    clock = FakeClock()
    queue = Queue(clock, 10, lambda *_: None)
    clock.sleep(8)

    def held() -> None:
        raise LeaseHeld(OTHER)

    with pytest.raises(LeaseHeld):
        queue.retry(held)
    assert clock.elapsed == 10


def broken(one: Deployment, *, force: bool = True) -> Journal:
    journal = Journal(one.reports / "unlock" / "audit.jsonl", "breaker", one.cloud.clock)
    break_lock(one.ports, one.limits, journal, by="breaker", reason="ticket 4711", force=force)
    return journal


STAGES: dict[str, Callable[[Deployment], object]] = {
    "leased": lambda one: one.machine.lease(),
    "verified": lambda one: one.to_verified(),
}
TAKEN: dict[str, Callable[[Deployment], object]] = {"broken": broken, "expired": lambda one: one.expire_lease()}


@pytest.mark.parametrize("how", TAKEN)
@pytest.mark.parametrize("stage", STAGES)
def test_run_that_lost_its_lease_cannot_switch(one: Deployment, stage: str, how: str) -> None:
    STAGES[stage](one)
    TAKEN[how](one)
    with pytest.raises(LeaseLost) as lost:
        one.machine.provision() if stage == "leased" else one.machine.promote(GATES)
    one.machine.abandon(Reason.parse(f"promote: {lost.value}"))
    assert (one.machine.phase, one.cloud.routes.generation) == (Phase.REJECTED, 7)
    assert "set" not in one.cloud.names()


def test_run_that_lost_its_lease_after_the_switch_halts(one: Deployment) -> None:
    one.to_verified()
    one.machine.promote(GATES)
    broken(one)
    with pytest.raises(LeaseLost) as lost:
        one.machine.bake(lambda: None)
    one.machine.abandon(Reason.parse(f"bake: {lost.value}"))
    assert one.machine.phase is Phase.HALTED
    assert "lease" in str(one.machine.reason)


def test_lock_of_a_living_holder_needs_force(one: Deployment) -> None:
    one.to_verified()
    with pytest.raises(Refused, match=r"the holder of the lock is alive.*runs on this host"):
        broken(one, force=False)
    assert one.machine.holder is not None
    one.lease.check(one.machine.holder)
    journal = broken(one)
    locks = json.loads(one.lease.kept[NOTE])
    assert [(lock["deployment_id"], lock["reason"], lock["forced"]) for lock in locks] == [("one", "ticket 4711", True)]
    assert [record.kind for record in journal.records()] == ["intent", "lock_broken"]
    assert "deployment" in one.lease.kept  # the half-done deployment is left for `recover`
    refuse_while_held(one.ports)


def test_lock_of_a_dead_holder_needs_no_force(one: Deployment) -> None:
    one.to_verified()
    one.mark_dead()
    broken(one, force=False)
    assert one.recover() is Phase.REJECTED


def test_holder_on_another_host_is_watched(one: Deployment) -> None:
    """A renewal shows that the holder lives; without one within half the time to live it counts as dead."""
    one.to_verified()
    one.stop_keeper()
    assert one.lease.holder is not None
    there = one.lease.holder = elsewhere(one.lease.holder, "elsewhere")

    def renew() -> None:
        if one.cloud.clock.elapsed > 10:
            one.lease.holder = replace(there, expires_at=there.expires_at + timedelta(seconds=30))

    one.cloud.hooks["current"] = renew
    with pytest.raises(Refused, match="renewed from elsewhere"):
        broken(one, force=False)
    del one.cloud.hooks["current"]
    one.lease.holder = there
    broken(one, force=False)


def test_free_lock_cannot_be_broken(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the lock is free"):
        broken(Deployment(tmp_path / "reports", LIMITS, deployment_id=ACTOR[-3:]))

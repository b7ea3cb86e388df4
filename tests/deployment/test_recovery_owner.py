"""Recovery by owner: a living owner is left alone, and the lease of another host is waited for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployment.errors import LeaseHeld, Refused
from deployment.flow.lease import alive, open_deployment
from deployment.model import Reason
from deployment.phases import Phase
from deployment.recovery.recover import recover
from tests.deployment.fakes import BLUE, GREEN, elsewhere
from tests.deployment.harness import GATES, TTL, Deployment


def move_elsewhere(one: Deployment) -> None:
    assert one.lease.holder is not None
    one.lease.holder = elsewhere(one.lease.holder)


def baking(one: Deployment) -> None:
    one.to_verified()
    one.machine.promote(GATES)


def test_living_owner_is_named_and_left_alone(one: Deployment) -> None:
    baking(one)
    with pytest.raises(LeaseHeld, match="deployer"):
        one.recover()
    assert one.cloud.routes.live is GREEN


def test_run_that_died_on_this_host_is_recovered_at_once(one: Deployment) -> None:
    baking(one)
    one.mark_dead()
    before = one.cloud.clock.elapsed
    assert one.recover() is Phase.ROLLED_BACK
    assert one.cloud.clock.elapsed - before < 10


def test_lease_of_a_silent_owner_on_another_host_is_waited_for(one: Deployment) -> None:
    baking(one)
    one.mark_dead()
    move_elsewhere(one)
    before = one.cloud.clock.elapsed
    assert one.recover() is Phase.ROLLED_BACK
    assert one.cloud.clock.elapsed - before >= TTL - 10
    assert one.cloud.routes.live is BLUE


def test_owner_on_another_host_that_renews_is_alive(one: Deployment) -> None:
    baking(one)
    move_elsewhere(one)
    holder = one.lease.holder
    assert holder is not None

    def renew() -> None:
        if one.cloud.clock.elapsed > 20:
            one.lease.holder = replace(holder, expires_at=one.cloud.clock.now() + one.lease.ttl)

    one.cloud.hooks["sleep"] = renew
    with pytest.raises(LeaseHeld, match="a-runner-far-away"):
        one.recover()
    assert one.cloud.routes.live is GREEN


def test_alive_depends_on_the_host(one: Deployment) -> None:
    baking(one)
    assert not alive(one.ports, None)
    assert alive(one.ports, one.lease.holder)
    move_elsewhere(one)
    assert alive(one.ports, one.lease.holder)
    one.expire_lease()
    assert not alive(one.ports, one.lease.holder)


def test_recovery_after_another_recovery_is_refused(one: Deployment) -> None:
    baking(one)
    one.mark_dead()
    found = open_deployment(one.ports)
    assert found is not None
    assert one.recover() is Phase.ROLLED_BACK
    routes = one.cloud.routes
    with pytest.raises(Refused, match="recovered by another process"):
        recover(found, one.operation("late"), one.journal, lambda _: None)
    assert one.cloud.routes == routes
    assert one.lease.holder is None


def test_note_is_read_again_under_the_lease(one: Deployment) -> None:
    one.to_verified()
    found = open_deployment(one.ports)
    assert found is not None
    one.machine.promote(GATES)
    one.mark_dead()
    stale = replace(found, holder=one.lease.holder)
    machine = recover(stale, one.operation("recoverer"), one.journal, lambda _: None)
    assert machine.phase is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE


def test_suspended_run_cannot_switch_after_its_recovery(one: Deployment) -> None:
    one.to_verified()
    recovered = []

    def suspend() -> None:
        one.cloud.hooks.clear()
        one.mark_dead()
        recovered.append(one.recover(one.reports / "another machine"))

    one.cloud.hooks["set"] = suspend  # after the lease was checked, before the write arrives
    with pytest.raises(Exception, match=r"token|changed"):
        one.machine.promote(GATES)
    assert recovered == [Phase.ROLLED_BACK]
    one.machine.abandon(Reason.parse("promote: too late"))
    one.machine.let_go()
    assert one.cloud.routes.live is BLUE
    assert one.cloud.sides[BLUE].running


def test_halted_deployment_can_be_recovered_again(one: Deployment) -> None:
    baking(one)
    one.cloud.sides[BLUE].running = False
    one.machine.abandon(Reason.parse("bake: harm"))
    one.machine.let_go()
    assert one.machine.phase is Phase.HALTED
    one.mark_dead()
    assert one.recover() is Phase.HALTED
    assert one.report()["verdict"] == "rollback_failed"
    one.mark_dead()
    one.cloud.sides[BLUE].running = True
    assert one.recover() is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE


def test_untouched_colour_is_not_stopped(one: Deployment) -> None:
    one.cloud.sides[GREEN] = replace(one.cloud.sides[BLUE])
    one.lease.kept["promotion"] = "the one before"
    one.machine.lease()
    one.mark_dead()
    assert one.recover() is Phase.REJECTED
    assert one.cloud.sides[GREEN].running
    assert one.lease.kept == {"promotion": "the one before", "head": one.lease.kept["head"]}


def test_broken_journal_is_kept_aside(one: Deployment) -> None:
    baking(one)
    one.mark_dead()
    one.journal.path.write_bytes(one.journal.path.read_bytes().replace(b"LEASED", b"LEASEd"))
    assert one.recover() is Phase.ROLLED_BACK
    assert (one.folder / "audit.broken.jsonl").is_file()
    assert one.records()[0].data["reconstructed"] is True
    assert one.report()["actor"] == one.machine.plan.actor

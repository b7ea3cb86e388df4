"""Ctrl-C and SIGTERM, in every phase: never left promoted, nothing left running, and a rollback is never cut short."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import images, killing
from tests.e2e.desk import Desk, Ran
from tests.e2e.user import User


@dataclass(frozen=True)
class Case:
    """A signal right after the intent of ``step``; ``group``: to all children, too, as a terminal's Ctrl-C."""

    step: str
    number: signal.Signals
    group: bool = False
    workers: str = "0"


CASES = [
    pytest.param(Case("provision", signal.SIGINT, group=True), marks=pytest.mark.soak),
    pytest.param(Case("verify", signal.SIGINT, group=True), marks=pytest.mark.soak),
    Case("verify", signal.SIGTERM, workers="2"),
    pytest.param(Case("promote", signal.SIGINT), marks=pytest.mark.soak),
    pytest.param(Case("bake", signal.SIGTERM, workers="2"), marks=pytest.mark.soak),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.step}-{case.number.name}-n{case.workers}")
def test_interrupted(up_desk: Desk, user_of: Callable[[Desk], User], hasty: Path, case: Case) -> None:
    """Exit 2; rejected where traffic had not moved, else rolled back; blue live, and no user noticed."""
    before = up_desk.running()
    with user_of(up_desk) as user:
        running = killing.deploy(up_desk, hasty, "-n", case.workers)
        running.wait_for("intent", case.step)
        running.signal(case.number, group=case.group)
        ran = up_desk.wait(running)
    print(ran.facts["verdict"], ran.facts["reason"])
    _assert_called_off(ran, case.step, case.number)
    assert user.seen.failures == []
    up_desk.assert_live("blue", images.OLD)
    assert up_desk.running() == before


def _assert_called_off(ran: Ran, step: str, number: signal.Signals) -> None:
    assert ran.code == 2, ran.output
    moved = ran.intents("rollback") == 1
    assert (ran.facts["verdict"], ran.facts["exit_code"]) == ("rolled_back" if moved else "rejected", 2)
    assert moved or step != "bake"
    assert not (moved and step in ("provision", "verify"))
    assert ran.facts["reason"] == f"{step}: interrupted by {number.name}"
    assert (ran.facts["promotion"] is not None, ran.facts["rollback"] is not None) == (moved, moved)
    assert ran.steps[-1] == "retire"
    assert len(ran.journal("closed")) == 1


@pytest.mark.soak
def test_under_way_and_ctrl_c_twice(up_desk: Desk, user_of: Callable[[Desk], User], hasty: Path) -> None:
    """While one deploys, others are told so; and a second Ctrl-C does not keep its rollback from ending."""
    before = up_desk.running()
    with user_of(up_desk) as user:
        running = killing.deploy(up_desk, hasty)
        running.wait_for("intent", "verify")
        _assert_told(up_desk, running.process.pid)
        running.wait_for("intent", "bake")
        running.signal(signal.SIGINT, group=True)
        running.wait_for("intent", "rollback")
        running.signal(signal.SIGINT, group=True)
        ran = up_desk.wait(running)
    _assert_called_off(ran, "bake", signal.SIGINT)
    assert ran.facts["verdict"] == "rolled_back"
    assert user.seen.failures == []
    up_desk.assert_live("blue", images.OLD)
    assert up_desk.running() == before


def _assert_told(desk: Desk, pid: int) -> None:
    """Somebody else's status, deployment, rollback and recovery, while the first goes on."""
    others = [
        desk.begin_undo("recover"),
        desk.begin_undo("rollback"),
        desk.begin_pytest("--environment=quick", "--target=auto"),
    ]
    status = desk.status()
    assert status["deployment"]["pid"] == pid
    assert status["deployment"]["owner_alive"] is True
    assert status["lock"]["pid"] == pid
    for other in others:
        ran = desk.wait(other)
        assert ran.code == 4, ran.output
        assert status["deployment"]["id"] in ran.output
    assert ran.facts["verdict"] == "refused"


@pytest.mark.soak
def test_a_signal_at_the_very_end(up_desk: Desk, user_of: Callable[[Desk], User], hasty: Path) -> None:
    """When the bake is over and the verdict is not yet journalled, a promotion is still taken back."""
    with user_of(up_desk) as user:
        running = killing.deploy(up_desk, hasty)
        running.wait_for("traffic")
        running.signal(signal.SIGTERM)
        ran = up_desk.wait(running)
    _assert_called_off(ran, "bake", signal.SIGTERM)
    assert ran.facts["verdict"] == "rolled_back"
    assert user.seen.failures == []
    up_desk.assert_live("blue", images.OLD)


@pytest.mark.soak
def test_a_rollback_that_is_asked_for_is_not_cut_short(up_desk: Desk, user_of: Callable[[Desk], User]) -> None:
    """Ctrl-C, twice, while `rollback` moves traffic: it ends as it would have, and its exit code says so."""
    assert up_desk.pytest("--environment=quick", "--target=green").code == 0
    with user_of(up_desk) as user:
        running = up_desk.begin_undo("rollback")
        running.wait_for("intent", "rollback")
        running.signal(signal.SIGINT, group=True)
        running.signal(signal.SIGTERM)
        ran = up_desk.wait(running)
    assert ran.code == 0, ran.output
    assert "SIGINT came meanwhile" in ran.output
    assert (ran.facts["verdict"], ran.facts["exit_code"]) == ("rolled_back", 0)
    assert user.seen.failures == []
    up_desk.assert_live("blue", images.OLD)

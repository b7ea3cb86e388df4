"""Ctrl-C and SIGTERM in every phase: no promotion stands, no process is left, and no rollback is cut short."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from plugins.signals import SENDERS
from tests.e2e import images, killing
from tests.e2e.sandbox import CommandResult, Sandbox
from tests.e2e.user import User


@dataclass(frozen=True)
class Case:
    """A signal right after the intent of ``step``; with ``group`` also to all children, as a terminal's Ctrl-C."""

    step: str
    number: signal.Signals
    group: bool = False
    workers: str = "0"


CASES = [
    pytest.param(Case("provision", signal.SIGINT, group=True), marks=pytest.mark.soak),
    pytest.param(Case("verify", signal.SIGINT, group=True), marks=pytest.mark.soak),
    pytest.param(Case("verify", signal.SIGTERM, workers="2"), marks=pytest.mark.soak),
    pytest.param(Case("promote", signal.SIGINT), marks=pytest.mark.soak),
    pytest.param(Case("bake", signal.SIGTERM, workers="2"), marks=pytest.mark.soak),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.step}-{case.number.name}-n{case.workers}")
def test_interrupted(up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], fast_settings: Path, case: Case) -> None:
    """Exit 2; rejected if traffic had not moved, else rolled back; blue is live, and no request of the user fails."""
    before = up_sandbox.running()
    with user_of(up_sandbox) as user:
        running = killing.deploy(up_sandbox, fast_settings, "-n", case.workers)
        running.wait_for("intent", case.step)
        running.signal(case.number, group=case.group)
        ran = up_sandbox.wait(running)
    print(ran.facts["verdict"], ran.facts["reason"])
    _assert_called_off(ran, case.step, case.number)
    assert user.seen.failures == []
    up_sandbox.assert_live("blue", images.OLD)
    assert up_sandbox.running() == before


def _assert_called_off(ran: CommandResult, step: str, number: signal.Signals) -> None:
    assert ran.code == 2, ran.output
    moved = ran.intents("rollback") == 1
    assert (ran.facts["verdict"], ran.facts["exit_code"]) == ("rolled_back" if moved else "rejected", 2)
    assert moved or step != "bake"
    assert not (moved and step in ("provision", "verify"))
    assert ran.facts["reason"] == f"{step}: interrupted by {number.name} ({SENDERS[number.name]})"
    assert (ran.facts["promotion"] is not None, ran.facts["rollback"] is not None) == (moved, moved)
    assert ran.steps[-1] == "retire"
    assert len(ran.journal("closed")) == 1


@pytest.mark.soak
def test_second_ctrl_c_does_not_cut_the_rollback_short(
    up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], fast_settings: Path
) -> None:
    """While one run deploys, other commands are refused; a second Ctrl-C does not stop its rollback."""
    before = up_sandbox.running()
    with user_of(up_sandbox) as user:
        running = killing.deploy(up_sandbox, fast_settings)
        running.wait_for("intent", "verify")
        _assert_others_are_refused(up_sandbox, running.process.pid)
        running.wait_for("intent", "bake")
        running.signal(signal.SIGINT, group=True)
        running.wait_for("intent", "rollback")
        running.signal(signal.SIGINT, group=True)
        ran = up_sandbox.wait(running)
    _assert_called_off(ran, "bake", signal.SIGINT)
    assert ran.facts["verdict"] == "rolled_back"
    assert user.seen.failures == []
    up_sandbox.assert_live("blue", images.OLD)
    assert up_sandbox.running() == before


def _assert_others_are_refused(sandbox: Sandbox, pid: int) -> None:
    """Assert that `status` shows the run under way and that `recover`, `rollback` and a deployment are refused with its id."""
    others = [
        sandbox.begin_undo("recover"),
        sandbox.begin_undo("rollback"),
        sandbox.begin_pytest("--environment=quick", "--target=auto"),
    ]
    status = sandbox.status()
    assert status["deployment"]["pid"] == pid
    assert status["deployment"]["owner_alive"] is True
    assert status["lock"]["pid"] == pid
    for other in others:
        ran = sandbox.wait(other)
        assert ran.code == 4, ran.output
        assert status["deployment"]["id"] in ran.output
    assert ran.facts["verdict"] == "refused"


@pytest.mark.soak
def test_signal_after_the_bake_rolls_back(
    up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], fast_settings: Path
) -> None:
    """A signal after the bake, before the verdict is journalled, still rolls the promotion back."""
    with user_of(up_sandbox) as user:
        ran = up_sandbox.wait(killing.deploy(up_sandbox, fast_settings, spot="sigterm traffic"))
    _assert_called_off(ran, "bake", signal.SIGTERM)
    assert ran.facts["verdict"] == "rolled_back"
    assert user.seen.failures == []
    up_sandbox.assert_live("blue", images.OLD)


@pytest.mark.soak
def test_rollback_command_is_not_cut_short(up_sandbox: Sandbox, user_of: Callable[[Sandbox], User]) -> None:
    """Ctrl-C and SIGTERM while `rollback` moves traffic: it completes with exit code 0."""
    assert up_sandbox.pytest("--environment=quick", "--target=green").code == 0
    with user_of(up_sandbox) as user:
        running = up_sandbox.begin_undo("rollback")
        running.wait_for("intent", "rollback")
        running.signal(signal.SIGINT, group=True)
        running.signal(signal.SIGTERM)
        ran = up_sandbox.wait(running)
    assert ran.code == 0, ran.output
    assert "SIGINT was received and delayed" in ran.output
    assert (ran.facts["verdict"], ran.facts["exit_code"]) == ("rolled_back", 0)
    assert user.seen.failures == []
    up_sandbox.assert_live("blue", images.OLD)

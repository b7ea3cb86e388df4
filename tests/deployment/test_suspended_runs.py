"""A run that sleeps past its lease, at each of its calls, while another takes over: when it wakes, it does no harm."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployment.flow.lease import LeaseKeeper
from tests.deployment.histories import run_history
from tests.deployment.history_plan import Command, Fault, History, Kind

ALL_CALLS = 4000
CALLS = 100
"""More than a deployment makes, a failed one included."""
SUSPENDED_RUNS = {
    "promotes": Command(Kind.DEPLOY, here=False),
    "is rejected": Command(Kind.DEPLOY, here=False, passes=False),
    "is rolled back": Command(Kind.DEPLOY, here=False, harmed=True),
}


@pytest.fixture(autouse=True)
def _without_fsync_and_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LeaseKeeper, "start", lambda _: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def suspended(command: Command, *calls: int) -> Command:
    faults = tuple((call, Fault.SUSPENDED) for call in calls)
    return Command(command.kind, command.here, command.passes, harmed=command.harmed, faults=faults)


@pytest.mark.parametrize("other", [Kind.DEPLOY, Kind.RECOVER])
@pytest.mark.parametrize("sleeper", SUSPENDED_RUNS)
def test_suspended_run_does_no_harm_after_a_takeover(sleeper: str, other: Kind, tmp_path: Path) -> None:
    """The other run settles, deploys, and is live: the sleeper stops nothing of it, and moves no traffic."""
    overtaken = 0
    for call in range(1, CALLS):
        commands = (suspended(SUSPENDED_RUNS[sleeper], call), Command(other))
        turns = ((0, ALL_CALLS), (1, ALL_CALLS))
        seen = run_history(History(commands, turns=turns), tmp_path / str(call)).seen
        overtaken += seen["settlements"]
    assert overtaken > CALLS / 5


@pytest.mark.parametrize("call", range(4, 9))
def test_half_done_deployment_of_another_run_is_recovered(call: int, tmp_path: Path) -> None:
    """Nothing was half done when the first looked; by the time that it gets the lock, the second has left something."""
    sleeper = suspended(SUSPENDED_RUNS["promotes"], call)
    settled = 0
    for death in range(30, 70):
        left = suspended(SUSPENDED_RUNS["promotes"], death)
        turns = ((0, ALL_CALLS), (1, ALL_CALLS), (0, ALL_CALLS))
        seen = run_history(History((sleeper, left), turns=turns), tmp_path / str(death)).seen
        settled += seen["settlements"] > 0
    assert settled > 0, "what the second one left is settled, not forgotten"

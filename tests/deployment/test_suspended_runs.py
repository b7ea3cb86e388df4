"""A run that is suspended past its lease at any call while another run takes over does no harm afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployment.flow.lease import LeaseKeeper
from tests.deployment.histories import run_history
from tests.deployment.history_plan import Command, Fault, History, Kind
from tests.soak import sample

ALL_CALLS = 4000
CALLS = 100
"""More calls than a deployment makes, even if it fails."""
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


@pytest.mark.parametrize("other", [Kind.DEPLOY, pytest.param(Kind.RECOVER, marks=pytest.mark.soak)])
@pytest.mark.parametrize("run", SUSPENDED_RUNS)
def test_suspended_run_does_no_harm_after_a_takeover(run: str, other: Kind, tmp_path: Path) -> None:
    """The other run recovers the first one and may deploy. Then the first one stops nothing and moves no traffic."""
    takeovers = 0
    for call in range(1, CALLS):
        commands = (suspended(SUSPENDED_RUNS[run], call), Command(other))
        turns = ((0, ALL_CALLS), (1, ALL_CALLS))
        seen = run_history(History(commands, turns=turns), tmp_path / str(call)).seen
        takeovers += seen["settlements"]
    assert takeovers > CALLS / 5


@pytest.mark.parametrize("call", sample(range(4, 9), 4, 8))
def test_half_done_deployment_of_another_run_is_recovered(call: int, tmp_path: Path) -> None:
    """The first run finds nothing half done; before it gets the lock, the second run leaves its deployment half done."""
    first = suspended(SUSPENDED_RUNS["promotes"], call)
    recovered = 0
    for second_call in range(30, 70):
        second = suspended(SUSPENDED_RUNS["promotes"], second_call)
        turns = ((0, ALL_CALLS), (1, ALL_CALLS), (0, ALL_CALLS))
        seen = run_history(History((first, second), turns=turns), tmp_path / str(second_call)).seen
        recovered += seen["settlements"] > 0
    assert recovered > 0, "the deployment of the second run is recovered, not forgotten"

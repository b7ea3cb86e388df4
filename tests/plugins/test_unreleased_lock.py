"""A run that could not release its lock says that `recover` frees it, whatever its verdict is."""

from __future__ import annotations

import pytest

from deployment.errors import CloudUnreachable
from deployment.model import Holder
from tests.plugins import world
from tests.plugins.project import Project
from tests.plugins.test_incomplete_gates import INTERRUPTS
from tests.plugins.world import FakeLease

NOTHING = "there is nothing to recover"
FREES = "next: `python scripts/deploy.py recover{named}` frees the lock, which was not released"


@pytest.fixture(autouse=True)
def _already_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment stays after the run, and so does its lock."""
    monkeypatch.setattr(world, "_start", lambda *_: False)


@pytest.fixture
def unreleased(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to the release of the lock is lost."""
    release = FakeLease.release

    def lost(lease: FakeLease, holder: Holder) -> None:
        release(lease, holder)
        raise CloudUnreachable("dynamodb UpdateItem: ConnectTimeoutError")

    monkeypatch.setattr(FakeLease, "release", lost)


@pytest.mark.usefixtures("unreleased")
@pytest.mark.parametrize("whole", ["interrupted", "rejected"])
def test_recover_is_the_next_step_if_the_lock_stays(project: Project, whole: str) -> None:
    project.add(
        "redis", INTERRUPTS.format(whom="[os.getpid()]") if whole == "interrupted" else "def test_it(): assert 0"
    )
    run = project.run()
    assert run.code == (2 if whole == "interrupted" else 1), run.output
    assert FREES.format(named="") in run.output, run.output
    assert NOTHING not in run.output


def test_interrupted_run_that_released_its_lock_leaves_nothing(project: Project) -> None:
    project.add("redis", INTERRUPTS.format(whom="[os.getpid()]"))
    run = project.run()
    assert run.code == 2, run.output
    assert NOTHING in run.output
    assert "deploy.py recover" not in run.output

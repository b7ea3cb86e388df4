"""SIGKILL in every phase: `recover`, or the next run, settles what is left, and the report is completed."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import images
from tests.e2e.desk import Desk, wait_until
from tests.e2e.user import User


def _kill(desk: Desk, kind: str, step: str | None) -> Path:
    """Begins a deployment and kills it at that line of its journal; returns the folder of its report."""
    running = desk.begin_pytest("--environment=quick", "--target=green")
    running.wait_for(kind, step)
    running.signal(signal.SIGKILL)
    assert running.process.wait(10) == -signal.SIGKILL
    folder = running.folder()
    assert folder is not None
    assert not (folder / "verification.json").exists()
    return folder


def _settled(folder: Path) -> Mapping[str, Any]:
    """The completed report of a killed run."""
    report: dict[str, Any] = json.loads((folder / "verification.json").read_text(encoding="utf-8"))
    assert (report["deployment_id"], report["recovered"], report["exit_code"]) == (folder.name, True, None)
    assert report["image"] == f"telehealth-api:{images.NEW}"
    return report


@pytest.mark.parametrize(
    ("kind", "step", "verdict"),
    [
        ("intent", "provision", "rejected"),
        pytest.param("intent", "verify", "rejected", marks=pytest.mark.soak),
        ("switched", None, "rolled_back"),
        ("intent", "bake", "rolled_back"),
    ],
    ids=["provision", "verify", "promote", "bake"],
)
def test_recover(up_desk: Desk, user_of: Callable[[Desk], User], kind: str, step: str | None, verdict: str) -> None:
    """Exit 0, blue live, the lock free; a second call has nothing to do; and no user noticed."""
    before = up_desk.running()
    with user_of(up_desk) as user:
        folder = _kill(up_desk, kind, step)
        status = up_desk.status()
        assert status["deployment"]["id"] == folder.name
        assert status["deployment"]["owner_alive"] is False
        ran = up_desk.undo("recover")
        assert ran.code == 0, ran.output
        up_desk.assert_live("blue", images.OLD)
    report = _settled(folder)
    assert report["verdict"] == verdict
    assert report["reason"]
    names = [one["name"] for one in report["steps"]]
    assert ("rollback" in names) == (verdict == "rolled_back")
    assert names[-1] == "retire"
    assert len(names) == len(set(names))
    assert user.seen.failures == []
    assert "nothing to recover" in up_desk.undo("recover").output
    wait_until(lambda: up_desk.running() == before, f"what the killed run started to end: {before}")


def test_the_next_run_settles(up_desk: Desk, user_of: Callable[[Desk], User]) -> None:
    """Nobody has to know of `recover`: the next deployment brings blue back first, and then does its own work."""
    before = up_desk.running()
    with user_of(up_desk) as user:
        folder = _kill(up_desk, "intent", "bake")
        ran = up_desk.pytest("--environment=quick", "--target=green")
        assert ran.code == 0, ran.output
        assert ran.facts["verdict"] == "promoted"
        assert [line["deployment_id"] for line in ran.journal("settled")] == [folder.name]
        assert _settled(folder)["verdict"] == "rolled_back"
        up_desk.assert_live("green", images.NEW)
        assert up_desk.undo("rollback").code == 0
        up_desk.assert_live("blue", images.OLD)
    assert user.seen.failures == []
    wait_until(lambda: up_desk.running() == before, f"what the killed run started to end: {before}")

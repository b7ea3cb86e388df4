"""An environment whose processes have ended: that of a dead run is temporary, that of `up` keeps its data and stays up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infrastructure.embedded import cloud
from infrastructure.embedded.layout import Environment, Layout, Ports, write_environment
from tests.embedded.conftest import SERVED

DEAD = {"run": "20261130-120000-green-abcdef", "pid": 0, "started_at": 0.0, "since": "2026-11-30T12:00:00+00:00"}


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """The folder of an environment without a process; starting it again is left out."""
    made = Layout(tmp_path / "state")
    made.state.mkdir()
    write_environment(made, Environment(tmp_path, "1.0.0", SERVED, Ports(1, 2, 3, 4, 5, 6), tmp_path, "store"))
    monkeypatch.setattr(cloud, "_mend", lambda *_: None)
    assert cloud.sleeps(made.state)
    return made


def started_by_a_run(layout: Layout) -> bool:
    return cloud.up_for("a-run", layout.state, layout.state, SERVED)


def test_run_does_not_stop_what_up_has_started(layout: Layout) -> None:
    assert not started_by_a_run(layout)
    assert not layout.owner.exists()


def test_run_stops_what_a_dead_run_has_left(layout: Layout) -> None:
    layout.owner.write_text(json.dumps(DEAD))
    assert started_by_a_run(layout)
    assert json.loads(layout.owner.read_text())["run"] == "a-run"


def test_up_takes_over_what_a_dead_run_has_left(layout: Layout) -> None:
    layout.owner.write_text(json.dumps(DEAD))
    cloud.up(layout.state, layout.state, SERVED)
    assert not started_by_a_run(layout)

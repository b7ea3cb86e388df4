"""Processes whose starter was killed before it recorded them: `down` stops them, and a new start replaces them."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from infrastructure.embedded.layout import Environment, Layout, Ports, Served
from infrastructure.embedded.processes import lifecycle, supervisor
from infrastructure.embedded.processes.lifecycle import ProcessSpec, Recorded


def sleeper(name: str) -> ProcessSpec:
    """Return the spec of a server that does nothing."""
    argv = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
    return ProcessSpec(name, argv, lifecycle.clean_environment(Path("/")), 1, lambda: True)


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    """Return an environment's folder; kill its unrecorded processes at the end."""
    made = Layout(tmp_path / "state")
    made.make()
    yield made
    lifecycle.kill_all(lifecycle.unrecorded(made))


def start_unseen(layout: Layout, name: str) -> Recorded:
    """Start a process without a record, as if its starter had been killed before it wrote one."""
    process = lifecycle.start(layout, sleeper(name))
    (layout.processes / f"{name}.json").unlink()
    return process


def down(layout: Layout) -> tuple[str, ...]:
    """Stop the environment as `down` does; return the names of the stopped processes."""
    environment = Environment(
        layout.state, "1.0.0", Served("telehealth-api"), Ports(1, 2, 3, 4, 5, 6), layout.state / "pg", str(uuid.uuid4())
    )
    return supervisor.stop_all(layout, environment)


def test_down_stops_a_process_without_a_record(layout: Layout) -> None:
    unseen, known = start_unseen(layout, "caddy"), lifecycle.start(layout, sleeper("valkey"))
    stopped = down(layout)
    assert stopped == ("valkey", f"process {unseen.pid}")
    assert not lifecycle.alive(unseen)
    assert not lifecycle.alive(known)


def test_another_environment_is_left_alone(layout: Layout, tmp_path: Path) -> None:
    other = Layout(tmp_path / "other")
    other.make()
    neighbour = start_unseen(other, "caddy")
    try:
        assert down(layout) == ()
        assert lifecycle.alive(neighbour)
    finally:
        psutil.Process(neighbour.pid).kill()


def test_start_replaces_a_process_without_a_record(layout: Layout) -> None:
    unseen, known = start_unseen(layout, "caddy"), lifecycle.start(layout, sleeper("valkey"))
    with ThreadPoolExecutor(1) as pool:
        supervisor.start(layout, [sleeper("caddy"), sleeper("valkey")], lambda _: None, pool).wait()
    now = lifecycle.recorded(layout, "caddy")
    assert now is not None
    assert not lifecycle.alive(unseen)
    assert lifecycle.alive(now)
    assert lifecycle.alive(known), "a process that runs and answers is left alone"
    down(layout)

"""Several deployments at the same moment: one continues, the others are refused and name it; none stops another's cloud.

Failure mode 12: two deploys at once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import killing
from tests.e2e.killing import NEW, OLD
from tests.e2e.sandbox import Sandbox
from tests.e2e.user import User

AT_ONCE = 4
TEN = 10


@pytest.mark.soak
def test_four_at_once_without_an_environment(sandbox: Sandbox, fast_settings: Path) -> None:
    """One run is promoted, the others exit with 4 and name it; no process is left."""
    runs = [killing.deploy(sandbox, fast_settings) for _ in range(AT_ONCE)]
    ended = [sandbox.wait(run) for run in runs]
    assert sorted(ran.code for ran in ended) == [0] + [4] * (AT_ONCE - 1), [ran.output for ran in ended]
    for ran in ended:
        assert "Traceback" not in ran.output
        if ran.code:
            assert "belongs to deployment" in ran.output or "holds the lock" in ran.output, ran.output
            assert "pid" in ran.output
    assert sandbox.running() == {}


@pytest.mark.soak
def test_ten_at_once(up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], fast_settings: Path) -> None:
    """One deployment and nine refusals that name host, pid, start time and work of the holder; no request of the user fails."""
    before = up_sandbox.running()
    with user_of(up_sandbox) as user:
        runs = [killing.deploy(up_sandbox, fast_settings) for _ in range(TEN)]
        ended = [up_sandbox.wait(run) for run in runs]
        # A run that starts after the first promotion is refused because green is live.
        assert sorted(ran.code for ran in ended) == [0] + [4] * (TEN - 1), [ran.output[-500:] for ran in ended]
        for ran in ended:
            refused = "holds the lock" in ran.output or "green is live" in ran.output
            assert refused is (ran.code == 4), ran.output
            if "holds the lock" in ran.output:
                assert all(word in ran.output for word in ("host ", "pid ", "since ", "doing: ")), ran.output
        killing.assert_settled(up_sandbox, NEW)
        assert up_sandbox.undo("rollback").code == 0
        killing.assert_settled(up_sandbox, OLD)
    assert user.seen.failures == []
    assert up_sandbox.running() == before


@pytest.mark.soak
@pytest.mark.parametrize("begins_with", ["deployment", "down"])
def test_down_beside_a_deployment_that_begins(sandbox: Sandbox, fast_settings: Path, begins_with: str) -> None:
    """Either `down` is refused, or the deployment finds no environment that it could use: none stops under a run."""
    assert sandbox.script("up").code == 0
    stopping = sandbox.begin_undo("down") if begins_with == "down" else None
    running = killing.deploy(sandbox, fast_settings)
    stopping = stopping or sandbox.begin_undo("down")
    down, ran = sandbox.wait(stopping), sandbox.wait(running)
    assert "Traceback" not in down.output + ran.output
    if down.code == 4:
        assert ran.code == 0, ran.output
        assert sandbox.running()
    else:
        assert down.code == 0, down.output
        assert ran.code in (0, 1, 4), ran.output  # 0: it started an environment of its own
        assert ran.code == 0 or ran.intents("provision") == 0
        assert sandbox.running() == {}


@pytest.mark.soak
@pytest.mark.parametrize("up", [True, False], ids=["of the user", "of the run"])
def test_down_does_not_stop_the_environment_of_a_deployment(sandbox: Sandbox, fast_settings: Path, up: bool) -> None:
    """It is refused (4) and names the holder; the deployment is promoted."""
    if up:
        assert sandbox.script("up").code == 0
    running = killing.deploy(sandbox, fast_settings)
    running.wait_for("intent", "provision")
    down = sandbox.script("down")
    ran = sandbox.wait(running)
    assert (down.code, ran.code) == (4, 0), down.output + ran.output
    assert f"{ran.facts['deployment_id']} " in down.output
    assert f"pid {running.process.pid}" in down.output
    assert "down --force" in down.output

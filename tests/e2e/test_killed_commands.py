"""SIGKILL right before and right after every line of `rollback`'s journal, and of `recover`'s, then `recover`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import killing
from tests.e2e.kill_spots import RECOVER_COMMAND, ROLLBACK_COMMAND, Spot, spots, verdict_of_killed_rollback
from tests.e2e.killing import NEW, OLD
from tests.e2e.sandbox import Sandbox
from tests.e2e.user import User

pytestmark = pytest.mark.soak


def make_green_live(sandbox: Sandbox, fast_settings: Path) -> None:
    """Make green live by a promotion, unless it is live already."""
    if sandbox.status_in_process()["live"]["colour"] != "green":
        ran = sandbox.wait(killing.deploy(sandbox, fast_settings))
        assert ran.code == 0, ran.output


def make_blue_live(sandbox: Sandbox) -> None:
    """Make blue live by `rollback`, unless it is live already."""
    if sandbox.status_in_process()["live"]["colour"] != "blue":
        assert sandbox.undo("rollback").code == 0


@pytest.mark.parametrize("spot", spots(ROLLBACK_COMMAND), ids=str)
def test_rollback_killed(
    up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], fast_settings: Path, spot: Spot
) -> None:
    """The rollback is complete or never began; no request of the user fails in either case."""
    make_green_live(up_sandbox, fast_settings)
    before, verdict = up_sandbox.running(), verdict_of_killed_rollback(spot)
    with user_of(up_sandbox) as user:
        killed = killing.wait_killed(up_sandbox, killing.undo(up_sandbox, fast_settings, "rollback", str(spot)))
        killing.recover(up_sandbox)
        live = OLD if verdict == "rolled_back" else NEW
        killing.assert_settled(
            up_sandbox, live, killed.folder, verdict, succeeded=spot.index > ROLLBACK_COMMAND.index("outcome rollback")
        )
        killed.thaw()
        if live == NEW:
            killing.assert_no_change_after_thaw(up_sandbox, killed, before)
    assert user.seen.failures == []


def test_every_line_of_rollback_is_listed(up_sandbox: Sandbox, fast_settings: Path) -> None:
    make_green_live(up_sandbox, fast_settings)
    ran = up_sandbox.undo("rollback")
    assert ran.code == 0, ran.output
    assert ran.folder is not None
    assert tuple(killing.labels(ran.folder)) == ROLLBACK_COMMAND


@pytest.mark.parametrize("spot", spots(RECOVER_COMMAND), ids=str)
def test_recover_killed(
    up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], fast_settings: Path, spot: Spot
) -> None:
    """Blue is live after the second `recover`, and no request of the user fails."""
    make_blue_live(up_sandbox)
    before = up_sandbox.running()
    with user_of(up_sandbox) as user:
        first = killing.wait_killed(up_sandbox, killing.deploy(up_sandbox, fast_settings, spot="after switched"))
        killing.wait_killed(up_sandbox, killing.undo(up_sandbox, fast_settings, "recover", str(spot)))
        killing.recover(up_sandbox)
        killing.assert_settled(up_sandbox, OLD, first.folder, "rolled_back")
        killing.assert_no_change_after_thaw(up_sandbox, first, before)
    assert user.seen.failures == []


@pytest.mark.parametrize(("spot", "verdict"), [("after switched", "rolled_back"), ("after verified", "rejected")])
def test_down_recovers_before_it_stops(sandbox: Sandbox, fast_settings: Path, spot: str, verdict: str) -> None:
    """`down` recovers a killed run first: once the environment is gone, its result could no longer be determined."""
    assert sandbox.script("up").code == 0
    killed = killing.wait_killed(sandbox, killing.deploy(sandbox, fast_settings, spot=spot))
    ran = sandbox.script("down", "--reports", str(sandbox.reports))
    assert ran.code == 0, ran.output
    assert killed.folder is not None
    assert f"{killed.folder.name}: {verdict}; report in" in ran.output
    assert json.loads((killed.folder / "verification.json").read_text())["verdict"] == verdict
    assert (killed.folder / "evidence.dsse.json").exists(), (
        "the report must be signed while the environment's key exists"
    )


def test_every_line_of_recover_is_listed(up_sandbox: Sandbox, fast_settings: Path) -> None:
    make_blue_live(up_sandbox)
    killed = killing.wait_killed(up_sandbox, killing.deploy(up_sandbox, fast_settings, spot="after switched"))
    killing.recover(up_sandbox)
    killed.thaw()
    assert killed.folder is not None
    lines = killing.labels(killed.folder)
    # `recover` continues the killed run's journal, so its first `writing` is the journal's second.
    own = lines[lines.index("recovering") :]
    assert tuple(line.partition("#")[0] for line in own) == RECOVER_COMMAND

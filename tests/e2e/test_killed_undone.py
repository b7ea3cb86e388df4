"""SIGKILL right before and right after every line of `rollback`'s journal, and of `recover`'s, then `recover`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import killing
from tests.e2e.desk import Desk
from tests.e2e.kill_spots import RECOVERED, UNDONE, Spot, spots, undoing_ends
from tests.e2e.killing import NEW, OLD
from tests.e2e.user import User

pytestmark = pytest.mark.soak


def promoted(desk: Desk, hasty: Path) -> None:
    """Green is live, by a promotion that can be undone."""
    if desk.looked()["live"]["colour"] != "green":
        ran = desk.wait(killing.deploy(desk, hasty))
        assert ran.code == 0, ran.output


def taken_back(desk: Desk) -> None:
    """Blue is live, whatever test came before."""
    if desk.looked()["live"]["colour"] != "blue":
        assert desk.undo("rollback").code == 0


@pytest.mark.parametrize("spot", spots(UNDONE), ids=str)
def test_rollback_killed(up_desk: Desk, user_of: Callable[[Desk], User], hasty: Path, spot: Spot) -> None:
    """It is done, or was never begun; no user noticed either way."""
    promoted(up_desk, hasty)
    before, verdict = up_desk.running(), undoing_ends(spot)
    with user_of(up_desk) as user:
        killed = killing.dead(up_desk, killing.undo(up_desk, hasty, "rollback", str(spot)))
        killing.recover(up_desk)
        live = OLD if verdict == "rolled_back" else NEW
        killing.assert_settled(
            up_desk, live, killed.folder, verdict, well=spot.index > UNDONE.index("outcome rollback")
        )
        killed.thaw()
        if live == NEW:
            killing.assert_left_in_peace(up_desk, killed, before)
    assert user.seen.failures == []


def test_every_line_of_rollback_is_among_them(up_desk: Desk, hasty: Path) -> None:
    promoted(up_desk, hasty)
    ran = up_desk.undo("rollback")
    assert ran.code == 0, ran.output
    assert ran.folder is not None
    assert tuple(killing.labels(ran.folder)) == UNDONE


@pytest.mark.parametrize("spot", spots(RECOVERED), ids=str)
def test_recover_killed(up_desk: Desk, user_of: Callable[[Desk], User], hasty: Path, spot: Spot) -> None:
    """Blue is live after the second one, and no user noticed."""
    taken_back(up_desk)
    before = up_desk.running()
    with user_of(up_desk) as user:
        first = killing.dead(up_desk, killing.deploy(up_desk, hasty, spot="after switched"))
        killing.dead(up_desk, killing.undo(up_desk, hasty, "recover", str(spot)))
        killing.recover(up_desk)
        killing.assert_settled(up_desk, OLD, first.folder, "rolled_back")
        killing.assert_left_in_peace(up_desk, first, before)
    assert user.seen.failures == []


@pytest.mark.parametrize(("spot", "verdict"), [("after switched", "rolled_back"), ("after verified", "rejected")])
def test_down_settles_before_it_stops(desk: Desk, hasty: Path, spot: str, verdict: str) -> None:
    """Afterwards nobody could say what became of it."""
    assert desk.script("up").code == 0
    killed = killing.dead(desk, killing.deploy(desk, hasty, spot=spot))
    ran = desk.script("down", "--reports", str(desk.reports))
    assert ran.code == 0, ran.output
    assert killed.folder is not None
    assert f"{killed.folder.name}: {verdict}; report in" in ran.output
    assert json.loads((killed.folder / "verification.json").read_text())["verdict"] == verdict
    assert (killed.folder / "evidence.dsse.json").exists(), "it is signed: the key's environment was still there"


def test_every_line_of_recover_is_among_them(up_desk: Desk, hasty: Path) -> None:
    taken_back(up_desk)
    killed = killing.dead(up_desk, killing.deploy(up_desk, hasty, spot="after switched"))
    killing.recover(up_desk)
    killed.thaw()
    assert killed.folder is not None
    lines = killing.labels(killed.folder)
    # Of the dead run's own journal, which it goes on with: the second `writing` is its first.
    own = lines[lines.index("recovering") :]
    assert tuple(line.partition("#")[0] for line in own) == RECOVERED

"""SIGKILL at lines of the journal, workers and load left alive: `recover`, or the next run, settles what is left.

Failure mode 11: an interrupted run. The whole matrix, every line before and after, is in the files beside this one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import killing
from tests.e2e.desk import Desk, journal
from tests.e2e.kill_spots import PROMOTION, Spot, promotion_ends
from tests.e2e.killing import NEW, OLD
from tests.e2e.user import User


@pytest.mark.parametrize(
    "spot",
    [
        Spot(PROMOTION, PROMOTION.index("opened"), "after"),
        Spot(PROMOTION, PROMOTION.index("phase LEASED"), "before"),
        Spot(PROMOTION, PROMOTION.index("intent provision"), "after"),
        Spot(PROMOTION, PROMOTION.index("outcome provision"), "before"),
        Spot(PROMOTION, PROMOTION.index("rollout"), "after"),
    ],
    ids=str,
)
def test_recover(up_desk: Desk, user_of: Callable[[Desk], User], hasty: Path, spot: Spot) -> None:
    """Exit 0, blue live, the lock free; a second call has nothing to do; and no user noticed."""
    before = up_desk.running()
    with user_of(up_desk) as user:
        killed = killing.dead(up_desk, killing.deploy(up_desk, hasty, spot=str(spot)))
        assert killed.folder is not None
        if spot.written("phase LEASED"):
            status = up_desk.status()
            assert (status["deployment"]["id"], status["deployment"]["owner_alive"]) == (killed.folder.name, False)
        killing.recover(up_desk)
        killing.assert_settled(up_desk, OLD, killed.folder, promotion_ends(spot))
        assert "nothing to recover" in killing.recover(up_desk).output
        killing.assert_left_in_peace(up_desk, killed, before)
    assert user.seen.failures == []


def test_promoted_and_undone(up_desk: Desk, user_of: Callable[[Desk], User], hasty: Path) -> None:
    """After the bake's outcome a promotion stands; a `rollback` that dies before its own is done once more."""
    before = up_desk.running()
    with user_of(up_desk) as user:
        killed = killing.dead(up_desk, killing.deploy(up_desk, hasty, spot="after outcome bake"))
        killing.recover(up_desk)
        killing.assert_settled(up_desk, NEW, killed.folder, "promoted")
        killed.thaw()
        undone = killing.dead(up_desk, killing.undo(up_desk, hasty, "rollback", "before outcome rollback"))
        killing.recover(up_desk)
        killing.assert_settled(up_desk, OLD, undone.folder, "rolled_back")
        killing.assert_left_in_peace(up_desk, undone, before)
    assert user.seen.failures == []


@pytest.mark.soak
def test_recover_killed_and_done_elsewhere(
    up_desk: Desk, user_of: Callable[[Desk], User], hasty: Path, tmp_path: Path
) -> None:
    """`recover` dies as well; a third one, in a fresh clone without a single report, brings blue back."""
    before = up_desk.running()
    with user_of(up_desk) as user:
        killed = killing.dead(up_desk, killing.deploy(up_desk, hasty, spot="after switched"))
        again = killing.dead(up_desk, killing.undo(up_desk, hasty, "recover", "after writing"))
        assert killed.folder is not None
        assert "recovering" in killing.labels(killed.folder)
        ran = up_desk.script("recover", "--reports", str(tmp_path), *killing.ENVIRONMENT)
        assert ran.code == 0, ran.output
        killing.assert_settled(up_desk, OLD, tmp_path / killed.folder.name, "rolled_back")
        again.thaw()
        killing.assert_left_in_peace(up_desk, killed, before)
    assert user.seen.failures == []


def test_the_next_run_settles(up_desk: Desk, user_of: Callable[[Desk], User], hasty: Path) -> None:
    """Nobody has to know of `recover`: killed under load, its Locust still there; the next run settles, then deploys."""
    before = up_desk.running()
    with user_of(up_desk) as user:
        killed = killing.dead(up_desk, killing.deploy(up_desk, hasty, spot="while locust"))
        assert killed.left == ()
        assert any("locust" in command for command in up_desk.running().values()), "load goes on"
        ran = up_desk.wait(killing.deploy(up_desk, hasty))
        assert ran.code == 0, ran.output
        assert killed.folder is not None
        assert [line["deployment_id"] for line in ran.journal("settled")] == [killed.folder.name]
        assert journal(killed.folder)[-1]["verdict"] == "rejected"
        killing.assert_settled(up_desk, NEW, ran.folder, "promoted")
        assert up_desk.undo("rollback").code == 0
        killing.assert_left_in_peace(up_desk, killed, before)
        killing.assert_settled(up_desk, OLD)
    assert user.seen.failures == []

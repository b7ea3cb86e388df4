"""SIGKILL right before and right after every line of a promotion's journal, then `recover`. Failure mode 11, the whole of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import killing
from tests.e2e.desk import Desk
from tests.e2e.kill_spots import PROMOTION, Spot, promotion_ends, spots
from tests.e2e.killing import NEW, OLD
from tests.e2e.user import User

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("spot", spots(PROMOTION), ids=str)
def test_promotion_killed(up_desk: Desk, user_of: Callable[[Desk], User], hasty: Path, spot: Spot) -> None:
    """Blue is live, unless the bake's outcome was written; no user noticed either way."""
    before, verdict = up_desk.running(), promotion_ends(spot)
    with user_of(up_desk) as user:
        killed = killing.dead(up_desk, killing.deploy(up_desk, hasty, spot=str(spot)))
        killing.recover(up_desk)
        killing.assert_settled(up_desk, NEW if verdict == "promoted" else OLD, killed.folder, verdict)
        killed.thaw()
        if verdict == "promoted":
            assert up_desk.undo("rollback").code == 0
        killing.assert_left_in_peace(up_desk, killed, before)
    assert user.seen.failures == []
    killing.assert_settled(up_desk, OLD)


def test_every_line_is_among_them(up_desk: Desk, hasty: Path) -> None:
    """A line that the product writes anew has its place in the list, or this fails."""
    ran = up_desk.wait(killing.deploy(up_desk, hasty))
    assert ran.code == 0, ran.output
    assert up_desk.undo("rollback").code == 0
    assert ran.folder is not None
    assert tuple(killing.labels(ran.folder)) == PROMOTION

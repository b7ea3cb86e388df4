"""SIGKILL right before and right after every line of a rollback that a run does by itself, then `recover`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import images, killing
from tests.e2e.desk import Desk
from tests.e2e.kill_spots import ROLLED_BACK, Spot, spots
from tests.e2e.killing import OLD
from tests.e2e.user import User

pytestmark = pytest.mark.soak
BAD = f"--image-tag={images.FAILS_WHEN_LIVE.tag}"


@pytest.mark.parametrize("spot", spots(ROLLED_BACK), ids=str)
def test_rollback_of_a_run_killed(up_desk: Desk, user_of: Callable[[Desk], User], hasty: Path, spot: Spot) -> None:
    """Blue is live again; nobody but those whom the bad release served has seen a failure."""
    before = up_desk.running()
    with user_of(up_desk) as user:
        killed = killing.dead(up_desk, killing.deploy(up_desk, hasty, BAD, spot=str(spot)))
        killing.recover(up_desk)
        killing.assert_settled(up_desk, OLD, killed.folder, "rolled_back")
        killing.assert_left_in_peace(up_desk, killed, before)
    assert {failure.colour for failure in user.seen.failures} <= {"green"}


def test_every_line_is_among_them(up_desk: Desk, hasty: Path) -> None:
    """From the switch on; what comes before it is a promotion's."""
    ran = up_desk.wait(killing.deploy(up_desk, hasty, BAD))
    assert ran.code == 10, ran.output
    assert ran.folder is not None
    lines = killing.labels(ran.folder)
    assert tuple(lines[lines.index("switched") + 1 :]) == ROLLED_BACK

"""SIGKILL right before and right after every line of a promotion's journal, then `recover`. Failure mode 11, all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import killing
from tests.e2e.kill_spots import PROMOTION, Spot, spots, verdict_of_killed_promotion
from tests.e2e.killing import NEW, OLD
from tests.e2e.sandbox import Sandbox
from tests.e2e.user import User

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("spot", spots(PROMOTION), ids=str)
def test_promotion_killed(
    up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], fast_settings: Path, spot: Spot
) -> None:
    """Blue is live, unless the bake's outcome was written; no request of the user fails in either case."""
    before, verdict = up_sandbox.running(), verdict_of_killed_promotion(spot)
    with user_of(up_sandbox) as user:
        killed = killing.wait_killed(up_sandbox, killing.deploy(up_sandbox, fast_settings, spot=str(spot)))
        killing.recover(up_sandbox)
        killing.assert_settled(up_sandbox, NEW if verdict == "promoted" else OLD, killed.folder, verdict)
        killed.thaw()
        if verdict == "promoted":
            assert up_sandbox.undo("rollback").code == 0
        killing.assert_no_change_after_thaw(up_sandbox, killed, before)
    assert user.seen.failures == []
    killing.assert_settled(up_sandbox, OLD)


def test_every_journal_line_is_listed(up_sandbox: Sandbox, fast_settings: Path) -> None:
    """The list has every line that a promotion writes; a new one must be added to it."""
    ran = up_sandbox.wait(killing.deploy(up_sandbox, fast_settings))
    assert ran.code == 0, ran.output
    assert up_sandbox.undo("rollback").code == 0
    assert ran.folder is not None
    # The line `history` is written only if an earlier run has results.
    assert tuple(line for line in killing.labels(ran.folder) if line != "history") == PROMOTION

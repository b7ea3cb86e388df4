"""SIGKILL right before and right after every line of an automatic rollback, then `recover`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import images, killing
from tests.e2e.kill_spots import AUTOMATIC_ROLLBACK, Spot, spots
from tests.e2e.killing import OLD
from tests.e2e.sandbox import Sandbox
from tests.e2e.user import User

pytestmark = pytest.mark.soak
BAD = f"--image-tag={images.FAILS_WHEN_LIVE.tag}"


@pytest.mark.parametrize("spot", spots(AUTOMATIC_ROLLBACK), ids=str)
def test_automatic_rollback_killed(
    up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], fast_settings: Path, spot: Spot
) -> None:
    """Blue is live again; only answers of the bad release on green failed."""
    before = up_sandbox.running()
    with user_of(up_sandbox) as user:
        killed = killing.wait_killed(up_sandbox, killing.deploy(up_sandbox, fast_settings, BAD, spot=str(spot)))
        killing.recover(up_sandbox)
        killing.assert_settled(up_sandbox, OLD, killed.folder, "rolled_back")
        killing.assert_no_change_after_thaw(up_sandbox, killed, before)
    assert {failure.colour for failure in user.seen.failures} <= {"green"}


def test_every_journal_line_is_listed(up_sandbox: Sandbox, fast_settings: Path) -> None:
    """The list has every line after the switch; the lines before it are those of a promotion."""
    ran = up_sandbox.wait(killing.deploy(up_sandbox, fast_settings, BAD))
    assert ran.code == 10, ran.output
    assert ran.folder is not None
    lines = killing.labels(ran.folder)
    assert tuple(lines[lines.index("switched") + 1 :]) == AUTOMATIC_ROLLBACK

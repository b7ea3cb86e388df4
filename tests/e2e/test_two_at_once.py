"""Several deployments at the same moment: one goes on, the others are refused by name; nobody stops another's cloud.

Failure mode 12: two deploys at once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import killing
from tests.e2e.desk import Desk
from tests.e2e.killing import NEW, OLD
from tests.e2e.user import User

AT_ONCE = 4
TEN = 10


def test_nobody_up_one_starts_the_cloud_and_it_is_its_own(desk: Desk, hasty: Path) -> None:
    """One is promoted, the others exit with 4 and name it; nothing is left running."""
    runs = [killing.deploy(desk, hasty) for _ in range(AT_ONCE)]
    ended = [desk.wait(run) for run in runs]
    assert sorted(ran.code for ran in ended) == [0] + [4] * (AT_ONCE - 1), [ran.output for ran in ended]
    for ran in ended:
        assert "Traceback" not in ran.output
        if ran.code:
            assert "belongs to deployment" in ran.output or "holds the lock" in ran.output, ran.output
            assert "pid" in ran.output
    assert desk.running() == {}


@pytest.mark.soak
def test_ten_at_once(up_desk: Desk, user_of: Callable[[Desk], User], hasty: Path) -> None:
    """One deployment and nine refusals that name holder, host, since when and doing what; no user noticed."""
    before = up_desk.running()
    with user_of(up_desk) as user:
        runs = [killing.deploy(up_desk, hasty) for _ in range(TEN)]
        ended = [up_desk.wait(run) for run in runs]
        # Whoever was so late that the first one had been promoted by then is told that green is live.
        assert sorted(ran.code for ran in ended) == [0] + [4] * (TEN - 1), [ran.output[-500:] for ran in ended]
        for ran in ended:
            told = "holds the lock" in ran.output or "green is live" in ran.output
            assert told is (ran.code == 4), ran.output
            if "holds the lock" in ran.output:
                assert all(word in ran.output for word in ("host ", "pid ", "since ", "doing: ")), ran.output
        killing.assert_settled(up_desk, NEW)
        assert up_desk.undo("rollback").code == 0
        killing.assert_settled(up_desk, OLD)
    assert user.seen.failures == []
    assert up_desk.running() == before

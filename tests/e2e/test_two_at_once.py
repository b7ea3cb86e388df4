"""Several deployments at the same moment: one goes on, the others are refused by name; nobody stops another's cloud."""

from __future__ import annotations

from tests.e2e.desk import Desk

AT_ONCE = 4


def test_nobody_up_one_starts_the_cloud_and_it_is_its_own(desk: Desk) -> None:
    """One is promoted, the others exit with 4 and name it; nothing is left running."""
    runs = [desk.begin_pytest("--target=green") for _ in range(AT_ONCE)]
    ended = [desk.wait(run) for run in runs]
    assert sorted(ran.code for ran in ended) == [0] + [4] * (AT_ONCE - 1), [ran.output for ran in ended]
    for ran in ended:
        assert "Traceback" not in ran.output
        if ran.code:
            assert "is that of deployment" in ran.output or "holds the lock" in ran.output, ran.output
            assert "pid" in ran.output
    assert desk.running() == {}

"""The same commands on the other platform: ECS behind a load balancer. `make soak` runs all of the rest there, too."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import images, killing
from tests.e2e.conftest import open_desk
from tests.e2e.desk import Desk
from tests.e2e.user import User

ENVIRONMENT = "embedded-ecs"


def test_promoted_and_undone(good_registry: Path, user_of: Callable[[Desk], User], hasty: Path) -> None:
    """A good release reaches users, and is undone; not one request fails."""
    with open_desk(good_registry, ENVIRONMENT) as desk:
        up = desk.script("up")
        assert up.code == 0, up.output
        assert f"--environment={ENVIRONMENT}" in up.output
        with user_of(desk) as user:
            promoted = desk.wait(killing.deploy(desk, hasty, f"--image-tag={images.NEW}"))
            assert promoted.code == 0, promoted.output
            assert promoted.facts["promotion"]["failed"] == 0
            assert promoted.facts["promotion"]["switch_s"] is not None
            desk.assert_live("green", images.NEW)
            undone = desk.undo("rollback")
            assert undone.code == 0, undone.output
            desk.assert_live("blue", images.OLD)
        assert user.seen.failures == []
        assert user.seen.last_by.keys() == {images.OLD, images.NEW}
        _refused_for_the_other_platform(desk)


def _refused_for_the_other_platform(desk: Desk) -> None:
    """One state folder holds one environment at a time, and says so."""
    desk.environment = None
    for ran in (desk.script("up"), desk.script("status"), desk.pytest("--target=green")):
        assert ran.code == 4, ran.output
        assert "is on platform 'ecs', and 'apprunner' was asked for" in ran.output


@pytest.mark.soak
def test_rejected_in_the_rehearsal(tmp_path: Path, user_of: Callable[[Desk], User]) -> None:
    """A release that does not know the live domain as its Host is asked for it before the switch, and never gets traffic."""
    registry = images.make_registry(tmp_path / "registry", [images.LIVE_HOST_REFUSED])
    with open_desk(registry, ENVIRONMENT) as desk:
        assert desk.script("up").code == 0
        with user_of(desk) as user:
            ran = desk.pytest("--target=green", f"--image-tag={images.LIVE_HOST_REFUSED.tag}")
        assert ran.code == 1, ran.output
        assert ran.facts["reason"].startswith("rehearsal: "), ran.facts["reason"]
        assert "for the live domain" in ran.facts["reason"]
        assert user.seen.failures == []
        desk.assert_live("blue", images.OLD)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("kind", "step", "verdict"), [("intent", "verify", "rejected"), ("switched", None, "rolled_back")]
)
def test_killed_and_recovered(
    good_registry: Path, user_of: Callable[[Desk], User], kind: str, step: str | None, verdict: str
) -> None:
    """SIGKILL before and after the switch: `recover` settles it, blue is live, and no user noticed."""
    with open_desk(good_registry, ENVIRONMENT) as desk:
        assert desk.script("up").code == 0
        with user_of(desk) as user:
            running = desk.begin_pytest("--target=green")
            running.wait_for(kind, step)
            running.signal(signal.SIGKILL)
            running.process.wait(10)
            ran = desk.undo("recover")
            assert ran.code == 0, ran.output
            desk.assert_live("blue", images.OLD)
        folder = running.folder()
        assert folder is not None
        report = json.loads((folder / "verification.json").read_text(encoding="utf-8"))
        assert (report["verdict"], report["recovered"]) == (verdict, True)
        assert user.seen.failures == []

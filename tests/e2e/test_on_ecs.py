"""The same commands on ECS behind a load balancer; with `make soak`, the tests that use `either_sandbox` run there as well."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import images, killing
from tests.e2e.canaries import assert_no_secrets, command_lines
from tests.e2e.conftest import open_sandbox
from tests.e2e.sandbox import Sandbox
from tests.e2e.test_good_runs import assert_down, assert_promoted, assert_refused, undo
from tests.e2e.user import User

ENVIRONMENT = "embedded-ecs"


def test_promoted_and_rolled_back(good_registry: Path, user_of: Callable[[Sandbox], User], fast_settings: Path) -> None:
    """From `up` to `down`: a good release is promoted and rolled back; no request fails, and no secret is shown."""
    with open_sandbox(good_registry, ENVIRONMENT) as sandbox:
        up = sandbox.script("up")
        assert up.code == 0, up.output
        assert f"--environment={ENVIRONMENT}" in up.output
        ports = sandbox.ports()
        with user_of(sandbox) as user:
            with command_lines() as shown:
                noisy = ("-s", "-vv", "-rA", "--log-cli-level=DEBUG", f"--image-tag={images.NEW}")
                promoted = sandbox.wait(killing.deploy(sandbox, fast_settings, *noisy))
            assert_promoted(promoted, "green")
            assert promoted.facts["promotion"]["switch_s"] is not None
            sandbox.assert_live("green", images.NEW)
            assert_refused(sandbox.pytest("--target=green"), "green is live")
            undo(sandbox, "blue", images.OLD)
            assert any("-m locust" in line for line in shown), "the load's command line must be among those seen"
            assert_no_secrets(sandbox, {"the terminal": promoted.output, "ps": "\n".join(shown)})
        assert user.seen.failures == []
        assert user.seen.last_by.keys() == {images.OLD, images.NEW}
        _refused_for_the_other_platform(sandbox)
        sandbox.environment = ENVIRONMENT
        assert_down(sandbox, ports)


def _refused_for_the_other_platform(sandbox: Sandbox) -> None:
    """A state folder holds one environment at a time; commands for the other platform are refused."""
    sandbox.environment = None
    for ran in (sandbox.script("up"), sandbox.script("status"), sandbox.pytest("--target=green")):
        assert ran.code == 4, ran.output
        assert "is on platform 'ecs', and 'apprunner' was asked for" in ran.output


@pytest.mark.soak
def test_rejected_in_the_rehearsal(tmp_path: Path, user_of: Callable[[Sandbox], User]) -> None:
    """A release that does not accept the live domain as Host is rejected by the rehearsal gate and never gets traffic."""
    registry = images.make_registry(tmp_path / "registry", [images.LIVE_HOST_REFUSED])
    with open_sandbox(registry, ENVIRONMENT) as sandbox:
        assert sandbox.script("up").code == 0
        with user_of(sandbox) as user:
            ran = sandbox.pytest("--target=green", f"--image-tag={images.LIVE_HOST_REFUSED.tag}")
        assert ran.code == 1, ran.output
        assert ran.facts["reason"].startswith("rehearsal: "), ran.facts["reason"]
        assert "for the live domain: " in ran.output
        assert user.seen.failures == []
        sandbox.assert_live("blue", images.OLD)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("kind", "step", "verdict"), [("intent", "verify", "rejected"), ("switched", None, "rolled_back")]
)
def test_killed_and_recovered(
    good_registry: Path, user_of: Callable[[Sandbox], User], kind: str, step: str | None, verdict: str
) -> None:
    """SIGKILL before and after the switch: `recover` makes blue live again, and no request of the user fails."""
    with open_sandbox(good_registry, ENVIRONMENT) as sandbox:
        assert sandbox.script("up").code == 0
        with user_of(sandbox) as user:
            running = sandbox.begin_pytest("--target=green")
            running.wait_for(kind, step)
            running.signal(signal.SIGKILL)
            running.process.wait(10)
            ran = sandbox.undo("recover")
            assert ran.code == 0, ran.output
            sandbox.assert_live("blue", images.OLD)
        folder = running.folder()
        assert folder is not None
        report = json.loads((folder / "verification.json").read_text(encoding="utf-8"))
        assert (report["verdict"], report["recovered"]) == (verdict, True)
        assert user.seen.failures == []

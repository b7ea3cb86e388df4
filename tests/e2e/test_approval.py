"""Access lists and approvals with two real principals of one cloud: a promotion waits for the other principal's approval."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkout import CHECKOUT
from tests.e2e import killing
from tests.e2e.kill_switch import SETTINGS
from tests.e2e.killing import NEW, OLD
from tests.e2e.sandbox import CommandResult, RunningCommand, Sandbox
from tests.e2e.user import User

pytestmark = pytest.mark.soak
MANAGER = """
[environments.manager]
provider = "embedded"
role = "manager"

[environments.manager.deployment]
lease_ttl = 20
"""


@pytest.fixture
def settings(fast_settings: Path, tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes settings with these lines for the environment ``quick`` and these access lists."""

    shutil.copy(CHECKOUT.checklist_file, tmp_path)

    def make(deployment: str, access: str = "") -> Path:
        path = tmp_path / f"deployment-{len(list(tmp_path.iterdir()))}.toml"
        table = "[environments.quick.deployment]\n"
        text = fast_settings.read_text(encoding="utf-8").replace(table, f"{table}{deployment}\n")
        path.write_text(f"{text}{MANAGER}\n[access]\n{access}\n", encoding="utf-8")
        return path

    return make


def approve(sandbox: Sandbox, settings: Path, deployment_id: str, environment: str) -> CommandResult:
    """Run ``approve ID`` as the principal of that environment."""
    words = ["scripts/deploy.py", "approve", deployment_id, "--environment", environment, "--reason", "seen"]
    return sandbox.wait(
        sandbox.begin(["-m", killing.SWITCH, *words], f"approve as {environment}", {SETTINGS: str(settings)})
    )


def waiting(sandbox: Sandbox, settings: Path) -> tuple[RunningCommand, str]:
    """Start a deployment, wait until it awaits its approval, and return it with its id."""
    running = killing.deploy(sandbox, settings)
    running.wait_for("approval_awaited")
    folder = running.folder()
    assert folder is not None
    return running, folder.name


def test_another_principal_approves(
    up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], settings: Callable[[str, str], Path]
) -> None:
    """Refused: the deployer's own approval, one of a caller who is not listed, a second one; the manager's approval promotes."""
    mine = settings('approval = "required"\napproval_timeout = 60', "")
    another_role = 'approve = ["arn:aws:iam::123456789012:role/not-this-caller"]'
    with user_of(up_sandbox) as user:
        running, deployment_id = waiting(up_sandbox, mine)
        status = up_sandbox.status_in_process()
        assert (status["deployment"]["phase"], status["live"]["colour"]) == ("AWAITING_APPROVAL", "blue")
        own = approve(up_sandbox, mine, deployment_id, "quick")
        assert own.code == 4, own.output
        assert "another principal" in own.output
        listed = approve(up_sandbox, settings('approval = "required"', another_role), deployment_id, "manager")
        assert listed.code == 4, listed.output
        assert "may not approve" in listed.output
        unknown = approve(up_sandbox, mine, "20200101-000000-green-ffffff", "manager")
        assert unknown.code == 4, unknown.output
        given = approve(up_sandbox, mine, deployment_id, "manager")
        assert given.code == 0, given.output
        ran = up_sandbox.wait(running)
        assert ran.code == 0, ran.output
        assert "manager" in ran.journal("approved")[0]["by"]
        again = approve(up_sandbox, mine, deployment_id, "manager")
        assert again.code == 4, again.output
        killing.assert_settled(up_sandbox, NEW, ran.folder, "promoted")
        assert up_sandbox.undo("rollback").code == 0
    assert user.seen.failures == []


def test_approval_times_out(up_sandbox: Sandbox, settings: Callable[[str, str], Path]) -> None:
    """Without an approval the release is rejected after `approval_timeout`, and the next deployment may start."""
    ran = up_sandbox.wait(killing.deploy(up_sandbox, settings('approval = "required"\napproval_timeout = 1', "")))
    assert ran.code == 1, ran.output
    assert ran.facts["reason"].startswith("promote: "), ran.facts["reason"]
    killing.assert_settled(up_sandbox, OLD, ran.folder, "rejected")


def test_killed_while_awaiting_approval(up_sandbox: Sandbox, settings: Callable[[str, str], Path]) -> None:
    """An approval that comes after the run was killed promotes nothing."""
    mine = settings('approval = "required"\napproval_timeout = 60', "")
    killed = killing.wait_killed(up_sandbox, killing.deploy(up_sandbox, mine, spot="after approval_awaited"))
    assert killed.folder is not None
    late = approve(up_sandbox, mine, killed.folder.name, "manager")
    assert late.code == 4, late.output
    killing.recover(up_sandbox)
    killing.assert_settled(up_sandbox, OLD, killed.folder, "rejected")
    killed.thaw()


@pytest.mark.parametrize("duty", ["deploy", "promote"])
def test_caller_not_on_the_list_is_refused(
    up_sandbox: Sandbox, settings: Callable[[str, str], Path], duty: str
) -> None:
    """Exit 4 before anything is touched; the message names the duty and the list."""
    lists = f'{duty} = ["arn:aws:iam::123456789012:role/not-this-caller"]'
    ran = up_sandbox.wait(killing.deploy(up_sandbox, settings("", lists)))
    assert ran.code == 4, ran.output
    assert f"may not {duty}" in ran.output
    assert f"access.{duty}" in ran.output
    assert (ran.facts["verdict"], ran.facts["steps"]) == ("refused", [])
    killing.assert_settled(up_sandbox, OLD)


def test_rollback_and_recover_need_access(up_sandbox: Sandbox, settings: Callable[[str, str], Path]) -> None:
    """`rollback` is refused without the right to roll back, `recover` without the right to deploy or roll back."""
    another_role = '["arn:aws:iam::123456789012:role/not-this-caller"]'
    mine = settings("", f"rollback = {another_role}\ndeploy = {another_role}")
    for command in ("rollback", "recover"):
        ran = up_sandbox.wait(killing.undo(up_sandbox, mine, command, ""))
        assert ran.code == 4, ran.output
        assert "may not" in ran.output
    killing.assert_settled(up_sandbox, OLD)

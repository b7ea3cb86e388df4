"""The last lines of commands claim nothing that did not happen, and what they suggest works."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner

from deployment.errors import CloudUnreachable
from deployment.evidence import report
from deployment.phases import Phase
from deployment.recovery import status
from infrastructure import compose
from scripts import deploy
from scripts.commands import console, recover, rollback, unlock
from tests.deployment.fakes import GREEN, NEW, OLD, FakeRegistry
from tests.deployment.harness import Deployment
from tests.deployment.test_unhealthy_live import NO_DATABASE, promoted
from tests.scripts.test_denied_reads import NoTraffic
from tests.scripts.test_rollback_redeploy import SETTINGS, environment


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setattr(rollback, "TrafficMonitor", NoTraffic)
    return Deployment(tmp_path)


def said(one: Deployment, capsys: pytest.CaptureFixture[str]) -> str:
    """Roll back, and return the last line about the result."""
    assert rollback.rollback(SETTINGS, environment(one, FakeRegistry(OLD, NEW)), one.reports) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("rolled back: ")]
    return line


def unreachable() -> NoReturn:
    raise CloudUnreachable("no answer")


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_stopped_colour(one: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    one.run()
    assert said(one, capsys) == "rolled back: blue is live again and verified; green is stopped"


def test_colour_that_could_not_be_stopped(one: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    one.run()
    one.cloud.constant_errors["retire"] = CloudUnreachable("no answer")
    words = "rolled back: blue is live again and verified; green could not be stopped; it takes no traffic"
    assert said(one, capsys) == words


def test_problem_from_before_the_deployment(one: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    promoted(one, NO_DATABASE).machine.bake(lambda: None)
    one.machine.complete()
    one.machine.let_go()
    one.cloud.sides[GREEN].fails_users = NO_DATABASE  # otherwise traffic would stay on the colour that works
    assert f"verified (still wrong with blue, as before the deployment: {NO_DATABASE}); green" in said(one, capsys)


@pytest.mark.parametrize("full", [False, True])
def test_recovered_run_names_its_report_only_if_there_is_one(
    one: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], full: bool
) -> None:
    one.to_verified()
    one.mark_dead()
    if full:
        monkeypatch.setattr(report, "write", no_space)
    code = recover.recover(SETTINGS, environment(one, FakeRegistry(OLD, NEW)), one.reports)
    folder = one.reports / one.id
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{one.id}: ")]
    assert (code, line) == ((3, f"{one.id}: rejected") if full else (0, f"{one.id}: rejected; report in {folder}"))


def test_next_commands_name_the_environment(one: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the option they would work on the default environment, and find nothing to do."""
    one.to_verified()
    one.mark_dead()
    world = environment(one, FakeRegistry(OLD, NEW))
    assert unlock.unlock(SETTINGS, world, one.reports, "its runner is gone", force=False) == 0
    assert "next: python scripts/deploy.py recover --environment test, which" in capsys.readouterr().out

    document = status.describe("test", "http://live.example", one.ports, FakeRegistry(OLD, NEW))
    document["deployment"]["phase"] = Phase.AWAITING_APPROVAL
    assert f"approve {one.id} --environment test" in console.status(document, [])


def test_run_that_was_not_recovered(one: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    one.to_verified()
    one.mark_dead()
    assert recover.settle(unreachable, one.folder) == 3
    assert "Run `python scripts/deploy.py status --environment test`, then" in capsys.readouterr().err


def test_up_suggests_the_idle_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that was up already may have green live, to which no run can deploy."""
    monkeypatch.setattr(compose, "up", lambda *_: "http://api.example.localhost")
    ran = CliRunner().invoke(deploy.cli, ["up", "--environment=quick"])
    assert ran.output.splitlines()[-1] == "next: python -m pytest --target=auto --environment=quick"


def test_damaged_record_is_not_called_halted(one: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    one.to_verified()
    one.mark_dead()
    record = json.loads(one.lease.kept["deployment"])
    one.lease.kept["deployment"] = json.dumps(record | {"phase": "PENDING"})
    assert recover.recover(SETTINGS, environment(one, FakeRegistry(OLD, NEW)), one.reports) == 11
    said = capsys.readouterr().err
    assert said.startswith(f"{one.id} was not recovered: the record of {one.id} beside the lock is damaged")

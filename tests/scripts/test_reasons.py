"""`--reason` of `rollback` and `recover`: recorded in the journal, and shown by the report, its page and the history."""

from __future__ import annotations

import csv
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from deployment.clock import SystemClock
from deployment.evidence.journal import Journal
from deployment.evidence.past.runs import read
from deployment.phases import Phase
from deployment.recovery.recover import Decision
from infrastructure.compose import Environment
from plugins.page import render
from plugins.page.history import page as history_page
from plugins.page.timeline import timeline
from scripts import deploy
from scripts.commands import recover as command
from scripts.commands import rollback
from scripts.commands.evidence import history
from tests.checkout import CHECKOUT
from tests.deployment.fakes import NEW, OLD, FakeRegistry
from tests.deployment.harness import Deployment
from tests.scripts.test_denied_reads import NoTraffic
from tests.scripts.test_rollback_redeploy import SETTINGS, environment

WHY = "INC-4712: doctors <cannot> see new consultations"
SHOWN = "INC-4712: doctors &lt;cannot&gt; see new consultations"
SCHEMA = json.loads((CHECKOUT.root / "docs" / "verification.schema.json").read_text())


@pytest.fixture
def done(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment that has promoted green."""
    made = Deployment(tmp_path)
    made.run()
    yield made
    made.stop_keeper()


def shown_by(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the report, after everything that shows it was seen to have the reason."""
    report: dict[str, Any] = json.loads((folder / "verification.json").read_text())
    assert set(report) <= set(SCHEMA["properties"])
    data = json.loads((folder / "data.json").read_text())
    assert f"<dt>Reason given</dt><dd>{SHOWN}</dd>" in render(data)
    assert f"Reason given: {SHOWN}" in history_page(folder.parent)
    capsys.readouterr()
    history.as_csv(folder.parent, read(folder.parent))
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert rows[folder.name]["reason_given"] == WHY
    return report


def rolled_back(one: Deployment, world: Environment, asked: rollback.Request) -> Path:
    assert rollback.rollback(SETTINGS, world, one.reports, asked) == 0
    (folder,) = one.reports.glob("*-rollback-*")
    return folder


def test_rollback_shows_the_reason_and_both_releases(
    done: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rollback, "TrafficMonitor", NoTraffic)
    world = environment(done, FakeRegistry(OLD, NEW))
    folder = rolled_back(done, world, rollback.Request(reason=WHY))
    assert shown_by(folder, capsys)["reason_given"] == WHY
    data = json.loads((folder / "data.json").read_text())
    assert (data["before"], data["live"]) == (f"green, {NEW.name}", f"{OLD.name} on blue")


def test_rollback_without_a_reason_has_no_such_field(done: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollback, "TrafficMonitor", NoTraffic)
    folder = rolled_back(done, environment(done, FakeRegistry(OLD, NEW)), rollback.Request())
    assert "reason_given" not in json.loads((folder / "verification.json").read_text())
    assert "Reason given" not in history_page(done.reports)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_recover_shows_the_reason_and_what_is_live(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], elsewhere: bool
) -> None:
    """Also in a journal that is rebuilt on another machine, from the lock alone."""
    one = Deployment(tmp_path)
    one.machine.lease()
    one.machine.provision()
    one.mark_dead()
    reports = tmp_path / "elsewhere" if elsewhere else one.reports
    assert one.recover(reports, Decision(reason=WHY)) is Phase.REJECTED
    report = shown_by(reports / one.id, capsys)
    assert report["reason_given"] == WHY
    data = json.loads((reports / one.id / "data.json").read_text())
    assert data["live"] == data["before"] == f"blue, version {OLD.version}"


def dead_run(reports: Path, mode: str = "deploy") -> Path:
    """Write the journal of a run whose process has ended before it touched anything; return its folder."""
    folder = reports / "20261129-120000-green-abcdef"
    journal = Journal(folder / "audit.jsonl", "maria", SystemClock())
    opened = {"mode": mode, "by": "maria", "host": socket.gethostname(), "pid": 0, "started_at": "2026-11-29T12:00:00Z"}
    journal.append("opened", deployment_id=folder.name, environment=SETTINGS.environment, **opened)
    return folder


@pytest.mark.parametrize("mode", ["deploy", "rollback"])
@pytest.mark.parametrize("up", [True, False])
def test_recover_shows_the_reason_of_a_run_that_died_before_it_touched_anything(
    done: Deployment, capsys: pytest.CaptureFixture[str], mode: str, up: bool
) -> None:
    folder = dead_run(done.reports, mode)
    if up:
        assert (
            command.recover(SETTINGS, environment(done, FakeRegistry(OLD, NEW)), done.reports, Decision(reason=WHY))
            == 0
        )
    else:
        assert command.complete_reports(SETTINGS, done.reports, reason=WHY) == 1
    assert "not recorded" not in capsys.readouterr().err
    data = json.loads((folder / "data.json").read_text())
    assert f": {WHY}" in next(row["text"] for row in timeline(data["journal"]) if "recovers" in row["text"])
    row = shown_by(folder, capsys)
    assert (row["verdict"], row["recovered"]) == ("rejected", True)


def test_recover_says_that_a_reason_is_not_recorded_if_there_is_no_run(
    done: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.recover(SETTINGS, environment(done, FakeRegistry(OLD, NEW)), done.reports, Decision(reason=WHY)) == 0
    said = capsys.readouterr()
    assert "nothing to recover" in said.out
    assert "--reason is not recorded" in said.err
    assert command.recover(SETTINGS, environment(done, FakeRegistry(OLD, NEW)), done.reports) == 0
    assert "--reason" not in capsys.readouterr().err


def test_approve_takes_no_empty_reason() -> None:
    result = CliRunner().invoke(deploy.cli, ["approve", "20261129-120000-green-abcdef", "--reason", " "])
    assert result.exit_code != 0
    assert "--reason: must not be empty" in " ".join(result.output.split())


@pytest.mark.parametrize("name", ["rollback", "recover"])
def test_reason_must_not_be_empty(name: str) -> None:
    result = CliRunner().invoke(deploy.cli, [name, "--reason", "  "])
    assert result.exit_code != 0
    assert "--reason" in result.output
    assert "must not be empty" in result.output


def test_redeploy_takes_no_reason(tmp_path: Path) -> None:
    result = CliRunner().invoke(deploy.cli, ["rollback", "--redeploy", "--reason", WHY, "--reports", str(tmp_path)])
    assert result.exit_code != 0
    assert "--redeploy deploys, and a deployment records no --reason" in result.output

"""Runs that died before they touched anything: their lock is released and their report is completed."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from deployment.clock import SystemClock
from deployment.evidence import archive
from deployment.evidence.journal import Journal, read
from deployment.flow import lost_reports
from deployment.preflight import attestations
from deployment.recovery import complete_report
from deployment.recovery.force_unlock import earlier_locks
from tests.deployment.fakes import BLUE, elsewhere
from tests.deployment.harness import ACTOR, LIMITS, Deployment
from tests.deployment.test_journal_chain import MALFORMED

GONE = 2**22 + 1  # above the highest pid of Linux


def journal(
    reports: Path,
    name: str,
    mode: str = "deploy",
    pid: int = GONE,
    host: str | None = None,
    environment: str = "test",
    **more: Any,
) -> Journal:
    """Return the journal of a run that has just opened it, as an earlier version writes it unless ``more`` says more."""
    made = Journal(reports / name / "audit.jsonl", ACTOR, SystemClock())
    where = host or socket.gethostname()
    made.append("opened", deployment_id=name, environment=environment, mode=mode, by=ACTOR, host=where, pid=pid, **more)
    return made


def complete(reports: Path, reason: str | None = None) -> int:
    by = complete_report.Recoverer("recoverer", reason)
    return complete_report.complete(reports, "test", by=by, clock=SystemClock())


@pytest.mark.parametrize(
    ("mode", "step", "verdict", "reason"),
    [
        ("deploy", None, "rejected", "lease: the run died before it had touched anything"),
        ("deploy", "lease", "rejected", "lease: the run died before it had touched anything"),
        ("rollback", "lease", "rejected", "lease: the run died before it had touched anything"),
        ("verify", None, "failed", "verify: the run died"),
    ],
)
def test_report_of_a_dead_run_is_completed(
    tmp_path: Path, mode: str, step: str | None, verdict: str, reason: str
) -> None:
    made = journal(tmp_path, "one", mode)
    if step:
        made.append("intent", step=step, what="take the lock")
    assert complete(tmp_path) == 1
    report = json.loads((tmp_path / "one" / "verification.json").read_text())
    assert (report["verdict"], report["reason"], report["exit_code"]) == (verdict, reason, None)
    assert report["recovered"] is True
    assert list(read(made.path))[-1].kind == "closed"
    assert complete(tmp_path) == 0


@pytest.mark.parametrize("mode", ["deploy", "rollback", "verify"])
def test_report_of_a_dead_run_has_the_reason_of_its_recovery(tmp_path: Path, mode: str) -> None:
    made = journal(tmp_path, "one", mode)
    assert complete(tmp_path, "its runner was stopped") == 1
    report = json.loads((tmp_path / "one" / "verification.json").read_text())
    assert report["reason_given"] == "its runner was stopped"
    (line,) = [record.data for record in read(made.path) if record.kind == "recovering"]
    assert line == {"by": "recoverer", "reason": "its runner was stopped"}
    assert complete(tmp_path, "again") == 0


def test_verdict_in_the_journal_is_kept(tmp_path: Path) -> None:
    journal(tmp_path, "one").append("closed", verdict="refused", exit_code=4, reason="lease: no")
    assert complete(tmp_path) == 1
    report = json.loads((tmp_path / "one" / "verification.json").read_text())
    assert (report["verdict"], report["exit_code"], report["recovered"]) == ("refused", 4, False)


@pytest.mark.parametrize(
    "other",
    [{"pid": os.getpid()}, {"host": "a-runner-far-away"}, {"environment": "production"}, {"mode": "unlock"}],
    ids=["alive", "elsewhere", "another environment", "without a report"],
)
def test_report_of_another_run_is_left_alone(tmp_path: Path, other: dict[str, object]) -> None:
    journal(tmp_path, "one", **other)  # type: ignore[arg-type]  # arguments of `journal` by name
    assert complete(tmp_path) == 0
    assert not (tmp_path / "one" / "verification.json").exists()


@pytest.mark.parametrize("step", ["provision", "rollback"])
def test_run_that_changed_something_is_not_completed(tmp_path: Path, step: str) -> None:
    journal(tmp_path, "one").append("intent", step=step, what="change something")
    assert complete(tmp_path) == 0


def test_changed_journal_is_left_alone(tmp_path: Path) -> None:
    path = journal(tmp_path, "one").path
    path.write_bytes(path.read_bytes().replace(b"deploy", b"DEPLOY"))
    kept = path.read_bytes()
    assert complete(tmp_path) == 0
    assert path.read_bytes() == kept


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_one_odd_file_stops_no_other_run(tmp_path: Path, content: str) -> None:
    """The folder of reports is old and large; every deployment, ``recover`` and ``down`` reads it."""
    odd = tmp_path / "20260101-000000-green-aaaaaa" / "audit.jsonl"
    odd.parent.mkdir()
    odd.write_bytes(content.encode("latin-1") + b"\n")
    journal(tmp_path, "one")
    journal(tmp_path, "two").append("intent", step="provision", what="change something")
    assert complete(tmp_path) == 1
    assert list(complete_report.touched_runs(tmp_path)) == [("two", "test")]
    assert not complete_report.run_ended(tmp_path, odd.parent.name)
    assert complete_report.may_have_moved(odd.parent)
    assert odd.read_bytes() == content.encode("latin-1") + b"\n"


def test_a_pipe_in_place_of_a_journal_stops_no_other_run(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    os.mkfifo(tmp_path / "odd" / "audit.jsonl")
    journal(tmp_path, "one")
    assert complete(tmp_path) == 1
    assert not complete_report.run_ended(tmp_path, "odd")


@pytest.mark.parametrize(
    ("kind", "data"), [("outcome", {"step": "lease"}), ("checklist", {"items": [1]}), ("gates", {"gates": 7})]
)
def test_journal_without_the_fields_of_a_report_stays_as_it_is(tmp_path: Path, kind: str, data: dict[str, Any]) -> None:
    """Its chain is valid, so somebody wrote all of it again; its report can never be completed."""
    made = journal(tmp_path, "odd")
    made.append("intent", step="lease", what="take the lock")
    made.append(kind, **data)
    kept = made.path.read_bytes()
    journal(tmp_path, "one")
    assert complete(tmp_path) == 1
    assert made.path.read_bytes() == kept


@pytest.mark.parametrize("pid", [[], 10**30, "x"])
def test_any_pid_of_an_earlier_version_is_read(tmp_path: Path, pid: Any) -> None:
    journal(tmp_path, "one", pid=pid)
    assert complete(tmp_path) == 1


@pytest.mark.parametrize("text", ["[" * 3_000_000, "[]", '{"one": 7}', '{"one": {"verdict": "rejected"}}', "x"])
def test_spoiled_notes_about_earlier_runs_stop_no_run(one: Deployment, text: str) -> None:
    notes = (lost_reports.NOTE, archive.HEADS_NOTE, attestations.NOTE)
    one.lease.kept |= dict.fromkeys(notes, text)
    assert lost_reports.results(one.lease) == {}
    assert attestations.recorded(one.lease, "one") == {}
    assert earlier_locks(text) == []
    archive.anchor(one.lease, "two", journal(one.reports, "two"))
    assert archive.anchored(one.lease, "two") is not None


def test_lock_of_a_dead_run_is_released(one: Deployment) -> None:
    one.machine.lease()
    one.mark_dead()
    one.lease.kept.pop("deployment")  # as if the run had died right after it got the lock
    assert complete_report.free_lock(one.ports, "recoverer", LIMITS) == "one"
    assert one.lease.holder is None
    assert complete_report.free_lock(one.ports, "recoverer", LIMITS) is None


def test_lock_of_a_living_or_half_done_run_is_kept(one: Deployment) -> None:
    one.machine.lease()
    assert one.lease.holder is not None
    record = one.lease.kept.pop("deployment")
    assert complete_report.free_lock(one.ports, "recoverer", LIMITS) is None
    one.mark_dead()
    one.lease.kept["deployment"] = record
    assert complete_report.free_lock(one.ports, "recoverer", LIMITS) is None
    one.lease.kept.pop("deployment")
    one.lease.holder = elsewhere(one.lease.holder)
    assert complete_report.free_lock(one.ports, "recoverer", LIMITS) is None
    assert one.lease.holder is not None
    assert one.cloud.routes.live is BLUE

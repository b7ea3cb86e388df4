"""Runs on a disk that fills at some line of the journal: exit code 3, traffic on the previous colour, the lease given back."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from deployment.evidence import report
from deployment.evidence.journal import Journal, read
from deployment.flow.lost_reports import NOTE
from tests.plugins.project import Outcome, Project
from tests.soak import sample

FULL = os.strerror(errno.ENOSPC)


def fill_at(monkeypatch: pytest.MonkeyPatch, text: str, *, report_too: bool = True) -> None:
    """Fail every write of the journal, and of the report, from the first line on that contains ``text``."""
    full = [False]
    put, write = Journal._put, report.write

    def fail_to_put(journal: Journal, descriptor: int, content: bytes) -> None:
        full[0] = full[0] or text.encode() in content
        if full[0]:
            raise OSError(errno.ENOSPC, FULL)
        put(journal, descriptor, content)

    def fail_to_write(folder: Path, built: dict[str, object]) -> Path:
        if full[0] and report_too:
            raise OSError(errno.ENOSPC, FULL)
        return write(folder, built)

    monkeypatch.setattr(Journal, "_put", fail_to_put)
    monkeypatch.setattr(report, "write", fail_to_write)


def assert_safe(project: Project, run: Outcome, *, rolled_back: bool) -> None:
    """Assert exit code, traffic and lease by the state of the world, since the run left no report."""
    assert run.code == 3, run.output
    assert "Traceback" not in run.output
    assert FULL in run.output
    assert run.report == {}, "a report without a whole journal"
    assert project.facts.read("routes")["live"] == "blue", run.output
    assert project.facts.read("services")["green"] is None, run.output
    assert project.facts.read("holder") is None, "the lease was not released"
    notes = project.facts.read("notes", {})
    assert "deployment" not in notes
    assert "promotion" not in notes
    assert ("rolled_back" if rolled_back else "rejected") in notes[NOTE]
    (journal,) = (project.path / "reports").glob("2*/audit.jsonl")
    list(read(journal))  # the file on the disk is complete


MOMENTS = {
    "provision": ('"step": "provision"', False),
    "verification": ('"kind": "verified"', False),
    "before the switch": ('"kind": "writing"', False),
    "after the switch": ('"kind": "switched"', True),
    "bake": ('"step": "bake"', True),
    "end of the bake": ("without harm", True),
    "end": ('"kind": "closed"', True),
}


@pytest.mark.parametrize(
    "moment",
    sample(MOMENTS, "end"),
)
def test_disk_that_fills_gives_3_and_a_safe_world(
    project: Project, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    text, rolled_back = MOMENTS[moment]
    fill_at(monkeypatch, text)
    assert_safe(project, project.run(), rolled_back=rolled_back)


@pytest.mark.soak
def test_disk_that_fills_in_a_rollback_does_not_delay_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.add("live", "def test_it(client, promoted): assert False")
    fill_at(monkeypatch, '"kind": "decided"')
    assert_safe(project, project.run(), rolled_back=True)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        pytest.param('"step": "bake"', "rolled_back", id="bake"),
        pytest.param('"kind": "verified"', "rejected", id="verification", marks=pytest.mark.soak),
    ],
)
def test_disk_that_fails_once_gives_3_and_a_report(
    project: Project, monkeypatch: pytest.MonkeyPatch, text: str, verdict: str
) -> None:
    """The disk takes the next line again, so that the journal and the report are whole."""
    put, failed = Journal._put, [False]

    def fail_once(journal: Journal, descriptor: int, content: bytes) -> None:
        if not failed[0] and text.encode() in content:
            failed[0] = True
            raise OSError(errno.ENOSPC, FULL)
        put(journal, descriptor, content)

    monkeypatch.setattr(Journal, "_put", fail_once)
    run = project.run()
    assert (run.code, run.report["exit_code"], run.report["verdict"]) == (3, 3, verdict), run.output
    assert "Traceback" not in run.output
    assert [line["restored"] for line in run.journal if line["kind"] == "gap"] == [True]
    assert project.facts.read("routes")["live"] == "blue"
    assert project.facts.read("holder") is None


@pytest.mark.soak
def test_report_alone_that_cannot_be_written_takes_the_promotion_back(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Path:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(report, "write", fail)
    run = project.run()
    assert run.code == 3, run.output
    assert project.facts.read("routes")["live"] == "blue"
    assert project.facts.read("holder") is None

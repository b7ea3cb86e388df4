"""The page that ``rollback`` and ``recover`` write: complete like a run's, self-contained and without secrets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deployment.clock import SystemClock
from deployment.evidence import archive
from deployment.evidence.journal import Journal
from plugins.page import render
from tests.plugins.test_plugin_reports import Page

SECRET = "canary-of-a-page"
STARTED = "2026-11-23T04:00:00.000+00:00"


def written(folder: Path, *more: tuple[str, dict[str, object]], undoes: str | None = None, **closed: object) -> str:
    """Write a journal with these lines, close it and return its page."""
    journal = Journal(
        folder / "audit.jsonl", "arn:operator", SystemClock(), lambda text: text.replace(SECRET, "[redacted]")
    )
    journal.append(
        "opened",
        deployment_id="run-1",
        environment="test",
        target="blue",
        by="arn:x",
        started_at=STARTED,
        host="h",
        pid=1,
    )
    planned = {
        "target": "blue",
        "image": "telehealth-api:1.0.0",
        "digest": "sha256:aaaa",
        "version": "1.0.0",
        "by": "arn:x",
    }
    journal.append("planned", **planned, **({"undoes": undoes} if undoes else {}))
    for kind, data in more:
        journal.append(kind, **data)
    messages: list[str] = []
    archive.close(journal, folder, [("closed", closed)], say=messages.append, page=render)
    assert messages == []
    return (folder / archive.PAGE_FILE).read_text()


@pytest.mark.parametrize(
    ("closed", "sentence", "colour"),
    [
        (
            {"verdict": "rolled_back", "exit_code": 0},
            "ROLLED BACK: the promotion run-0 was undone; telehealth-api:1.0.0 on blue is live again and verified.",
            "good",
        ),
        (
            {"verdict": "rejected", "exit_code": 1, "reason": f"rollback: <b>blue</b> is not there {SECRET}"},
            "NOT ROLLED BACK: the promotion run-0 stands; traffic was not moved back to telehealth-api:1.0.0 on blue.",
            "bad",
        ),
        (
            {"verdict": "rollback_failed", "exit_code": 11, "reason": "rollback: the routes cannot be read"},
            "ROLLBACK FAILED: the live state of test is unknown or wrong. A person must act now.",
            "bad",
        ),
    ],
    ids=lambda value: value["verdict"] if isinstance(value, dict) else None,
)
def test_page_of_a_rollback(tmp_path: Path, closed: dict[str, object], sentence: str, colour: str) -> None:
    rollback = {"reason": "asked for", "detected_s": 0.0, "switch_s": 0.031, "requests": 12, "failed": 3}
    html = written(tmp_path, ("traffic", {"promotion": None, "rollback": rollback}), undoes="run-0", **closed)
    page = Page(html)
    assert page.loads == []
    assert page.texts.index(sentence) < page.texts.index("The facts")
    assert f'<header class="{colour}">' in html
    shown = " | ".join(page.texts)
    for fact in ("telehealth-api:1.0.0, version 1.0.0", "sha256:aaaa", "undoes | run-0", "Rollback | 12 | 3 | 0.031"):
        assert fact in shown, shown
    assert "Gates" not in page.texts, "a rollback runs no gates"
    assert SECRET not in html
    assert "<b>blue</b>" not in html


def test_page_of_a_recovery(tmp_path: Path) -> None:
    gates = [
        {
            "name": "auth",
            "required": True,
            "outcome": "passed",
            "checks": 6,
            "failed": 0,
            "duration_s": 1.0,
            "waived": None,
        }
    ]
    html = written(
        tmp_path,
        ("verified", {"gates": [gate | {"reason": None} for gate in gates]}),
        ("recovering", {"phase": "BAKING", "step": "bake", "by": "arn:operator"}),
        verdict="rolled_back",
        exit_code=None,
        recovered=True,
        reason="bake: its process died",
    )
    page = Page(html)
    shown = " | ".join(page.texts)
    assert "The run's process had died; arn:operator recovered it." in shown
    assert "auth | passed, | 6 of 6" in shown, "the page must show what the run had verified before it died"
    assert "live | not run" in shown
    assert "exit code " not in shown, "the words of the page explain exit codes"
    assert re.search(r"arn:operator recovers the deployment, whose run died in phase BAKING", shown)


def test_journal_is_closed_if_the_page_fails(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit.jsonl", "arn:operator", SystemClock())
    journal.append("opened", deployment_id="run-1")

    def broken(_: object) -> str:
        raise KeyError("what")

    messages: list[str] = []
    closed = archive.close(journal, tmp_path, [("closed", {"verdict": "rejected"})], say=messages.append, page=broken)
    assert closed["verdict"] == "rejected"
    assert messages == ["report.html was not written: KeyError: 'what'"]

"""The page that ``rollback`` and ``recover`` write: complete like a run's, self-contained and without secrets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deployment.clock import SystemClock
from deployment.evidence import archive
from deployment.evidence.data import content
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


GATE = {
    "name": "auth",
    "required": True,
    "outcome": "passed",
    "checks": 6,
    "failed": 0,
    "duration_s": 1.0,
    "waived": None,
}
NOT_PROMOTED = "telehealth-api:1.0.0 was not promoted; live traffic never moved."
BACK = "telehealth-api:1.0.0 had been promoted to blue; the previous colour is live again and verified."


@pytest.mark.parametrize(
    ("verdict", "code", "reason", "more", "expected", "colour"),
    [
        ("rejected", 2, "verify: interrupted by SIGINT (Ctrl-C)", {}, f"INTERRUPTED: {NOT_PROMOTED} No check had failed.", "neutral"),
        ("rejected", 2, "verify: interrupted by SIGTERM", {}, f"INTERRUPTED: {NOT_PROMOTED} No check had failed.", "neutral"),
        ("rolled_back", 2, "bake: interrupted by SIGHUP", {}, f"INTERRUPTED: {BACK} No check had failed.", "neutral"),
        (
            "rejected", 2, "verify: interrupted by SIGINT", {"outcome": "failed", "failed": 2},
            f"INTERRUPTED: {NOT_PROMOTED} Checks had failed before, in auth (2).", "neutral",
        ),
        ("rejected", None, "verify: the run died in phase VERIFYING", {}, f"INTERRUPTED: {NOT_PROMOTED} No failed check was recorded.", "neutral"),
        ("failed", 2, "verify: interrupted by SIGINT", {}, "INTERRUPTED: the verification did not finish. No check had failed.", "neutral"),
        ("rejected", 3, "verify: an internal error of the framework", {}, f"INTERNAL ERROR: {NOT_PROMOTED} No check had failed.", "bad"),
        ("rejected", 3, "auth: 2 of its checks failed", {"outcome": "failed", "failed": 2}, f"REJECTED: {NOT_PROMOTED}", "bad"),
        ("rejected", 2, "auth: 2 of its checks failed", {"outcome": "failed", "failed": 2}, f"REJECTED: {NOT_PROMOTED}", "bad"),
        ("rejected", 1, "auth: 2 of its checks failed", {"outcome": "failed", "failed": 2}, f"REJECTED: {NOT_PROMOTED}", "bad"),
    ],
)  # fmt: skip
def test_page_of_a_run_that_was_cut_short_does_not_say_that_the_release_failed(
    tmp_path: Path, verdict: str, code: int | None, reason: str, more: dict[str, object], expected: str, colour: str
) -> None:
    """The signed data keeps the verdict; the page's first sentence and its colour say what happened."""
    step = {"step": "verify", "started_at": STARTED, "duration_s": 3.0, "outcome": "failed", "detail": reason}
    html = written(
        tmp_path,
        ("intent", {"step": "verify", "what": "verify"}),
        ("outcome", step),
        ("gates", {"gates": [GATE | more]}),
        verdict=verdict,
        exit_code=code,
        reason=reason,
        recovered=code is None,
    )
    assert Page(html).texts.count(expected) == 1
    assert f'<header class="{colour}">' in html
    cut = expected.startswith("INTERRUPTED")
    assert ('<rect class="interrupted"' in html, '<rect class="failed"' in html) == (cut, not cut)
    data = content.read(tmp_path)
    assert data["report"]["verdict"] == verdict
    assert not data["sentence"].startswith("INTER")


def test_page_of_a_rollback_names_what_was_asked_afterwards(tmp_path: Path) -> None:
    asked = "20 answers in a row on fresh connections by blue; then all of this passed: GET /health"
    step: dict[str, object] = {
        "step": "rollback",
        "started_at": STARTED,
        "duration_s": 3.0,
        "outcome": "passed",
        "detail": asked,
    }
    reads = [
        {"journey": "book", "operation": f"GET /consults/{n}", "outcome": one, "problem": None}
        for n, one in enumerate(("readable", "readable", "not_found"))
    ]
    lines: list[tuple[str, dict[str, object]]] = [
        ("intent", {"step": "rollback", "what": "move"}),
        ("outcome", step),
    ]
    html = written(
        tmp_path / "one", *lines, ("read_back", {"reads": reads}), verdict="rolled_back", exit_code=10, reason="bake: x"
    )
    said = f"after the traffic had gone back: {asked}; 2 of 3 requests read data that was written after the promotion"
    assert f"Verified by | {said}" in " | ".join(Page(html).texts)
    html = written(
        tmp_path / "two",
        ("intent", lines[0][1]),
        ("outcome", step | {"outcome": "failed"}),
        verdict="rollback_failed",
        exit_code=11,
        reason="rollback: x",
    )
    assert "Verified by" not in html


def test_page_names_the_caller_and_the_local_user_as_such(tmp_path: Path) -> None:
    html = written(
        tmp_path / "one",
        ("planned", {"by": "arn:x", "requested_by": "maria@runner-7"}),
        verdict="rejected",
        exit_code=1,
    )
    assert "arn:x; local user maria@runner-7" in Page(html).texts
    html = written(
        tmp_path / "two", ("planned", {"by": "maria@ci", "requested_by": "maria@ci"}), verdict="rejected", exit_code=1
    )
    assert "maria@ci, on h" in Page(html).texts


def test_journal_is_closed_if_the_page_fails(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit.jsonl", "arn:operator", SystemClock())
    journal.append("opened", deployment_id="run-1")

    def broken(_: object) -> str:
        raise KeyError("what")

    messages: list[str] = []
    closed = archive.close(journal, tmp_path, [("closed", {"verdict": "rejected"})], say=messages.append, page=broken)
    assert closed["verdict"] == "rejected"
    assert messages == ["report.html was not written: KeyError: 'what'"]

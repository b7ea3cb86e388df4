"""The last screen of a run: what a person must know, within 24 lines of 80 columns, for each verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployment.evidence.data import content
from deployment.evidence.journal import JOURNAL_FILE, read
from plugins.terminal.verdict import Part, screen
from tests.page import runs
from tests.plugins.on_a_terminal import COLUMNS, LINES, displayed

AGAINST = "--base-url=URL "


def last_screen(folder: Path, to_recover: str | None = None) -> str:
    """Return what a terminal shows that was clear before, with the heading."""
    data = content.build(list(read(folder / JOURNAL_FILE)), content.details_of(folder))
    lines = [text for text, _ in screen(data, folder / "report.html", AGAINST, COLUMNS, to_recover)]
    return displayed("\n".join([" verdict ".center(COLUMNS, "="), *lines]) + "\n")


@pytest.mark.parametrize("width", [None, COLUMNS])
@pytest.mark.parametrize("raw", ["\x1b[41mred\x1b[2J", "r\x9b5med\x07", "\u202ered", "\x1b]0;title\x07red\r"])
def test_last_screen_shows_no_control_characters_of_a_service(raw: str, width: int | None) -> None:
    assert [line.strip() for line in Part([f"reason: {raw}"]).fitted(width)] == ["reason: red"]


def words(shown: str) -> str:
    return " ".join(shown.split())


EXPECTED = {
    "promoted": (
        "PROMOTED: telehealth-api:1.1.0 is live on green in production; load did NOT pass and was waived",
        "gate rehearsal is not required and did not pass",
        "gate redis is absent: the service declares no cache",
        "exit code 0",
    ),
    "rejected": (
        "REJECTED: telehealth-api:1.1.0 was not promoted; live traffic never moved.",
        "latency: budgets (listConsults): GET /consults: p95 612.4 ms, limit 500 ms",
        "FAILED latency: case 0 of GET /consults answers as the contract says",
        "FAILED latency: test_answers_as_documented[2-a-consultation-of-another-doctor]",
        "curl -s -i -H 'Authorization: Bearer [redacted]' 'https://green.internal.example.com/consults?limit=500'",
        "live: blue, version 1.0.0, as before",
        "users: 0 of ",
        "exit code 1",
    ),
    "rolled_back": (
        "ROLLED BACK: telehealth-api:1.1.0 had been promoted to green;",
        "bake: 31 of 240 requests of users failed (limit 1 %): GET /consults: status 500",
        "users: 31 of ",
        "logs: the report has the last 9 lines of the release's logs, below its journal",
        "exit code 10",
    ),
    "refused": (
        "REFUSED: nothing was touched.",
        "telehealth-api has no image with the tag 1.1.0 in the registry of production",
        "Push the image, or choose one of 1.0.0, 0.9.4, 0.9.3.",
        "exit code 4",
    ),
    "interrupted": (
        "INTERRUPTED: telehealth-api:1.1.0 was not promoted; live traffic never moved. No check had failed.",
        "live: blue, version 1.0.0, as before",
        "next: deploy again at any time; there is nothing to recover",
        "verify: interrupted by SIGINT (Ctrl-C)",
        "users: 0 of ",
        "exit code 2",
    ),
    "halted": (
        "ROLLBACK FAILED: the live state of production is unknown or wrong. A person must act now.",
        "rollback: the router answers 503; the rollback was started because of bake:",
        "See docs/roll-back-by-hand.md;",
        "`python scripts/deploy.py recover --environment production` tries again.",
        "exit code 11",
    ),
    "verified": ("VERIFIED: every check that ran has passed.", "exit code 0"),
    "many": ("REJECTED:", "117 more failures: see the report", "report: ", "exit code 1"),
}


@pytest.mark.parametrize("name", ["interrupted", "rejected"])
def test_last_screen_names_recover_if_the_lock_was_not_released(name: str, tmp_path: Path) -> None:
    shown = last_screen(
        runs.RUNS[name](tmp_path / "reports" / name), "`python scripts/deploy.py recover` frees the lock"
    )
    assert "next: `python scripts/deploy.py recover` frees the lock" in words(shown)
    assert "nothing to recover" not in shown
    assert len(shown.splitlines()) <= LINES - 1


@pytest.mark.parametrize("name", EXPECTED)
def test_last_screen_of_each_verdict(name: str, tmp_path: Path) -> None:
    shown = last_screen(runs.RUNS[name](tmp_path / "reports" / name))
    print(shown)
    assert len(shown.splitlines()) <= LINES - 1, "with the shell's prompt, one screen"
    for text in (*EXPECTED[name], f"report: {tmp_path / 'reports' / name / 'report.html'}"):
        assert words(text) in words(shown) or text.replace(" ", "") in shown.replace("\n", "").replace(" ", ""), text

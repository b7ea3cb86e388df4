"""``severity`` and ``skip`` of a check in YAML: what is read, and which mistakes are refused with their line."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from verification.declarative.checks import DeclaredCheck, load
from verification.declarative.exemptions import Skip, mistakes_in_skip
from verification.declarative.source import InvalidChecks

TEXT = "checks:\n  - name: it is up\n    {line}\n    request: GET /health\n    expect: {{status: 200}}\n"


def day(days: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def read(tmp_path: Path, line: str, gate: str = "redis") -> DeclaredCheck:
    file = tmp_path / "suites" / gate / "more.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(TEXT.format(line=line))
    (check,) = load(file, f"suites/{gate}/more.yaml")
    return check


def test_severity_and_skip_are_read(tmp_path: Path) -> None:
    assert read(tmp_path / "1", "severity: advisory").severity == "advisory"
    assert read(tmp_path / "2", "severity: required", "health").severity == "required"
    assert read(tmp_path / "3", "description: none of both").severity == "required"
    found = read(tmp_path / "4", f"skip: {{reason: ticket 4, until: {day(90)}}}")
    assert (found.skip, found.severity) == (Skip("ticket 4", day(90)), "required")
    assert read(tmp_path / "5", "skip: {reason: ticket 4, until: 2020-02-29}").skip == Skip("ticket 4", "2020-02-29")


@pytest.mark.parametrize(
    ("gate", "line", "words"),
    [
        (
            "live",
            "severity: advisory",
            "more.yaml:3:[0-9]+: a check of gate live cannot be advisory in severity of check 'it is up'",
        ),
        (
            "health",
            "skip: {reason: x, until: 2020-01-01}",
            "more.yaml:3:[0-9]+: a check of gate health cannot be skipped",
        ),
        ("redis", "severity: advisry", "more.yaml:3:[0-9]+: .*did you mean 'advisory'"),
        ("redis", "severity:", "more.yaml:3:[0-9]+: a value is missing"),
        ("redis", "skip: {reason: x, until: 2026-02-30}", "more.yaml:3:[0-9]+: '2026-02-30' is not a date"),
        ("redis", "skip: {reason: x, until: 2020-1-1}", "more.yaml:3:[0-9]+: '2020-1-1' is not a date"),
        ("redis", "skip: {reason: x, until: 2020-W53-1}", "more.yaml:3:[0-9]+: '2020-W53-1' is not a date"),
        (
            "redis",
            "skip: {reason: x, until: 20200101}",
            "more.yaml:3:[0-9]+: 20200101 is not allowed .*: expected a day such as 2030-12-31",
        ),
        ("redis", f"skip: {{reason: x, until: {day(92)}}}", "more.yaml:3:[0-9]+: .* is more than 90 days away"),
        ("redis", f"skip: {{until: {day(1)}}}", "more.yaml:3:[0-9]+: 'reason' is missing"),
        ("redis", f"skip: {{reason: '', until: {day(1)}}}", "more.yaml:3:[0-9]+: .*it must not be empty"),
        ("redis", f"skip: {{reason: ' ', until: {day(1)}}}", "more.yaml:3:[0-9]+: the skip has no reason"),
        ("redis", "skip: {reason: x}", "more.yaml:3:[0-9]+: 'until' is missing"),
        (
            "redis",
            f"skip: {{reason: x, untill: {day(1)}}}",
            "more.yaml:3:[0-9]+: unknown key 'untill'.*did you mean 'until'",
        ),
        ("redis", "skip: true", "more.yaml:3:[0-9]+: true is not allowed"),
        (
            "redis",
            f"severity: advisory\n    skip: {{reason: x, until: {day(1)}}}",
            "more.yaml:4:[0-9]+: an advisory check",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_line(tmp_path: Path, gate: str, line: str, words: str) -> None:
    with pytest.raises(InvalidChecks, match=words):
        read(tmp_path, line, gate)


def test_ninety_days_are_the_limit() -> None:
    today = date(2026, 11, 29)
    assert list(mistakes_in_skip("x", "2027-02-27", today)) == []
    assert [key for key, _ in mistakes_in_skip("x", "2027-02-28", today)] == ["until"]
    assert [key for key, _ in mistakes_in_skip(None, None, today)] == ["reason", "until"]

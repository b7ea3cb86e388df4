"""``checks`` lists every check with its history, which comes from the reports alone; the cache may be lost or damaged."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from scripts.commands.checks import listing
from scripts.commands.checks.collected import Listed
from tests.scripts.notes_project import run
from verification import history

UP, WRONG = "suites/service.yaml::health::answers", "suites/notes/test_own.py::test_in_python[a::b]"
JUNIT = '<testsuites><testsuite><testcase classname="suites.service.yaml.health" name="answers" time="{seconds}">{up}</testcase><testcase classname="suites.notes.test_own" name="test_in_python[a::b]" time="1"/><testcase classname="deployment" name="verdict" time="9"/></testsuite></testsuites>'


def report(project: Path, number: int, digest: str, *, failed: bool = False, seconds: float = 1) -> Path:
    """Write a report of one run."""
    folder = project / "reports" / f"run-{number}"
    folder.mkdir(parents=True)
    (folder / "verification.json").write_text(json.dumps({"digest": digest, "started_at": f"2026-01-0{number}"}))
    (folder / "junit.xml").write_text(JUNIT.format(seconds=seconds, up='<failure message="x"/>' if failed else ""))
    return folder


def listed() -> dict[str, dict[str, object]]:
    """Return the rows of ``checks --json`` by check."""
    result = run("checks", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return {row["check"]: row for row in json.loads(result.stdout)}


@pytest.fixture
def project(ours: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    own = [
        Listed(UP, "health", "required"),
        Listed(WRONG, "notes", "advisory"),
        Listed("suites/notes/first.yaml::it is ready", "notes", "skipped", until="2027-01-31"),
    ]
    monkeypatch.setattr(listing, "collected", lambda _: own)
    report(ours, 1, "sha256:one", seconds=5)
    report(ours, 2, "sha256:one", failed=True, seconds=1)
    report(ours, 3, "sha256:two", seconds=2)
    (ours / "reports" / "latest").symlink_to("run-3")
    return ours


def test_history_counts_each_report_once(project: Path) -> None:
    rows = listed()
    assert rows[UP] == {
        "gate": "health",
        "check": UP,
        "owner": None,
        "severity": "required",
        "last": "passed",
        "last_run": "run-3",
        "runs": 3,
        "passed": 2,
        "median_s": 2.0,
        "flaky_releases": 1,
        "chance": {"failed": 0, "runs": 1, "low": 0.0, "high": 0.975},
        "releases": {"sha256:one": {"passed": 1, "runs": 2}, "sha256:two": {"passed": 1, "runs": 1}},
    }
    assert (rows[WRONG]["runs"], rows[WRONG]["flaky_releases"]) == (3, 0)
    assert rows["suites/notes/first.yaml::it is ready"]["last"] is None
    severities = ["required", "advisory", "skipped until 2027-01-31"]
    assert [row["severity"] for row in rows.values()] == severities


def test_the_cache_follows_the_reports(project: Path) -> None:
    before = listed()
    assert listed() == before
    shutil.rmtree(project / "reports" / "run-2")
    report(project, 4, "sha256:two", failed=True)
    row = listed()[UP]
    assert (row["runs"], row["last"], row["flaky_releases"]) == (3, "failed", 1)


@pytest.mark.parametrize("damage", ["removed", "no database", "cut off", "another version"])
def test_a_damaged_cache_changes_nothing(project: Path, damage: str) -> None:
    expected, file = listed(), project / "reports" / history.FILE
    content = file.read_bytes()
    match damage:
        case "removed":
            file.unlink()
        case "no database":
            file.write_bytes(b"canary" * 1000)
        case "cut off":
            file.write_bytes(content[: len(content) // 2])
        case "another version":
            file.write_bytes(content[:60] + b"\0\0\0\x09" + content[64:])
    assert listed() == expected
    assert listed() == expected


def test_an_incomplete_report_counts_for_nothing(project: Path) -> None:
    expected = listed()
    broken = report(project, 5, "sha256:two", failed=True)
    (broken / "junit.xml").write_text("<testsuites>")
    (report(project, 6, "sha256:two") / "verification.json").unlink()
    assert listed() == expected
    assert "left out: " in run("checks").stderr
    assert "run-5: junit.xml is not XML" in run("checks").stderr


def test_without_reports_there_is_no_history(project: Path) -> None:
    shutil.rmtree(project / "reports")
    assert {row["runs"] for row in listed().values()} == {0}


@pytest.mark.parametrize(
    ("rules", "owner"),
    [
        ("* @all\n", "@all"),
        ("* @all\n/suites/notes/ @notes @qa # team\n", "@notes @qa"),
        ("/suites/notes/ @notes\n* @all\n", "@all"),
        ("*.py @python\n", "@python"),
        ("suites/health @health\n# *.py @none\n", ""),
    ],
)
def test_the_last_pattern_that_fits_names_the_owner(project: Path, rules: str, owner: str) -> None:
    (project / "CODEOWNERS").write_text(rules)
    assert (listed()[WRONG]["owner"] or "") == owner


def test_the_table_names_every_check(project: Path) -> None:
    lines = run("checks").output.splitlines()
    assert lines[0].split() == ["gate", "severity", "last", "passed", "median", "flaky", "check"]
    assert [line.endswith(f"  {check}") for line, check in zip(lines[1:], listed(), strict=False)] == [True] * 3
    assert re.split("  +", lines[1])[-2] == "1 of 2 releases, by chance 0.0% (0.0% to 97.5%)"
    assert lines[-1] == "3 checks"


def test_the_table_has_no_empty_columns(project: Path) -> None:
    shutil.rmtree(project / "reports")
    (project / "CODEOWNERS").write_text("/suites/notes/ @notes\n")
    lines = run("checks").output.splitlines()
    assert lines[0].split() == ["gate", "severity", "owner", "check"]
    assert re.split("  +", lines[1]) == ["health", "required", "-", UP]
    assert re.split("  +", lines[2]) == ["notes", "advisory", "@notes", WRONG]


def test_a_project_without_checks_has_an_empty_table(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "collected", lambda _: [])
    assert run("checks").output.splitlines() == ["0 checks"]


def test_requests_that_the_contract_does_not_have_are_named(project: Path) -> None:
    described = project / "suites/service.yaml"
    described.write_text(described.read_text().replace("service: notes", "service: notes\ncontract: c.yaml"))
    paths = {"/files/{name}": ("put", "get", "delete"), "/notes/{id}": ("get", "put", "delete"), "/notes": ("post",)}
    every = {
        path: {one: {"responses": {"200": {"description": "ok"}}} for one in methods} for path, methods in paths.items()
    }
    document = {"openapi": "3.1.0", "info": {"title": "notes", "version": "1"}, "paths": every}
    (project / "suites/c.yaml").write_text(json.dumps(document))
    result = run("checks", "--json")
    assert len(json.loads(result.stdout)) == 3
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    text = "not compared with the contract: GET /ready is none of its operations; nearest: "
    assert warnings[0].startswith(f"warning: service.yaml: health, health: {text}")
    assert warnings[-1].startswith("warning: suites/notes/first.yaml:")
    assert text in warnings[-1]

"""The contract's documented answers, the checks that met them, and ``cover``, which demands some of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deployment.errors import Refused
from deployment.evidence.journal import JOURNAL_FILE
from scripts.commands.checks import coverage as coverage_command
from scripts.deploy import cli
from tests.plugins.project import PROMOTED, REJECTED, Outcome, Project
from verification.contract.coverage import demanded

PAGE = """
checks:
  - name: one page
    signed_in: true
    request: GET /consults?limit=1
    expect: {status: 200, contract: false}
"""
WRONG = """
checks:
  - name: another page
    request: GET /consults?limit=1
    expect: {status: 200, contract: false}
"""
"""Asks without signing in, and gets 401."""
LIST, UNAUTHORIZED = "GET /consults 200", "GET /consults 401"


def recorded(run: Outcome) -> dict[str, Any]:
    (line,) = (line for line in run.journal if line["kind"] == "coverage")
    return line


def coverage(run: Outcome, *options: str) -> Result:
    folder = run.folder.resolve()
    return CliRunner().invoke(cli, ["coverage", folder.name, "--reports", str(folder.parent), *options])


def later_report_without_checks(run: Outcome) -> Path:
    """Write the report of a later run that asked nothing, such as a rollback, and return its folder."""
    folder = run.folder.resolve()
    later = folder.with_name("29991231-235959-rollback-000000")
    later.mkdir()
    first = (folder / JOURNAL_FILE).read_text().splitlines(keepends=True)[0]
    (later / JOURNAL_FILE).write_text(first)
    return later


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
def test_demanded_answer_that_no_check_met_rejects(project: Project, workers: str) -> None:
    """Checks in Python and in YAML meet answers; the page and the command show them."""
    (project.path / "suites" / "endpoints" / "pages.yaml").write_text(PAGE)
    project.settings("[gates.endpoints]\ncover = ['GET *', '!GET * 503', '!GET * 4*']\n")
    run = project.run(workers)
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("endpoints: no check met GET /"), run.report["reason"]
    assert run.gate("endpoints")["outcome"] == "failed"
    line = recorded(run)
    assert line["met"][LIST] == ["suites/endpoints/pages.yaml::one page"]
    assert "suites/redis/test_redis.py::test_asks" in line["met"]["GET /health 200"]
    assert "POST /consults 422" in line["documented"]
    assert "POST /consults 422" not in line["met"]
    assert "one page" in (run.folder / "report.html").read_text().partition("The contract's answers")[2]
    shown = coverage(run, "--json")
    rows = {row["answer"]: row for row in json.loads(shown.stdout)["answers"]}
    assert rows[LIST] == {"answer": LIST, "demanded": True, "checks": line["met"][LIST]}
    shown = coverage(run)
    assert shown.exit_code == 1
    assert "not met (demanded)" in shown.output
    assert f"{len(line['met'])} of {len(line['documented'])} documented answers met" in shown.output
    assert "not met, and named by `cover`" in shown.output
    later = later_report_without_checks(run)
    newest = CliRunner().invoke(cli, ["coverage", "--reports", str(later.parent)])
    assert newest.output == shown.output
    with pytest.raises(Refused, match="has no coverage"):
        coverage_command.show(later.parent, later.name, as_json=False)
    shutil.rmtree(run.folder.resolve())
    with pytest.raises(Refused, match=r"no report in .* has coverage"):
        coverage_command.show(later.parent, None, as_json=False)


def test_an_answer_that_only_an_advisory_check_met_is_not_met(project: Project) -> None:
    """The run and the command say the same."""
    advisory = PAGE.replace("signed_in: true", "signed_in: true\n    severity: advisory")
    (project.path / "suites" / "endpoints" / "pages.yaml").write_text(advisory)
    project.settings(f"[gates.endpoints]\ncover = ['{LIST}']\n")
    run = project.run(target=None)
    assert (run.code, LIST in recorded(run)["met"]) == (1, False), run.output
    assert f"no check met {LIST}, which `cover` of deployment.toml names" in run.output
    assert coverage(run).exit_code == 1


def test_wrong_answer_of_a_failed_check_does_not_count(project: Project) -> None:
    (project.path / "suites" / "endpoints" / "wrong.yaml").write_text(WRONG)
    run = project.run()
    assert run.result == REJECTED, run.output
    assert UNAUTHORIZED in recorded(run)["documented"]
    assert UNAUTHORIZED not in recorded(run)["met"]


@pytest.mark.soak
def test_demanded_answers_that_checks_met_promote(project: Project) -> None:
    project.settings("[gates.endpoints]\ncover = ['GET /health 200']\n")
    run = project.run()
    assert run.result == PROMOTED, run.output
    assert coverage(run).exit_code == 0


def test_coverage_of_a_partial_run_says_so(project: Project) -> None:
    run = project.run("suites/health", target=None)
    assert run.report["partial"], run.output
    assert "documented answers met (a partial run: not every check ran)" in coverage(run).output


@pytest.mark.parametrize(
    ("cover", "words"),
    [("['GET /nowhere 200']", "'GET /nowhere 200' fits no answer"), ("[5]", "is not of type 'string'")],
)
def test_wrong_pattern_is_refused(project: Project, cover: str, words: str) -> None:
    project.settings(f"[gates.endpoints]\ncover = {cover}\n")
    run = project.run()
    assert run.code == 4
    assert words in run.output
    assert not run.calls


def test_patterns() -> None:
    answers = ["GET /a 200", "GET /a/{id} 404", "GET /a/{id} 4XX", "POST /a default"]
    assert demanded(answers, ["*", "!* 4*"]) == ["GET /a 200", "POST /a default"]
    assert demanded(answers, ["GET /a/{id} *"]) == answers[1:3]
    with pytest.raises(ValueError, match="fits no answer"):
        demanded(answers, ["get /a 200"])

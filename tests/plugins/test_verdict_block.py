"""The verdict block, on the terminal and on the page: the same words, and everything that a person must know."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from deployment.evidence.sentence import advisories
from deployment.evidence.verdict import GateOutcome, GateResult, checks_passed
from tests.plugins.project import PROMOTED, REFUSED, Outcome, Project
from tests.plugins.test_plugin_reports import Page

FAILS = "def test_fails(client): assert client.get('/health').status_code == 500"


def block(run: Outcome) -> str:
    """Return the verdict block of the terminal in one line."""
    return " ".join(run.output.rpartition(" verdict ")[2].split())


def page(run: Outcome) -> str:
    """Return the page's text down to the gates."""
    shown = " | ".join(Page((run.folder / "report.html").read_text()).texts)
    return shown.partition("| Gates |")[0]


def remedy_of(run: Outcome) -> str:
    """Return the page's words after "What to do", also those that it shows as code."""
    [shown] = re.findall(r"What to do: \| (.*?) \| The facts", page(run))
    return " ".join(shown.replace("|", " ").split())


@pytest.mark.parametrize(
    ("args", "asked", "remedy"),
    [
        (("--image-tag=9.9.9",), "tag 9.9.9 was asked for", None),
        (("--image-tag=1.1.0", "--maxfail=0", "-k", "nothing"), "tag 1.1.0 was asked for", "Omit -k"),
        (("--image-tag=1.0.0", "--attest=team"), "tag 1.0.0 was asked for", "Write --attest ITEM=WHO/WHAT."),
        (("--waive", "health=no"), "the highest version was asked for", None),
    ],
)
def test_refused_page_shows_what_was_asked_for_and_the_remedy(
    project: Project, args: tuple[str, ...], asked: str, remedy: str | None
) -> None:
    run = project.run(*args)
    assert run.result == REFUSED, run.output
    assert f"Release | {asked}; the run ended before it chose a release" in page(run)
    if remedy is not None:
        shown = remedy_of(run)
        assert remedy in shown
        assert shown in block(run), "the terminal shows the same"


def test_rejected_page_shows_the_remedy_as_well(project: Project) -> None:
    """The error of a step can have a hint, too."""
    project.facts.write("sick", {"blue": True})
    run = project.run()
    assert run.code == 1, run.output
    assert remedy_of(run).endswith("--allow-unhealthy-live REASON.")
    assert remedy_of(run) in block(run).replace("`", "")


@pytest.mark.parametrize("target", ["green", None])
def test_failed_gate_that_is_not_required_is_named(project: Project, target: str | None) -> None:
    project.settings("[gates.zebra]\nrequired = false")
    project.suite("zebra", FAILS)
    run = project.run(target=target)
    assert run.code == 0, run.output
    words = "gate zebra is not required and did not pass (1 of 1 checks): test_fails: "
    assert words in block(run)
    assert f"Advisory: {words}" in page(run)
    assert "every check" not in block(run)


def test_promotion_without_a_failure_names_no_gate(project: Project) -> None:
    project.settings("[gates.zebra]\nrequired = false")
    run = project.run()
    assert run.result == PROMOTED, run.output
    [verified] = re.findall(r"^verify +(.*) gates", run.output, re.M)
    assert verified == "7 checks passed in 7", "zebra has no check, and live comes after the switch"
    assert "not required" not in block(run)
    assert "Advisory" not in page(run)
    assert "What to do" not in page(run)


def gate(name: str, checks: int, failed: int = 0) -> GateResult:
    return GateResult(name, False, GateOutcome.PASSED, checks, failed, 0.0, ran=checks)


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        ([gate("health", 4), gate("redis", 0), gate("auth", 5)], "9 checks passed in 2 gates"),
        ([gate("database", 0), gate("load", 2), gate("redis", 0), gate("live", 3)], "5 checks passed in 2 gates"),
        ([gate("health", 4), gate("zebra", 5, 2)], "7 of 9 checks passed in 2 gates"),
        ([replace(gate("health", 4), ran=3), gate("zebra", 5)], "8 of 9 checks passed in 2 gates"),
    ],
)
def test_only_gates_with_checks_and_checks_that_passed_are_counted(gates: list[GateResult], words: str) -> None:
    assert checks_passed(gates) == words


@pytest.mark.parametrize("outcome", ["failed", "error"])
def test_advisory_gate_that_did_not_pass_is_named_whatever_its_outcome(outcome: str) -> None:
    """A gate whose checks could not begin, or whose check was lost, did not fail, but did not pass either."""
    bad = {"name": "zebra", "required": False, "outcome": outcome, "checks": 3, "failed": 1, "reason": "test_a: lost"}
    words = "gate zebra is not required and did not pass (1 of 3 checks): test_a: lost"
    assert advisories([bad, bad | {"name": "auth", "required": True}]) == [words]


def test_advisory_gate_with_too_few_checks_is_named() -> None:
    small = {"name": "zebra", "required": False, "outcome": "not_run", "checks": 1, "failed": 0}
    small["reason"] = "1 checks were collected, 3 are required"
    words = "gate zebra is not required and did not pass: 1 checks were collected, 3 are required"
    assert advisories([small | {"ran": 1}, small | {"ran": 0}, small]) == [words]

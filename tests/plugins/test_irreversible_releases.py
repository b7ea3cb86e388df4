"""A release with an irreversible migration is deployed only with ``--allow-irreversible=REASON``."""

from __future__ import annotations

import pytest

from tests.plugins.project import PROMOTED, REFUSED, REJECTED, Project


@pytest.fixture
def one_way(project: Project) -> Project:
    """Return a project whose release 1.1.0 declares its migration irreversible."""
    project.facts.write("irreversible", "1.1.0")
    return project


@pytest.mark.parametrize("plan", [False, True])
def test_refused_without_the_option(one_way: Project, plan: bool) -> None:
    run = one_way.run(*(["--plan"] if plan else []))
    assert run.code == 4, run.output
    assert "telehealth-api:1.1.0 declares its migration irreversible" in run.output
    assert "--allow-irreversible REASON" in run.output
    if not plan:
        assert run.result == REFUSED, run.output
        assert run.report["steps"] == []


@pytest.mark.parametrize("plan", [False, True])
def test_canary_is_refused_even_with_the_option(one_way: Project, plan: bool) -> None:
    """A failure would freeze traffic on two releases; for a reversible release, the same strategy is allowed."""
    options = ["--strategy=canary:10%,60s", "--allow-irreversible=known", *(["--plan"] if plan else [])]
    run = one_way.run(*options)
    assert run.code == 4, run.output
    assert "strategy 'canary:10%,60s' gives it a share of the traffic first" in run.output
    assert "--strategy=all-at-once" in run.output
    if not plan:
        assert run.result == REFUSED, run.output
        assert run.report["steps"] == []


@pytest.mark.parametrize("reason", ["", "  "])
def test_empty_reason_is_refused(one_way: Project, reason: str) -> None:
    run = one_way.run(f"--allow-irreversible={reason}")
    assert run.code == 4, run.output
    assert "--allow-irreversible must not be empty" in run.output


def test_option_needs_a_target(project: Project) -> None:
    run = project.run("--allow-irreversible=yes", target=None)
    assert run.code == 4, run.output


def test_promoted_with_the_option_and_recorded(one_way: Project) -> None:
    run = one_way.run("--allow-irreversible=the backup is of 14:00")
    assert run.result == PROMOTED, run.output
    records = [record for record in run.journal if record["kind"] == "irreversible"]
    assert [record["reason"] for record in records] == ["the backup is of 14:00"]
    [item] = [one for one in run.report["checklist"] if one["name"] == "rollback-plan"]
    assert item["outcome"] == "open"


def test_failure_before_the_switch_is_still_rejected(one_way: Project) -> None:
    one_way.add("redis", "def test_it(client): assert client.get('/health').status_code == 500")
    assert one_way.run("--allow-irreversible=known").result == REJECTED


def test_plan_shows_what_a_failure_does(one_way: Project) -> None:
    run = one_way.run("--plan", "--allow-irreversible=known")
    assert run.code == 0, run.output
    assert "freeze, traffic stays on green: the migration of telehealth-api:1.1.0 is irreversible" in run.output
    assert "rollback-plan: no rollback is possible after the switch" in run.output

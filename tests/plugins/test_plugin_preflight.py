"""Preflight refuses a run before anything is touched, and every report lists the preflight items."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.plugins.project import PROMOTED, REFUSED, Project
from tests.plugins.world import IMAGES

WELL = {"ok", "not_checked"}


def test_promotion_reports_every_preflight_item(project: Project) -> None:
    run = project.run()
    assert run.result == PROMOTED, run.output
    items = {item["name"]: item["outcome"] for item in run.report["preflight"]}
    assert items["routes"] == items["drift"] == "ok"
    assert set(items.values()) == WELL
    assert "preflight: " in run.output
    assert "not checked" in (run.folder / "report.html").read_text()


@pytest.mark.parametrize("workers", [(), pytest.param(("-n", "2"), marks=pytest.mark.soak)], ids=["alone", "workers"])
def test_drift_is_refused_before_anything_is_touched(project: Project, workers: tuple[str, ...]) -> None:
    project.facts.write("variables", {"green": {"LEVEL": "canary-value"}})
    run = project.run(*workers)
    assert run.result == (4, "refused", 0, 0, 0), run.output
    assert [call for call in run.calls if call not in ("start", "stop")] == []
    assert run.report["reason"].startswith("lease: preflight: drift: variable LEVEL is set only on green")
    assert "canary-value" not in run.output + json.dumps(run.report)


def test_a_live_colour_that_does_not_run_is_exit_code_1(project: Project) -> None:
    services = project.facts.read("services")
    project.facts.write("services", {**services, "blue": None})
    run = project.run()
    assert run.code == 1, run.output
    assert run.report["reason"].startswith("lease: blue is live and already unhealthy")
    assert "SICK: live: blue is PAUSED" in run.output
    assert run.steps["provision"] == 0


@pytest.mark.parametrize(
    ("change", "code"), [("module.app_runner_green.aws_apprunner_service.main", 0), ("module.vpc.aws_vpc.main", 4)]
)
def test_terraform_plan_is_checked(project: Project, tmp_path: Path, change: str, code: int) -> None:
    path = tmp_path / "plan.json"
    changes = [{"address": change, "change": {"actions": ["update"]}}]
    whole = {"complete": True, "errored": False, "timestamp": datetime.now(UTC).isoformat()}
    path.write_text(json.dumps({"format_version": "1.2", **whole, "resource_changes": changes}))
    run = project.run(f"--require-clean-plan={path}", "--plan")
    assert run.code == code, run.output
    assert ("REFUSED      plan: module.vpc.aws_vpc.main: update" in run.output) is (code == 4)
    assert run.calls == []
    if code:
        assert project.run(f"--require-clean-plan={path}").result == (4, "refused", 0, 0, 0)


def test_require_clean_plan_needs_a_target(project: Project) -> None:
    run = project.run("--require-clean-plan=plan.json", target=None)
    assert (run.code, run.calls) == (4, [])


def test_the_plan_shows_no_control_character_of_a_reason(project: Project) -> None:
    check = "def test_it(client): assert client.get('/health').status_code == 200\n"
    project.add("endpoints", "import pytest\n@pytest.mark.advisory('\\x1b[41mred \\u202egnp')\n" + check)
    run = project.run("--plan")
    assert run.code == 0, run.output
    assert "red" in run.output
    assert not {"\x1b", "\u202e"} & set(run.output)


def test_the_plan_of_a_run_prints_every_item(project: Project) -> None:
    run = project.run("--plan")
    assert run.code == 0, run.output
    prober = "the prober sends 25 requests/s to the live domain: health each 0.11 s, listConsults each 0.19 s, "
    assert prober in run.output
    names = (
        "credentials",
        "rights",
        "routes",
        "live",
        "idle",
        "image",
        "scan",
        "alarms",
        "quotas",
        "secrets",
        "domain",
        "drift",
    )
    assert [name for name in names if f"  {name}: " not in run.output] == []
    assert "expected: a finished scan" in run.output


REQUIRED_LIST = '[environments.test.deployment]\nchecklist = "required"\n'
ATTESTED = [f"--attest={name}=jane/4711" for name in ("code-review", "tests", "security-scan", "monitoring")]
SECRETS = "--attest=configuration=jane/looked at them"


def require(project: Project) -> None:
    path = project.facts.folder / "deployment.toml"
    path.write_text(path.read_text() + REQUIRED_LIST)


def test_unattested_item_refuses_if_the_checklist_is_required(project: Project) -> None:
    require(project)
    run = project.run(*ATTESTED)
    assert run.result == (4, "refused", 0, 0, 0), run.output
    assert run.report["reason"].startswith("lease: checklist: configuration: ")
    assert set(run.calls) <= {"start", "stop"}
    plan = project.run("--plan", *ATTESTED)
    assert plan.code == 4, plan.output
    assert "open         configuration: preflight secrets" in plan.output


def test_attested_checklist_promotes_and_is_reported(project: Project) -> None:
    require(project)
    run = project.run(*ATTESTED, SECRETS)
    assert run.result == PROMOTED, run.output
    found = {one["name"]: one for one in run.report["checklist"]}
    assert found["code-review"] | {"item": ""} == {
        "phase": "pre",
        "name": "code-review",
        "item": "",
        "required": True,
        "outcome": "attested",
        "evidence": "jane: 4711",
    }
    assert found["health"]["outcome"] == found["switched"]["outcome"] == "proven"
    assert found["monitored"]["outcome"] == "open"
    assert found["monitored"]["evidence"] == "30 min were asked for; the bake watched 0 s without harm"
    assert {found[name]["outcome"] for name in ("performance-metrics", "error-rates")} == {"open"}
    assert found["feedback"]["outcome"] == "open"
    page = (run.folder / "report.html").read_text()
    assert "jane: 4711" in page
    assert "User feedback collected" in page


def test_earlier_attestation_counts_only_for_its_digest(project: Project) -> None:
    require(project)
    word = {
        "configuration": {"who": "jane", "what": "looked at them", "by": "arn:jane", "at": "2026-11-25T12:00:00+00:00"}
    }
    project.facts.write("notes", {"attestations": json.dumps({IMAGES[0].digest: word})})
    assert project.run("--plan", *ATTESTED).code == 4
    project.facts.write("notes", {"attestations": json.dumps({IMAGES[1].digest: word})})
    plan = project.run("--plan", *ATTESTED)
    assert plan.code == 0, plan.output
    assert "attested     configuration: jane: looked at them (recorded by arn:jane" in plan.output


@pytest.mark.parametrize("text", ["code-review", "nothing=jane/4711"])
def test_wrong_attestation_is_refused(project: Project, text: str) -> None:
    run = project.run(f"--attest={text}")
    assert (run.code, run.calls) == (4, []), run.output


@pytest.mark.parametrize("target", ["green", "auto"])
def test_rights_on_the_other_colour_are_not_required(project: Project, target: str) -> None:
    """A role may have rights on one colour only."""
    project.facts.write("denied", {"blue": ["apprunner:UpdateService"]})
    run = project.run(target=target)
    assert run.result == PROMOTED, run.output
    assert [record["target"] for record in run.journal if record["kind"] == "admitted"] == ["green"]


@pytest.mark.parametrize("plan", [(), ("--plan",)], ids=["run", "plan"])
def test_missing_rights_on_the_target_are_refused(project: Project, plan: tuple[str, ...]) -> None:
    project.facts.write("denied", {"green": ["apprunner:PauseService"]})
    run = project.run(*plan, target="auto")
    assert run.code == 4, run.output
    assert "user/tester lacks rights on AWS for green: apprunner:PauseService" in run.output
    assert plan or run.result == REFUSED, run.output


def test_rights_are_checked_on_the_other_colour_after_traffic_moved(project: Project) -> None:
    """``auto`` chose blue first; when the run plans, blue is live, so the target is green, which this role may not change."""
    project.facts.write("denied", {"green": ["apprunner:UpdateService"]})
    project.facts.write("routes", {"live": "green", "generation": 6})
    project.facts.write("moved", {"live": "blue", "generation": 7})
    run = project.run(target="auto")
    assert run.result == REFUSED, run.output
    assert "lacks rights on AWS for green: apprunner:UpdateService" in run.output
    assert [record["target"] for record in run.journal if record["kind"] == "admitted"] == ["blue"]

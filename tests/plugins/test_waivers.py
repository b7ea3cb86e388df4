"""Waivers: which gates may be waived, by whom, how, and what the report shows; and what else it shows in red."""

from __future__ import annotations

import json
import re

import pytest

from deployment.errors import Refused
from plugins.integrity.waivers import parse
from tests.plugins.project import PROMOTED, REFUSED, REJECTED, Outcome, Project

GATES = ("health", "database", "latency", "live")


def test_parse_gate_and_reason() -> None:
    assert parse(["latency= slow disk = ticket 1 ", "database=moved"], GATES) == {
        "latency": "slow disk = ticket 1",
        "database": "moved",
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["latency"], "needs a reason"),
        (["latency="], "needs a reason"),
        (["latency=  "], "needs a reason"),
        (["health=because"], "cannot be waived"),
        (["live=because"], "cannot be waived"),
        (["latencies=because"], "unknown gate 'latencies'"),
        (["latency=one", "latency=two"], "waived twice"),
    ],
)
def test_parse_refuses(given: list[str], words: str) -> None:
    with pytest.raises(Refused, match=words):
        parse(given, GATES)


FAILS = "def test_bad(client): assert client.get('/health').status_code == 500"
ADVISORY = r'<li class="failed"><a href="#gate-zebra">.*zebra <small>[^<]*, advisory</small>'


def page(run: Outcome) -> str:
    return (run.folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
def test_waived_gate_runs_and_keeps_its_outcome(project: Project, workers: str) -> None:
    project.add("redis", FAILS)
    run = project.run(workers, "--waive=redis=moved to a cluster, ticket 4711")
    assert run.result == PROMOTED, run.output
    gate = run.gate("redis")
    assert (gate["outcome"], gate["checks"], gate["failed"], gate["required"]) == ("failed", 2, 1, True)
    assert gate["waived"].startswith("moved to a cluster, ticket 4711 (by arn:aws:iam::123456789012:user/tester")
    assert re.search(r'<li class="bad-text">Gate redis was waived: moved to a cluster, ticket 4711', page(run))
    assert [line["gate"] for line in run.journal if line["kind"] == "waived"] == ["redis"]


def test_another_gate_is_not_waived_with_it(project: Project) -> None:
    project.add("database", FAILS)
    run = project.run("--waive=redis=moved")
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("database: ")


def test_caller_without_the_right_to_waive_is_refused(project: Project) -> None:
    project.settings('[access]\nwaive = ["arn:aws:iam::123456789012:role/not-this-caller"]')
    run = project.run("--waive=redis=moved")
    assert run.result == REFUSED, run.output
    assert "may not waive" in run.output


def test_plan_refuses_a_caller_without_the_right_to_waive_and_names_exceptions(project: Project) -> None:
    plan = project.run("--plan", "--waive=redis=moved", "--allow-unhealthy-live=1.1 mends it")
    assert plan.code == 0, plan.output
    assert "every required one must pass, except redis, which is waived" in plan.output
    assert "the live colour may be unhealthy: 1.1 mends it" in plan.output
    project.settings('[access]\nwaive = ["arn:aws:iam::123456789012:role/not-this-caller"]')
    plan = project.run("--plan", "--waive=redis=moved")
    assert (plan.code, "may not waive" in plan.output) == (4, True), plan.output
    plan = project.run("--plan")
    assert "the live colour must be healthy" in plan.output
    assert plan.code == 0, plan.output


def test_caller_without_the_right_to_waive_may_deploy(project: Project) -> None:
    project.settings('[access]\nwaive = ["arn:aws:iam::123456789012:role/not-this-caller"]')
    assert project.run().result == PROMOTED


def test_a_gate_that_is_not_required_is_shown_in_red(project: Project) -> None:
    project.settings("[gates.zebra]\nrequired = false")
    project.add("zebra", FAILS)
    run = project.run()
    assert run.result == PROMOTED, run.output
    assert len(re.findall(ADVISORY, page(run))) == 1


@pytest.mark.parametrize("gate", ["health", "live"])
def test_health_and_live_are_always_required(project: Project, gate: str) -> None:
    project.settings(f"[gates.{gate}]\nrequired = false")
    run = project.run()
    assert (run.code, run.report["verdict"], run.calls) == (4, "refused", []), run.output


def test_checks_removed_since_the_last_promotion_are_listed(project: Project) -> None:
    gone = "suites/redis/test_redis.py::test_that_was_there"
    project.facts.write("notes", {"checks": json.dumps([gone, "suites/redis/test_redis.py::test_asks"])})
    run = project.run()
    assert run.result == PROMOTED, run.output
    assert [line["checks"] for line in run.journal if line["kind"] == "gone"] == [[gone]]
    assert f'<li class="bad-text">1 check of the last promotion is gone: {gone}' in page(run)
    assert "1 checks of the last promotion are gone" in run.output

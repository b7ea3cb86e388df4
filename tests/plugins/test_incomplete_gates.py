"""Gates that the run itself cut short: neither passed nor failed. A missing result in a run that goes on is an error."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from plugins.modes.coordinator import CRASHED, Coordinator
from tests.plugins.project import REJECTED, Outcome, Project

ASKS_AFTER_LOAD = "def test_after_load(client, loaded): assert client.get('/health').status_code == 200"
"""A second half of a gate: it runs in a later stage than the rest."""
INTERRUPTS = """
    import os, signal
    def test_it(client):
        for pid in {whom}:
            os.kill(pid, signal.SIGINT)
        assert False, "interrupted"
"""


def decided(run: Outcome, name: str) -> list[object]:
    """Return a gate's outcome, and how many of its checks were expected, ran and failed."""
    return [run.gate(name)[key] for key in ("outcome", "checks", "ran", "failed")]


@pytest.mark.parametrize(
    ("workers", "gate"),
    [
        ("-n0", "endpoints"),
        *(pytest.param(*one, marks=pytest.mark.soak) for one in [("-n2", "endpoints"), ("-n0", "latency")]),
    ],
)
def test_failure_of_one_gate_leaves_another_one_incomplete(project: Project, workers: str, gate: str) -> None:
    project.add("health", ASKS_AFTER_LOAD)
    project.add(gate, "def test_it(client): assert client.get('/health').status_code == 500")
    run = project.run(workers)
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith(f"{gate}: test_it")
    assert decided(run, "health") == ["incomplete", 2, 1, 0]
    assert decided(run, gate) == ["failed", 2, 2, 1]
    assert decided(run, "redis") == ["passed", 1, 1, 0]
    assert decided(run, "load") == ["not_run", 1, 0, 0]
    page = (run.folder / "report.html").read_text()
    assert re.search(r'<li class="incomplete"><a href="#gate-health">.*health <small>incomplete, 1 of 2 ran<', page)
    assert "1 of 2 checks ran, and passed; the others did not run" in page
    assert re.search(r"\.incomplete,[^{]*\{ color: var\(--soft\)", page), "it is neither green nor red"


@pytest.mark.parametrize(
    ("workers", "whom"),
    [
        ("-n0", "[os.getpid()]"),
        pytest.param("-n2", "[os.getppid()]", marks=pytest.mark.soak),
        pytest.param("-n2", "[os.getpid(), os.getppid()]", marks=pytest.mark.soak),
    ],
    ids=["alone", "controller", "whole group"],
)
def test_interrupted_run_lists_no_gate_as_failed(project: Project, workers: str, whom: str) -> None:
    """Ctrl-C reaches the controller and its workers; the check that was running has not failed."""
    project.add("redis", INTERRUPTS.format(whom=whom))
    project.add("health", ASKS_AFTER_LOAD)
    run = project.run(workers)
    assert run.code == 2, run.output
    assert {gate["outcome"] for gate in run.report["gates"]} <= {"passed", "incomplete", "not_run"}, run.report["gates"]
    assert decided(run, "health") == ["incomplete", 2, 1, 0]
    assert run.gate("redis")["outcome"] in ("incomplete", "not_run")


ENDS = {
    "a signal": "os.kill(os.getpid(), signal.SIGTERM)",
    "Ctrl-C on all": "[os.kill(pid, signal.SIGINT) for pid in {os.getpid(), PARENT}]",
    "an exit": "pytest.exit('enough', returncode=0)",
}
IN_TEARDOWN = """
    import os, signal, time, pytest
    PARENT = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    @pytest.fixture
    def rows():
        yield
        {end}
        time.sleep(5)
    def test_it(client, rows): assert client.get("/health").status_code == 200
"""


@pytest.mark.parametrize(
    ("end", "workers"),
    [
        ("a signal", "-n0"),
        ("an exit", "-n0"),
        pytest.param("Ctrl-C on all", "-n2", marks=pytest.mark.soak),
        pytest.param("an exit", "-n2", marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("target", [None, pytest.param("green", marks=pytest.mark.soak)])
def test_check_whose_teardown_was_cut_short_has_not_passed(
    project: Project, end: str, workers: str, target: str | None
) -> None:
    project.suite("redis", IN_TEARDOWN.format(end=ENDS[end]))
    run = project.run(workers, target=target)
    assert run.code != 0, run.output
    outcome, checks, ran, failed = decided(run, "redis")
    assert outcome != "passed", run.output
    assert (checks, ran, failed) == (1, 0, 0)
    [own] = [
        one for one in json.loads((run.folder / "data.json").read_text())["checks"] if "test_redis.py" in one["id"]
    ]
    assert own["outcome"] == "not_run"
    cases = ElementTree.parse(run.folder / "junit.xml").getroot().iter("testcase")  # noqa: S314  # our own file
    assert [case for case in cases if case.get("classname") == "suites.redis.test_redis" and len(case) == 0] == []


def test_last_check_that_ends_pytest_in_its_teardown(project: Project) -> None:
    """Without its teardown it has not passed, although ``pytest.exit`` asks for exit code 0."""
    project.suite("live", IN_TEARDOWN.format(end=ENDS["an exit"]))
    run = project.run("-n0", target=None)
    assert (run.code, decided(run, "live")) == (1, ["not_run", 1, 0, 0]), run.output


def test_failed_check_whose_teardown_was_cut_short_has_failed(project: Project) -> None:
    project.suite("redis", IN_TEARDOWN.format(end=ENDS["a signal"]).replace("== 200", "== 500"))
    assert decided(project.run("-n0", target=None), "redis") == ["failed", 1, 1, 1]


@pytest.mark.parametrize(
    ("received", "interrupted", "cut_short"),
    [("SIGINT", False, True), ("SIGTERM", False, True), (None, True, True), (None, False, False)],
)
def test_crash_of_a_worker_is_a_result_only_if_nothing_had_stopped_the_run(
    received: str | None, interrupted: bool, cut_short: bool
) -> None:
    """A signal, or a check that ends pytest, stops the checks of other workers, and xdist calls that a crash."""
    run = SimpleNamespace(_signals=SimpleNamespace(received=received), _interrupted=interrupted)
    location = ("suites/auth/test_auth.py", 1, "test_it")
    crash = pytest.TestReport("suites/auth/test_auth.py::test_it", location, {}, "failed", None, cast("Any", CRASHED))
    assert Coordinator.has_cut_short(cast("Any", run), crash) is cut_short


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
@pytest.mark.parametrize("target", ["green", pytest.param(None, marks=pytest.mark.soak)])
def test_stopping_at_the_first_failure_leaves_other_gates_incomplete(
    project: Project, workers: str, target: str | None
) -> None:
    project.add("health", ASKS_AFTER_LOAD)
    project.add("endpoints", "def test_it(client): assert False")
    run = project.run("-x", workers, target=target)
    assert run.code == 1, run.output
    assert run.report["reason"].startswith("endpoints: test_it"), run.report["reason"]
    assert decided(run, "health") == ["incomplete", 2, 1, 0]
    assert run.gate("endpoints")["outcome"] == "failed"


def test_result_that_is_missing_in_a_run_that_goes_on_is_an_error(project: Project) -> None:
    project.add("redis", "def test_lost(request): request.node._id = request.node.parent._id")
    project.add("health", ASKS_AFTER_LOAD)
    run = project.run()
    assert run.result == REJECTED, run.output
    assert decided(run, "redis") == ["error", 2, 1, 0]
    assert decided(run, "health") == ["incomplete", 2, 1, 0]
    assert run.report["reason"].startswith("redis: 1 of 2 checks never reported")


def tallies(run: Outcome) -> list[dict[str, list[object]]]:
    """Return each line `tally` of the journal: by gate its outcome, and how many of its checks ran and failed."""
    lines = [line["gates"] for line in run.journal if line["kind"] == "tally"]
    return [{gate["name"]: [gate[key] for key in ("outcome", "ran", "failed")] for gate in line} for line in lines]


def test_journal_has_the_gates_at_each_stage_so_that_a_killed_run_reports_them(project: Project) -> None:
    project.add("endpoints", "def test_a(client): assert False\ndef test_b(client): assert False")
    run = project.run("-n0")
    assert run.result == REJECTED, run.output
    *earlier, last = tallies(run)
    assert [one["health"] for one in earlier] == [["passed", 1, 0]] * len(earlier)
    assert ["passed", 1, 0] in [one["redis"] for one in earlier], "after each stage"
    assert any(one["endpoints"][2] == 1 for one in earlier), "at the first failure of a gate, before its stage ends"
    assert last["endpoints"] == ["failed", 3, 2]
    assert len(tallies(run)) < 8, "a line for each stage and for each gate that fails, not for each check"


def test_journal_of_a_promotion_has_every_gate_before_the_bake_ends(project: Project) -> None:
    run = project.run("-n0")
    assert run.code == 0, run.output
    kinds = [(line["kind"], line.get("step")) for line in run.journal]
    assert kinds.index(("outcome", "bake")) > max(i for i, (kind, _) in enumerate(kinds) if kind == "tally")
    (at_the_end,) = (line["gates"] for line in run.journal if line["kind"] == "gates")
    assert [one for one in run.journal if one["kind"] == "tally"][-1]["gates"] == at_the_end


STOPS = """
    import pytest

    def test_first(client): assert client.get("/health").status_code == 200

    @pytest.mark.advisory
    def test_stops(client): assert False
"""


@pytest.mark.parametrize(
    "option",
    ["-x", *(pytest.param(option, marks=pytest.mark.soak) for option in ("--maxfail=1", "--stepwise"))],
)
def test_a_selected_check_that_never_ran_fails_a_verification(project: Project, option: str) -> None:
    """An advisory check fails nothing, but pytest stops at it, before the checks of the next gate."""
    project.suite("endpoints", STOPS)
    project.suite("privacy", "def test_other(client): assert client.get('/health').status_code == 200")
    selected = ("suites/endpoints", "suites/privacy")
    run = project.run(option, *selected, target=None)
    assert (run.code, run.report["verdict"]) == (1, "failed"), run.output
    assert run.report["reason"] == "privacy: no check ran"
    assert run.gate("auth")["outcome"] == "not_run"
    run = project.run(*selected, target=None)
    assert (run.code, run.report["verdict"]) == (0, "verified"), run.output


def test_a_check_of_a_gate_that_is_not_required_must_have_a_result(project: Project) -> None:
    project.settings("[gates.zebra]\nrequired = false")
    project.suite("endpoints", STOPS)
    project.suite("zebra", "def test_other(client): assert client.get('/health').status_code == 200")
    run = project.run("-x", "suites/endpoints", "suites/zebra", target=None)
    assert run.code == 1, run.output
    assert (
        run.report["reason"]
        == "zebra: suites/zebra/test_zebra.py::test_other never ran, because pytest stopped before it"
    )
    run = project.run("suites/endpoints", "suites/zebra", target=None)
    assert run.code == 0, run.output

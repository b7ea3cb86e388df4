"""A verdict before the latency gate: an operation that checks prove to be too slow is measured alone, and rejects the run."""

from __future__ import annotations

import re

import pytest
import scipy.special  # noqa: F401  # pytester forgets what a run imports, and numpy cannot be imported twice

from plugins import measurement, slow_answers
from plugins.modes import early_verdict
from plugins.recorder import Recorder, warnings_in
from plugins.slow_answers import answers_in, was_cut
from tests.plugins.project import PROMOTED, REJECTED, Outcome, Project
from tests.soak import sample
from tests.verification.contract_server import SERVICE
from verification.http.client import Exchange
from verification.latency.budget_watch import OverBudget
from verification.latency.plan import LatencyLimits, operations_of
from verification.latency.suspicion import Suspicion, confirm

SECONDS = 0.25
GATES = "[gates.latency]\np95_ms = 200\np99_ms = 60000\nsamples = 20"
ASKS_OFTEN = """
    import pytest

    @pytest.mark.parametrize("number", range({checks}))
    def test_list(client, signed_in, number):
        for _ in range({times}):
            assert client.get("{path}", headers=signed_in).status_code == {status}
"""


def slow(project: Project, below: str, left: int = 10**6, colour: str = "green") -> None:
    project.settings(GATES)
    project.facts.write("slow", {"colour": colour, "below": below, "seconds": SECONDS, "left": left})


def asks(checks: int = 2, times: int = 2, path: str = "/consults", status: int = 200) -> str:
    return ASKS_OFTEN.format(checks=checks, times=times, path=path, status=status)


def measured(run: Outcome) -> list[tuple[str, bool]]:
    return [(line["operation"], line["broken"]) for line in run.journal if line["kind"] == "measured_alone"]


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
def test_slow_resource_is_rejected_before_the_checks_have_asked_it_often(project: Project, workers: str) -> None:
    slow(project, "/consults")
    project.suite("endpoints", asks(checks=200))
    run = project.run(workers)
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("latency: GET /consults: p95 "), run.report["reason"]
    assert "limit 200 ms; " in run.report["reason"]
    assert " answers, measured alone because " in run.report["reason"]
    assert measured(run) == [("GET /consults", True)]
    gate = run.gate("endpoints")
    assert (gate["outcome"], gate["failed"]) == ("incomplete", 0)
    assert gate["ran"] < 20
    assert run.gate("latency")["outcome"] == "failed"
    assert run.gate("load")["outcome"] == "not_run"


@pytest.mark.soak
def test_slow_operation_with_a_parameter_is_named_by_its_template(project: Project) -> None:
    slow(project, "/consults/")
    project.suite("endpoints", asks(path="/consults/unknown", status=404))
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("latency: GET /consults/{id}: p95 "), run.report["reason"]


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
def test_release_that_is_fast_when_it_is_measured_alone_loses_no_check(
    project: Project, workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that was cut short begins again, so each check has run to its end."""
    slow(project, "/consults", left=5)
    monkeypatch.setattr(slow_answers, "PATIENCE_S", slow_answers.PATIENCE_S)  # restores what the conftest changes
    project.plugin("from plugins import slow_answers\nslow_answers.PATIENCE_S = 0.0")
    project.suite("endpoints", asks(checks=1, times=12))
    run = project.run(workers)
    assert run.result == PROMOTED, run.output
    assert measured(run) == [("GET /consults", False)]
    gate = run.gate("endpoints")
    assert (gate["outcome"], gate["checks"], gate["ran"], gate["failed"]) == ("passed", 1, 1, 0)


@pytest.mark.soak
@pytest.mark.parametrize("colour", ["blue", "green"])
@pytest.mark.parametrize("gates", ["[gates.latency]\np95_ms = 200\nrequired = false", None], ids=["advisory", "waived"])
def test_latency_that_may_fail_stops_no_run(project: Project, gates: str | None, colour: str) -> None:
    slow(project, "/consults", colour=colour)
    project.settings(gates or GATES)
    project.suite("endpoints", asks())
    run = project.run(*(["--waive", "latency=known"] if gates is None else []))
    assert run.result == PROMOTED, run.output
    assert measured(run) == []


@pytest.mark.soak
def test_failed_gate_is_the_reason_although_latency_is_broken_as_well(project: Project) -> None:
    slow(project, "/consults")
    project.suite("database", "def test_it(client): assert client.get('/health').status_code == 500")
    project.suite("endpoints", asks())
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("database: test_it"), run.report["reason"]
    assert run.gate("latency")["outcome"] == "failed"


@pytest.mark.soak
def test_verification_runs_every_gate(project: Project) -> None:
    slow(project, "/consults", colour="blue")
    project.suite("endpoints", asks())
    run = project.run(target=None)
    assert run.code == 0, run.output
    assert measured(run) == []


# -- a slow tail -------------------------------------------------------------------------------------------------------

MANY_ANSWERS = """
    import pytest

    @pytest.mark.parametrize("number", range(20))
    def test_health(client, number):
        for _ in range(4):
            assert client.get("/health").status_code == 200
"""
IS_NO_SLOWER = """
    def test_it(latency_result):
        found = "; ".join(one.says for one in latency_result.findings)
        assert not found, found
"""


def late_answers(project: Project, left: int = 10**6) -> None:
    """One answer in ten is late: within each budget."""
    project.settings(f"{GATES}\nrate = 2000")
    project.facts.write("slow", {"colour": "green", "below": "/", "seconds": 0.15, "left": left, "every": 10})
    project.suite("endpoints", MANY_ANSWERS)
    project.suite("latency", IS_NO_SLOWER)


def test_late_answers_to_checks_are_what_latency_measures_first(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    late_answers(project)
    monkeypatch.setattr(measurement, "confirm", confirm)  # restores what the plugin changes
    project.plugin("""
        import pytest
        from plugins import measurement
        measurement.confirm = lambda _plan, _limits, suspicion: pytest.fail(str(suspicion))
    """)
    run = project.run()
    assert run.result == REJECTED, run.output
    assert re.search(r"[89] of 8[0-9] answers to checks were far later", run.report["reason"]), run.report["reason"]


@pytest.mark.soak
def test_slow_tail_of_the_answers_to_checks_is_confirmed_at_once(project: Project) -> None:
    late_answers(project)
    run = project.run()
    assert run.result == REJECTED, run.output
    assert "answers are far slower than usual, of live's 0.0%" in run.report["reason"], run.report["reason"]
    assert " answers to checks were far later than usual" in run.report["reason"], run.report["reason"]


@pytest.mark.soak
def test_answers_that_are_late_no_more_are_no_slow_tail(project: Project) -> None:
    late_answers(project, left=80)
    run = project.run()
    assert run.result == PROMOTED, run.output


# -- gates that need another gate --------------------------------------------------------------------------------------

WAITS = """
    def test_waits(client):
        assert client.get("/consults").status_code == 401
"""

MANY_WAIT = """
    import pytest

    @pytest.mark.parametrize("number", range(40))
    def test_waits(client, number):
        assert client.get("/consults").status_code == 418
"""


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
@pytest.mark.parametrize("store", ["database", "redis"])
def test_checks_that_would_wait_for_a_dead_dependency_are_not_begun(project: Project, workers: str, store: str) -> None:
    project.facts.write("hangs", {"below": "/consults", "seconds": 0.6})
    project.add(store, WAITS)
    project.add("health", "def test_later(client, loaded): pass")
    run = project.run(workers)
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith(f"{store}: test_waits"), run.report["reason"]
    outcomes = {gate["name"]: gate["outcome"] for gate in run.report["gates"]}
    assert outcomes.pop(store) == "failed"
    assert outcomes.pop("health") == "incomplete"
    assert outcomes.pop("database", "passed") == "passed"  # redis comes after it
    assert set(outcomes.values()) == {"not_run"}


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.soak)])
@pytest.mark.parametrize("fact", sample(["hangs", "slow"], "hangs"), ids=["no answer in time", "a wrong answer"])
def test_a_gate_whose_checks_wait_in_vain_is_not_run_to_its_end(
    project: Project, workers: str, fact: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dependency other than database and Redis, such as a search engine: only the gate's own checks ask it."""
    monkeypatch.setattr(
        early_verdict, "MOST_WAITING_S", early_verdict.MOST_WAITING_S
    )  # restores what the conftest changes
    project.plugin("from plugins.modes import early_verdict\nearly_verdict.MOST_WAITING_S = 1.0")
    project.settings("[gates.latency]\np95_ms = 300\np99_ms = 400\nrequired = false")
    project.facts.write(fact, {"colour": "green", "below": "/consults", "seconds": 0.6, "left": 10**6})
    project.suite("endpoints", MANY_WAIT)
    run = project.run(workers)
    assert run.result == REJECTED, run.output
    assert run.report["reason"].startswith("endpoints: test_waits"), run.report["reason"]
    gate = run.gate("endpoints")
    assert gate["outcome"] == "failed"
    assert 3 <= gate["ran"] < 10
    assert run.gate("latency")["outcome"] == "not_run"


def test_one_failing_check_that_waits_long_stops_no_other(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        early_verdict, "MOST_WAITING_S", early_verdict.MOST_WAITING_S
    )  # restores what the conftest changes
    project.plugin("from plugins.modes import early_verdict\nearly_verdict.MOST_WAITING_S = 1.0")
    project.facts.write("hangs", {"below": "/consults", "seconds": 1.2})
    project.suite("endpoints", MANY_WAIT.replace('"/consults"', '"/consults" if number == 1 else "/health"'))
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.gate("endpoints")["failed"] == 40


def test_fast_failures_stop_no_check_of_their_gate(project: Project) -> None:
    project.suite("endpoints", MANY_WAIT)
    run = project.run()
    assert run.result == REJECTED, run.output
    assert run.gate("endpoints")["failed"] == 40


def test_fast_failure_of_a_dependency_stops_no_other_gate(project: Project) -> None:
    """A wrong answer does not mean a dead dependency: the other gates run and report further faults."""
    project.add("redis", "def test_it(client): assert client.get('/health').status_code == 500")
    run = project.run()
    assert run.result == REJECTED, run.output
    assert (run.gate("redis")["outcome"], run.gate("endpoints")["outcome"]) == ("failed", "passed")


# -- the recorder ------------------------------------------------------------------------------------------------------


def report(when: str = "call") -> pytest.TestReport:
    return pytest.TestReport("x", ("x.py", 1, "x"), {}, "failed", "x", when)  # type: ignore[arg-type]  # as pytest does


def answer(elapsed_ms: float, status: int | None = 200) -> Exchange:
    return Exchange("GET", "/consults", status, elapsed_ms, 0.0, None, True)


def recorder(clock: list[float]) -> Recorder:
    made = Recorder()
    made.slow = slow_answers.SlowAnswers(lambda: clock[0])
    made.slow.watch(
        LatencyLimits(p95_ms=100, p99_ms=200), operations_of(SERVICE), lambda one: f"{one.method} {one.path}"
    )
    made.slow.begin(ordinary=True)
    return made


def test_counts_are_handed_over_once_and_only_of_operations_that_were_slow() -> None:
    made = recorder([0.0])
    first, second, third = report(), report(), report()
    made.exchanged(answer(50))
    made.hand_over(first)
    made.exchanged(answer(150))
    made.exchanged(answer(250))
    made.exchanged(answer(900, status=503))
    made.hand_over(second)
    made.hand_over(third)
    assert answers_in(first) == {}
    assert answers_in(second) == {"GET /consults": OverBudget(3, 2, 1)}
    assert answers_in(third) == {}


def test_check_that_goes_on_after_the_proof_is_cut_short_once() -> None:
    clock = [0.0]
    made = recorder(clock)
    for _ in range(6):
        made.exchanged(answer(150))  # a fixture: pytest would keep its failure for the second attempt
    with made.slow.calling():
        made.exchanged(answer(150))
        clock[0] += slow_answers.PATIENCE_S
        with pytest.raises(pytest.fail.Exception, match="cut short"):
            made.exchanged(answer(150))
        made.exchanged(answer(150))
    one = report()
    made.slow.hide_cut(one)
    made.hand_over(one)
    assert (one.outcome, was_cut(one)) == ("skipped", True)
    made.slow.begin(ordinary=True)
    with made.slow.calling():
        clock[0] += 100
        made.exchanged(answer(150))
    again = report()
    made.hand_over(again)
    assert not was_cut(again)


def test_requests_of_other_checks_do_not_count() -> None:
    made = recorder([0.0])
    made.slow.begin(ordinary=False)
    made.exchanged(answer(150))
    one = report()
    made.hand_over(one)
    assert answers_in(one) == {}


@pytest.mark.parametrize(
    ("late", "ordinary", "found"),
    [
        (answer(90), True, Suspicion("all", 8, 48)),
        (answer(90, status=404), True, None),
        (answer(90, status=503), True, None),
        (answer(90, status=None), True, None),
        (answer(90), False, None),
    ],
    ids=["answer", "few answers of that status", "failing answer", "no answer", "check that asks at once"],
)
def test_late_answers_suspect_a_slow_tail(late: Exchange, ordinary: bool, found: Suspicion | None) -> None:
    made = recorder([0.0])
    for _ in range(40):
        made.exchanged(answer(2))
    made.slow.begin(ordinary)
    for _ in range(8):
        made.exchanged(late)
    assert made.slow.suspicion(operations_of(SERVICE), LatencyLimits()) == found


def test_a_check_gives_each_warning_once_however_often_it_repeats_it() -> None:
    made, first, second = recorder([0.0]), report(), report()
    for text in ["slow"] * 40 + ["old", "slow"]:
        made.warned(text)
    made.hand_over(first)
    made.warned("slow")
    made.hand_over(second)
    assert list(warnings_in(first)) == ["slow", "old"]
    assert list(warnings_in(second)) == ["slow"], "another check"

"""A slow tail that answers to checks suspect: measured at once, refused only if it is plain beside live, and else everything is measured."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import replace

import pytest

from plugins import measurement
from tests.verification.contract_server import SERVICE, USER, Service
from tests.verification.generated_latencies import (
    LIMITS,
    OPERATIONS,
    PLACES,
    SAMPLES,
    Again,
    Draw,
    in_sessions,
    noise,
    uncontrolled,
    words,
)
from verification.journeys.accounts import SmokeUser
from verification.latency import measuring
from verification.latency.judge import ALL, Judge
from verification.latency.measuring import SECOND, Measured, SessionPlan
from verification.latency.plan import CANDIDATE, LIVE, LatencyPlan, Place
from verification.latency.repeating import LatencyResult
from verification.latency.suspicion import LateAnswers, Suspicion, confirm, judge_suspicion

OF_ALL = Suspicion(ALL, 36, 700)
OF_LIST = Suspicion("listConsults", 10, 137, frozenset({"p95_ms"}))
LOOKS = sorted({*SECOND.early, *SECOND.tails, SECOND.least})
Wanted = Callable[[Measured], Collection[Place]]


def late(share: float, *names: str, ms: float = 300.0) -> Draw:
    """Return times of which this share is ``ms``, of these operations or of all."""

    def drawn(draw: random.Random, place: Place, n: int) -> float:
        return ms if draw.random() < share and (not names or place[0] in names) else noise(draw, place, n)

    return drawn


def warming_up(draw: random.Random, place: Place, n: int) -> float:
    """Return a time of one of many processes, of which each gives its first answer late."""
    return 300.0 if draw.random() < 0.2 * 0.93**n else noise(draw, place, n)


def judged(
    suspicion: Suspicion, candidate: Draw, live: Draw = noise, first: Measured | None = None
) -> tuple[LatencyResult, Again]:
    """Judge generated sessions, look by look, until they are enough; ``first``: a measurement that was cut short before."""
    again = Again()

    def measure(names: Collection[str], plan: SessionPlan, judge: Judge, wanted: Wanted) -> Measured:
        again.asked.append((list(names), plan))
        if first is not None:
            return first
        for sessions in LOOKS:
            measured = uncontrolled(in_sessions(candidate, live, sessions))
            measured.planned = dict.fromkeys(PLACES, SAMPLES)
            measured.is_early, measured.shows_tails_only = sessions < plan.least, sessions in plan.tails
            measured.cut_short = judge.hopeless(measured)
            if measured.cut_short or not wanted(measured):
                break
        return measured

    return judge_suspicion(measure, Judge(LIMITS, SAMPLES, OPERATIONS), suspicion), again


def test_slow_tail_is_refused_after_one_measurement_of_everything() -> None:
    result, again = judged(OF_ALL, late(0.06))
    assert "of 576 answers are far slower than usual, of live's 0.0%" in words(result)
    assert "before it 36 of 700 answers to checks were far later than usual" in words(result)
    assert result.decisive.sessions == SECOND.early[0]
    [(names, plan)] = again.asked
    assert names == []
    assert {place[0] for place in plan.places} == set(OPERATIONS)
    assert not plan.controls


@pytest.mark.parametrize(
    ("candidate", "live"),
    [(noise, noise), (late(0.06), late(0.06)), (late(0.005), noise)],
    ids=["none is late", "live's are late as well", "hardly any is late"],
)
def test_release_with_no_more_late_answers_than_live_is_measured_as_always(candidate: Draw, live: Draw) -> None:
    result, _ = judged(OF_ALL, candidate, live)
    assert result.findings == ()
    assert result.decisive.sessions == SECOND.early[0], "a good release waits for no further session"


def test_few_late_answers_are_measured_longer_and_prove_nothing() -> None:
    result, _ = judged(OF_ALL, late(0.016))
    assert result.findings == ()
    assert result.decisive.sessions == SECOND.least


def test_tail_that_other_work_may_explain_needs_two_measurements() -> None:
    """Answers of 12 ms instead of 1.2 ms are far from usual, but a busy machine makes such answers, too."""
    result, _ = judged(OF_ALL, late(0.1, ms=12))
    assert result.decisive.sessions == SECOND.early[0]
    assert result.findings == ()
    most, _ = judged(OF_ALL, lambda *of: late(0.03)(*of) if of[0].random() < 0.6 else late(0.2, ms=12)(*of))
    assert most.decisive.sessions == SECOND.least
    assert most.findings == ()


def test_release_that_warms_up_needs_two_measurements() -> None:
    result, _ = judged(OF_ALL, warming_up)
    assert "far slower than usual" in (result.decisive.cut_short or "")
    assert result.findings == ()


def test_late_answers_of_other_operations_do_not_prolong_the_measurement_of_one() -> None:
    result, again = judged(OF_LIST, late(0.12, "health"))
    assert again.asked[0][0] == ["listConsults"]
    assert result.decisive.sessions == SECOND.early[0]


@pytest.mark.parametrize(
    ("operation", "budgets", "refused"),
    [
        ("listConsults", {"p95_ms"}, True),
        ("listConsults", {"p99_ms"}, False),
        ("listConsults", (), False),
        ("createConsult", {"p95_ms"}, False),
        (ALL, (), False),
    ],
    ids=["broken in checks, too", "another budget", "held in checks", "of another operation", "all are suspected"],
)
def test_budget_that_the_answers_to_checks_broke_refuses(
    operation: str, budgets: Collection[str], refused: bool
) -> None:
    slow = late(0.1, "listConsults", "cancelConsult", ms=1200)
    result, _ = judged(Suspicion(operation, 10, 137, frozenset(budgets)), slow)
    assert bool(result.findings) == refused, words(result)
    if refused:
        assert words(result).startswith("GET /consults?limit=20: p95 1200 ms, limit 1000 ms"), words(result)
        assert [one.operation for one in result.findings] == ["listConsults"], "the other one was not suspected"


def cut(sessions: int, slow: int, of: int, **fields: object) -> Measured:
    """Return sessions that were cut short, with this many slow answers of the list among the first ones."""
    measured = uncontrolled(in_sessions(noise, noise, 3))
    for times in measured.times.values():
        for colour, values in times.items():
            times[colour] = values[:of]
    measured.times["listConsults", "kept"][CANDIDATE][:slow] = [2100.0] * slow
    measured.planned = dict.fromkeys(PLACES, SAMPLES)
    return replace(measured, sessions=sessions, cut_short="2 of 118 requests failed", **fields)  # type: ignore[arg-type]  # a field that the test names


def test_measurement_that_failed_requests_cut_short_proves_no_budget() -> None:
    result, _ = judged(OF_LIST, noise, first=cut(0, 2, 8))
    assert [one.test for one in Judge(LIMITS, SAMPLES, OPERATIONS).findings(result.first)] != []
    assert result.findings == ()


def test_slow_seconds_of_a_measurement_that_was_cut_short_are_no_tail() -> None:
    measured = cut(0, 0, 8)
    for times in measured.times.values():
        times[CANDIDATE][1::4] = [300.0] * 2
    assert "tail" in [one.test for one in Judge(LIMITS, SAMPLES, OPERATIONS).findings(measured)]
    assert judged(OF_ALL, noise, first=measured)[0].findings == ()


def test_busy_machine_proves_nothing() -> None:
    measured = uncontrolled(in_sessions(late(0.06), noise, SECOND.early[0]))
    assert judged(OF_ALL, noise, first=measured)[0].findings != ()
    assert judged(OF_ALL, noise, first=replace(measured, late_ms=[400.0] * 50))[0].findings == ()


def test_unanswered_measurement_proves_nothing() -> None:
    nothing: dict[Place, dict[str, list[float]]] = {place: {CANDIDATE: [], LIVE: []} for place in PLACES}
    measured = Measured(dict.fromkeys(PLACES, 1), nothing, {CANDIDATE: 1, LIVE: 1}, cut_short="no answer")
    assert judged(OF_ALL, noise, first=measured)[0].findings == ()


# -- the answers to checks ----------------------------------------------------------------------------------------------------

REQUESTS = {"health": "GET /health", "list": "GET /consults", "login": "POST /auth/login", "create": "POST /consults"}


def suspected(**answers: list[float]) -> Suspicion | None:
    """Return what the times (ms) of answers to checks suspect; ``refused``: of the login, with another status."""
    found = LateAnswers()
    for name, times in answers.items():
        for one in times:
            found.add(REQUESTS.get(name, REQUESTS["login"]), 401 if name == "refused" else 200, one)
    return found.suspicion(OPERATIONS, LIMITS)


def usual(n: int, ms: float = 2.0) -> list[float]:
    draw = random.Random(n)
    return [draw.lognormvariate(0, 0.3) * ms for _ in range(n)]


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({}, None),
        ({"health": usual(140), "list": usual(90), "login": usual(60, 25)}, None),
        ({"health": [*usual(132), *[300.0] * 8], "list": [*usual(80), *[310.0] * 8]}, Suspicion(ALL, 16, 228)),
        ({"health": usual(400), "list": [*usual(70), *[900.0] * 6, 1200, 1200]}, Suspicion("listConsults", 8, 78)),
        (
            {"health": usual(900), "list": [*usual(70), *[300.0] * 8], "create": [*usual(70), *[1200.0] * 9]},
            Suspicion("createConsult", 9, 79, frozenset({"p95_ms"})),
        ),
        (
            {"health": usual(900), "list": [*usual(40), *[2100.0] * 8]},
            Suspicion("listConsults", 8, 48, frozenset({"p95_ms", "p99_ms"})),
        ),
        ({"health": [*usual(231), *[300.0] * 9]}, None),
        ({"health": [*usual(230), *[300.0] * 10]}, Suspicion(ALL, 10, 240)),
        ({"health": usual(900), "list": [*usual(56), *[300.0] * 4]}, None),
        ({"health": usual(900), "list": [*usual(55), *[300.0] * 5]}, Suspicion("listConsults", 5, 60)),
        ({"health": [*usual(11), *[300.0] * 8]}, None),
        ({"health": [*usual(12), *[300.0] * 8]}, Suspicion(ALL, 8, 20)),
        ({"health": [*usual(100), *[45.0] * 40]}, None),
        ({"login": [*usual(60, 25), *[70.0] * 40]}, None),
        ({"refused": usual(60, 3), "login": usual(40, 120), "health": usual(300)}, None),
    ],
    ids=[
        "none",
        "good",
        "all",
        "one operation",
        "the worse one of two",
        "both budgets",
        "by chance",
        "beyond chance",
        "one operation, by chance",
        "one operation, beyond chance",
        "too few answers",
        "just enough answers",
        "other work",
        "not three times as long",
        "a refused login is quick",
    ],
)
def test_suspicion(answers: dict[str, list[float]], found: Suspicion | None) -> None:
    assert suspected(**answers) == found


def test_operation_that_the_gate_does_not_measure_counts_among_all_only() -> None:
    answers = LateAnswers()
    for one in [*usual(80), *[300.0] * 12]:
        answers.add("GET /other", 200, one)
    assert answers.suspicion(OPERATIONS, LIMITS) == Suspicion(ALL, 12, 92)
    for one in usual(600):
        answers.add("GET /health", 200, one)
    assert answers.suspicion(OPERATIONS, LIMITS) is None


# -- over real sockets -------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_BETWEEN_SESSIONS_S", (0.0, 0.0))


def plan_of(service: Service, *colours: str) -> LatencyPlan:
    urls = dict.fromkeys(colours, service.url)
    return LatencyPlan(urls, SERVICE, SmokeUser(**USER), samples=4, warmup=0, rate=2000)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    ("colours", "suspicion", "measurements"),
    [((CANDIDATE, LIVE), OF_ALL, 2), ((CANDIDATE, LIVE), None, 1), ((CANDIDATE,), OF_ALL, 1)],
    ids=["suspected", "not suspected", "without live"],
)
def test_unconfirmed_suspicion_is_followed_by_the_whole_measurement(
    service: Service, colours: tuple[str, ...], suspicion: Suspicion | None, measurements: int
) -> None:
    requests: list[int] = []
    limits = replace(LIMITS, slower=100.0, slower_ms=1000.0)
    result = measurement.latency(plan_of(service, *colours), limits, suspicion, requests.append)
    assert len(requests) == measurements
    assert result.requests == requests[-1]
    assert result.first.sessions == 0
    shown = "36 of 700 answers to checks were far later than usual; 8 sessions beside live did not show the same"
    assert result.unconfirmed_words(ALL) == ([shown] if measurements == 2 else [])


def test_confirmed_suspicion_is_the_result(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    proven, _ = judged(OF_ALL, late(0.06))
    monkeypatch.setattr(measurement, "confirm", lambda *_: proven)
    requests: list[int] = []
    assert measurement.latency(plan_of(service, CANDIDATE, LIVE), LIMITS, OF_ALL, requests.append) is proven
    assert requests == [proven.requests]
    assert service.seen == []


def test_failing_release_ends_the_sessions(service: Service) -> None:
    service.fail = {"listConsults": 500}
    result = confirm(plan_of(service, CANDIDATE, LIVE), LIMITS, OF_ALL)
    assert "requests failed" in (result.first.cut_short or "")
    assert (result.first.sessions, result.findings) == (0, ())


@pytest.mark.usefixtures("no_pauses")
def test_sessions_end_after_half_of_the_longest_time(service: Service) -> None:
    result = confirm(replace(plan_of(service, CANDIDATE, LIVE), longest_s=1e-9), LIMITS, OF_ALL)
    assert result.first.cut_short == "it took longer than 5e-10 s"
    assert result.findings == ()


def test_confirmation_without_live_is_refused(service: Service) -> None:
    with pytest.raises(ValueError, match="names no live colour"):
        confirm(plan_of(service, CANDIDATE), LIMITS, OF_ALL)

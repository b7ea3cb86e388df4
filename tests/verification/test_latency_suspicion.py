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
OF_LIST = Suspicion("listConsults", 10, 137)
LOOKS = sorted({*SECOND.early, *SECOND.tails, SECOND.least})


def late(share: float, *names: str, ms: float = 300.0) -> Draw:
    """Return times of which this share is ``ms``, of these operations or of all."""

    def drawn(draw: random.Random, place: Place, n: int) -> float:
        return ms if draw.random() < share and (not names or place[0] in names) else noise(draw, place, n)

    return drawn


def judged(suspicion: Suspicion, candidate: Draw, live: Draw = noise) -> tuple[LatencyResult, list[SessionPlan]]:
    """Judge generated sessions, look by look, until they are enough."""
    asked = []

    def measure(
        _names: Collection[str], plan: SessionPlan, judge: Judge, wanted: Callable[[Measured], Collection[Place]]
    ) -> Measured:
        asked.append(plan)
        for sessions in LOOKS:
            measured = uncontrolled(in_sessions(candidate, live, sessions))
            measured.is_early, measured.shows_tails_only = sessions < plan.least, sessions in plan.tails
            measured.cut_short = judge.hopeless(measured)
            if measured.cut_short or not wanted(measured):
                break
        return measured

    return judge_suspicion(measure, Judge(LIMITS, SAMPLES, OPERATIONS), suspicion), asked


def test_slow_tail_is_refused_after_one_measurement_of_everything() -> None:
    result, asked = judged(OF_ALL, late(0.06))
    assert "of 576 answers are far slower than usual, of live's 0.0%" in words(result)
    assert "before it 36 of 700 answers to checks were far later than usual" in words(result)
    assert result.decisive.sessions == SECOND.early[0]
    assert {place[0] for place in asked[0].places} == set(OPERATIONS)
    assert not asked[0].controls


@pytest.mark.parametrize("live", [noise, late(0.06)], ids=["none is late", "live's are late as well"])
def test_release_with_no_more_late_answers_than_live_is_measured_as_always(live: Draw) -> None:
    result, _ = judged(OF_ALL, live, live)
    assert result.findings == ()
    assert result.decisive.sessions == SECOND.early[0], "a good release waits for no further session"


def test_few_late_answers_are_measured_longer_and_prove_nothing() -> None:
    result, _ = judged(OF_ALL, late(0.016))
    assert result.findings == ()
    assert result.decisive.sessions == SECOND.least


def test_broken_budget_of_the_suspected_operation_refuses() -> None:
    result, _ = judged(OF_LIST, late(0.1, "listConsults", ms=1200))
    assert words(result).startswith("GET /consults?limit=20: p95 1200 ms, limit 1000 ms"), words(result)


def test_broken_budget_of_another_operation_needs_two_measurements() -> None:
    result, _ = judged(OF_LIST, late(0.1, "createConsult", ms=1200))
    assert result.findings == ()


def test_unanswered_measurement_proves_nothing() -> None:
    def measure(*_: object) -> Measured:
        return Measured(
            dict.fromkeys(PLACES, 1),
            {place: {CANDIDATE: [], LIVE: []} for place in PLACES},
            {CANDIDATE: 1, LIVE: 1},
            cut_short="no answer",
        )

    assert judge_suspicion(measure, Judge(LIMITS, SAMPLES, OPERATIONS), OF_ALL).findings == ()


# -- the answers to checks ----------------------------------------------------------------------------------------------------


def kept(**answers: list[float]) -> LateAnswers:
    """Return the times (ms) of answers to checks: of the health check, the list and the login."""
    requests = {"health": "GET /health", "list": "GET /consults", "login": "POST /auth/login"}
    found = LateAnswers()
    for name, times in answers.items():
        for one in times:
            found.add(requests[name], one)
    return found


def usual(n: int, ms: float = 2.0) -> list[float]:
    draw = random.Random(n)
    return [draw.lognormvariate(0, 0.3) * ms for _ in range(n)]


@pytest.mark.parametrize(
    ("answers", "suspected"),
    [
        ({}, None),
        ({"health": usual(140), "list": usual(90), "login": usual(60, 25)}, None),
        ({"health": [*usual(132), *[300.0] * 8], "list": [*usual(80), *[310.0] * 8]}, Suspicion(ALL, 16, 228)),
        ({"health": usual(400), "list": [*usual(70), *[1200.0] * 8]}, Suspicion("listConsults", 8, 78)),
        ({"health": [*usual(135), *[300.0] * 5], "list": usual(100)}, None),
        ({"health": [*usual(5), *[300.0] * 5]}, None),
        ({"health": [*usual(100), *[45.0] * 40]}, None),
        ({"login": [*usual(60, 25), *[70.0] * 40]}, None),
    ],
    ids=["none", "good", "all", "one operation", "by chance", "few answers", "other work", "not three times as long"],
)
def test_suspicion(answers: dict[str, list[float]], suspected: Suspicion | None) -> None:
    assert kept(**answers).suspicion(OPERATIONS, LIMITS) == suspected


def test_operation_that_the_gate_does_not_measure_counts_among_all_only() -> None:
    answers = LateAnswers()
    for one in [*usual(80), *[300.0] * 12]:
        answers.add("GET /other", one)
    assert answers.suspicion(OPERATIONS, LIMITS) == Suspicion(ALL, 12, 92)
    for one in usual(600):
        answers.add("GET /health", one)
    assert answers.suspicion(OPERATIONS, LIMITS) is None


# -- over real sockets -------------------------------------------------------------------------------------------------------

FAST = {"samples": 4, "warmup": 0, "rate": 2000}
SUSPECTED = {"health": [*usual(80), *[300.0] * 12]}


def plan_of(service: Service, *colours: str) -> LatencyPlan:
    return LatencyPlan(dict.fromkeys(colours, service.url), SERVICE, SmokeUser(**USER), **FAST)  # type: ignore[arg-type]  # `samples` and `warmup` are whole numbers


@pytest.mark.parametrize(
    ("colours", "answers", "measurements"),
    [((CANDIDATE, LIVE), SUSPECTED, 2), ((CANDIDATE, LIVE), {}, 1), ((CANDIDATE,), SUSPECTED, 1)],
    ids=["suspected", "not suspected", "without live"],
)
def test_unconfirmed_suspicion_is_followed_by_the_whole_measurement(
    service: Service,
    colours: tuple[str, ...],
    answers: dict[str, list[float]],
    measurements: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "_BETWEEN_SESSIONS_S", (0.0, 0.0))
    requests: list[int] = []
    limits = replace(LIMITS, slower=100.0, slower_ms=1000.0)
    result = measurement.latency(plan_of(service, *colours), limits, kept(**answers), requests.append)
    assert len(requests) == measurements
    assert result.requests == requests[-1]
    assert result.first.sessions == 0


def test_confirmation_without_live_is_refused(service: Service) -> None:
    with pytest.raises(ValueError, match="names no live colour"):
        confirm(plan_of(service, CANDIDATE), LIMITS, OF_ALL)

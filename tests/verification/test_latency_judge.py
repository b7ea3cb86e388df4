"""Judgement of generated, seeded latencies: noise passes, slowness fails, and missing data does not pass."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import replace

import pytest

from tests.verification.contract_server import SERVICE
from verification.latency import comparison
from verification.latency.judge import Judge, LatencyResult, judge_twice
from verification.latency.measuring import Measured
from verification.latency.plan import CANDIDATE, CONTROL, KINDS, LIVE, LatencyLimits, Place, operations_of

OPERATIONS = operations_of(SERVICE)
PLACES: list[Place] = [(name, kind) for kind in KINDS for name in OPERATIONS]
LIMITS = LatencyLimits(slower_ms=0.3)
SAMPLES = 60
Draw = Callable[[random.Random, Place, int], float]


def noise(draw: random.Random, _place: Place, _n: int) -> float:
    return draw.lognormvariate(0.2, 0.35)


def measured_by(candidate: Draw, live: Draw | None = noise, seed: int = 1) -> Callable[[Collection[Place]], Measured]:
    """Return a function that measures generated latencies; each call draws new numbers."""
    draw = random.Random(seed)

    def measure(places: Collection[Place]) -> Measured:
        planned = {place: int(SAMPLES * OPERATIONS[place[0]].part) for place in places}
        sides = {CANDIDATE: candidate} | ({} if live is None else {LIVE: live})
        times = {
            place: {colour: [one(draw, place, n) for n in range(SAMPLES)] for colour, one in sides.items()}
            for place in planned
        }
        return Measured(planned, times, {colour: sum(planned.values()) for colour in sides}, late_ms=[0.1] * 50)

    return measure


def judged(candidate: Draw, live: Draw | None = noise, seed: int = 1) -> LatencyResult:
    return judge_twice(
        measured_by(candidate, live, seed), Judge(LIMITS, SAMPLES, OPERATIONS), compared=live is not None
    )


def words(result: LatencyResult) -> str:
    return "\n".join(one.says for one in result.findings)


@pytest.mark.parametrize("seed", range(5))
def test_same_latency_is_not_slower(seed: int) -> None:
    assert judged(noise, seed=seed).findings == ()


def test_latency_half_as_long_again_is_found() -> None:
    result = judged(lambda draw, place, n: 1.5 * noise(draw, place, n))
    assert "times live's time, limit 1.25 times" in words(result)
    assert "the first of two measurements" in words(result)


def test_slow_tail_is_found() -> None:
    result = judged(lambda draw, place, n: noise(draw, place, n) + (300 if n % 20 == 0 else 0))
    assert any(one.test == "tail" for one in result.findings), words(result)
    assert not any(one.test == "slower" for one in result.findings), words(result)


def test_slow_tail_is_found_if_many_answers_of_both_colours_are_slow() -> None:
    def busy(draw: random.Random, place: Place, n: int) -> float:
        return noise(draw, place, n) + (draw.expovariate(0.25) if draw.random() < 0.25 else 0)

    result = judged(lambda draw, place, n: busy(draw, place, n) + (300 if n % 20 == 0 else 0), busy)
    assert any(one.test == "tail" for one in result.findings), words(result)
    assert judged(busy, busy).findings == ()


def test_slowness_on_fresh_connections_only() -> None:
    result = judged(lambda draw, place, n: noise(draw, place, n) + (2 if place[1] == "fresh" else 0))
    assert "fresh connections" in words(result)
    assert "kept connections" not in words(result)


def test_one_slow_operation_is_named() -> None:
    result = judged(lambda draw, place, n: noise(draw, place, n) + (3 if place[0] == "readConsult" else 0))
    assert "readConsult" in {one.operation for one in result.findings} <= {"readConsult", "all"}
    assert result.about("readConsult", "slower")
    assert result.about("health", "slower") == []


def test_unconfirmed_slowness_is_only_suspected() -> None:
    burst = iter([measured_by(lambda draw, place, n: 2 * noise(draw, place, n)), measured_by(noise, seed=2)])
    result = judge_twice(lambda places: next(burst)(places), Judge(LIMITS, SAMPLES, OPERATIONS), compared=True)
    assert result.findings == ()
    assert result.suspected
    assert result.first_words("listConsults")


def test_difference_below_the_limit_is_not_found() -> None:
    assert judged(lambda draw, _place, _n: 0.012 + draw.random() / 1000, lambda _draw, _place, _n: 0.011).findings == ()


def test_budgets_apply_without_a_second_colour() -> None:
    assert judged(noise, None).findings == ()
    slow = judged(lambda _draw, _place, n: 1200.0 if n % 10 == 0 else 1.0, None)
    assert "GET /consults?limit=20: p95 1200 ms, limit 1000 ms" in words(slow)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda measured: measured.times[("health", "kept")][CANDIDATE].clear(), "0 answers of candidate"),
        (lambda measured: measured.times[("health", "kept")][LIVE].clear(), "0 answers of live"),
        (
            lambda measured: [sides.clear() for times in measured.times.values() for sides in times.values()],
            "0 answers",
        ),
        (lambda measured: measured.late_ms.extend([120.0] * 50), "too busy to measure: 120 ms late, limit 100 ms"),
        (
            lambda measured: measured.failures.extend([(CANDIDATE, "login", "status 500, expected 200")] * 20),
            "requests failed, limit 1 in 1000; the first: POST /auth/login: status 500",
        ),
    ],
)
def test_inconclusive_measurement_does_not_pass(spoil: Callable[[Measured], object], says: str) -> None:
    made = measured_by(noise)

    def measure(places: Collection[Place]) -> Measured:
        measured = made(places)
        spoil(measured)
        return measured

    result = judge_twice(measure, Judge(LIMITS, SAMPLES, OPERATIONS), compared=True)
    assert says in words(result)


def in_sessions(candidate: Draw, live: Draw, sessions: int = 16) -> Measured:
    """Return a second measurement: as many sessions, four answers of each place in each, and live once more as a control."""
    draw = random.Random(7)
    sides = {CANDIDATE: candidate, LIVE: live, CONTROL: live}
    times = {
        place: {colour: [one(draw, place, n) for n in range(4 * sessions)] for colour, one in sides.items()}
        for place in PLACES
    }
    planned = dict.fromkeys(PLACES, SAMPLES)
    return Measured(planned, times, dict.fromkeys(sides, 9999), late_ms=[0.1] * 50, sessions=sessions)


def judged_in_sessions(candidate: Draw, live: Draw) -> LatencyResult:
    """Judge a release that the first measurement finds 1.5 times as slow; the second one is made in sessions."""
    first = measured_by(lambda draw, place, n: 1.5 * noise(draw, place, n))
    second = in_sessions(candidate, live)
    return judge_twice(first, Judge(LIMITS, SAMPLES, OPERATIONS), compared=True, again=lambda _: second)


def sharing_a_core(sessions: range) -> Draw:
    """Return the login of 20 ms that takes 34 ms in these sessions, because its process shares a core in that time."""

    def draw_one(draw: random.Random, place: Place, n: int) -> float:
        if place[0] != "login":
            return noise(draw, place, n)
        return (34 if n // 4 in sessions else 20) * draw.lognormvariate(0, 0.03)

    return draw_one


def test_process_that_shares_its_core_for_a_while_is_not_slower() -> None:
    result = judged_in_sessions(sharing_a_core(range(10)), sharing_a_core(range(10, 12)))
    assert result.suspected
    assert result.findings == (), words(result)


def test_login_half_as_long_again_is_found_although_cores_are_shared() -> None:
    both = sharing_a_core(range(4, 9))
    result = judged_in_sessions(
        lambda draw, place, n: both(draw, place, n) * (1.5 if place[0] == "login" else 1),
        sharing_a_core(range(7, 12)),
    )
    assert {one.operation for one in result.findings} == {"login"}
    assert "16 sessions, Wilcoxon" in words(result)


def test_release_that_is_slow_in_most_answers_is_found_although_its_fast_ones_are_fast() -> None:
    result = judged_in_sessions(
        lambda draw, place, n: noise(draw, place, n) * (1 if n % 8 == 0 else 2),
        lambda draw, place, n: 0.1 * noise(draw, place, n) + 1,
    )
    assert result.about("listConsults", "slower")


def test_effect_that_the_control_shows_as_well_is_no_effect() -> None:
    found = comparison.Sessions(16, ratio=1.4, shift_ms=5, control=1.0, p=1e-5, low=1.3, high=1.5, fast=1.4)
    assert comparison.is_slower_in_sessions(found, LIMITS, 0.001)
    assert not comparison.is_slower_in_sessions(replace(found, control=1.2), LIMITS, 0.001)
    assert not comparison.is_slower_in_sessions(replace(found, p=0.01), LIMITS, 0.001)


def test_weak_proof_of_slowness_is_suspected_and_measured_again() -> None:
    def wide(draw: random.Random, _place: Place, _n: int) -> float:
        return draw.lognormvariate(3, 0.9)

    first = measured_by(
        lambda draw, place, n: wide(draw, place, n) * (1.55 if place[0] == "login" else 1), wide, seed=6
    )
    judge, measured = Judge(LIMITS, SAMPLES, OPERATIONS), first(PLACES)
    assert [one for one in judge.findings(measured) if one.test == "slower"] == []
    assert "login" in {one.operation for one in judge.suspicions(measured)}


def test_open_question_gets_more_sessions() -> None:
    judge = Judge(LIMITS, SAMPLES, OPERATIONS)
    undecided = in_sessions(sharing_a_core(range(8)), sharing_a_core(range(0)))
    assert {("login", "kept"), ("login", "fresh")} <= set(judge.wanted(undecided))
    same = in_sessions(sharing_a_core(range(0)), sharing_a_core(range(0)))
    assert not {place for place in judge.wanted(same) if place[0] == "login"}


def test_single_failure_is_tolerated() -> None:
    made = measured_by(noise)

    def measure(places: Collection[Place]) -> Measured:
        measured = made(places)
        measured.times[("health", "kept")][CANDIDATE].pop()
        measured.failures.append((CANDIDATE, "health", "no answer: ConnectionResetError"))
        return measured

    assert judge_twice(measure, Judge(LIMITS, SAMPLES, OPERATIONS), compared=True).findings == ()


def test_noise_needs_more_samples() -> None:
    draw = random.Random(3)
    quiet = [draw.gauss(10, 0.5) for _ in range(60)]
    noisy = [draw.lognormvariate(2.3, 0.8) for _ in range(60)]
    few, many = (comparison.shift(one, one, LIMITS, 0.001).needed for one in (quiet, noisy))
    assert few < 60 < many


def test_comparison_without_samples_raises() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        comparison.shift([], [1.0], LIMITS, 0.01)
    with pytest.raises(ValueError, match="nothing to compare"):
        comparison.tail([([], [1.0])], LIMITS)


def test_clear_difference_ends_the_measurement() -> None:
    judge = Judge(LIMITS, SAMPLES, OPERATIONS)
    measured = measured_by(lambda draw, place, n: 3 * noise(draw, place, n))(PLACES)
    assert judge.wanted(measured) == []
    assert measured.cut_short is not None
    endless = measured_by(lambda _draw, _place, _n: 9000.0, None)(PLACES)
    assert "too many answers over" in str(judge.hopeless(endless))

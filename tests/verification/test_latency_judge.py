"""Judgement of generated, seeded latencies: noise passes, slowness fails, and missing data does not pass."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from plugins.described.latency import no_slower_than_live
from tests.verification.generated_latencies import (
    LIMITS,
    OPERATIONS,
    PLACES,
    SAMPLES,
    Again,
    Draw,
    in_sessions,
    judged,
    judged_by,
    measured_by,
    noise,
    words,
)
from verification.latency import comparison, tails
from verification.latency.judge import Judge
from verification.latency.measuring import SECOND, THIRD, Measured
from verification.latency.plan import AGAIN, CANDIDATE, LIVE, Place
from verification.latency.repeating import PAUSE_BEFORE_CONFIRMATION_S, LatencyResult, judge_repeatedly

if TYPE_CHECKING:
    from plugins.described.fixtures import Player


@pytest.mark.parametrize("seed", range(5))
def test_same_latency_is_not_slower(seed: int) -> None:
    assert judged(noise, seed=seed).findings == ()


def test_latency_half_as_long_again_is_found() -> None:
    result = judged(lambda draw, place, n: 1.5 * noise(draw, place, n))
    assert "times live's time, limit 1.25 times" in words(result)
    assert "the first of t" in words(result)


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
    result = judged_by(lambda places: next(burst)(places))
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

    result = judged_by(measure)
    assert says in words(result)


def judged_in_sessions(candidate: Draw, live: Draw, third: Draw | None = None) -> LatencyResult:
    """Judge a release that the first measurement finds 1.5 times as slow; ``third`` draws its times in the third one."""
    return Again(in_sessions(candidate, live), in_sessions(third or candidate, live, 8)).judged()


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
    assert "16 sessions, Wilcoxon's test: " in words(result)
    assert " by chance; live compared with itself: " in words(result)


def test_release_that_is_slow_in_most_answers_is_found_although_its_fast_ones_are_fast() -> None:
    result = judged_in_sessions(
        lambda draw, place, n: noise(draw, place, n) * (1 if n % 8 == 0 else 2),
        lambda draw, place, n: 0.1 * noise(draw, place, n) + 1,
    )
    assert result.about("listConsults", "slower")


# A ratio of 1.4, beyond doubt.
SLOWER = comparison.Sessions(16, ratio=1.4, shift_ms=5, control=1.0, p=1e-5, high=1.5, fast=1.4, bound=1.3, core=1.3)


@pytest.mark.parametrize("control", [1.13, 1.2, 1.5])
def test_effect_that_the_control_shows_as_well_is_no_effect(control: float) -> None:
    assert comparison.is_slower_in_sessions(replace(SLOWER, control=1.11), LIMITS, 0.001)
    assert not comparison.is_slower_in_sessions(replace(SLOWER, control=control), LIMITS, 0.001)


@pytest.mark.parametrize("p", [0.01, 0.0011])
def test_difference_that_chance_explains_is_no_effect(p: float) -> None:
    assert comparison.is_slower_in_sessions(replace(SLOWER, p=0.001), LIMITS, 0.001)
    assert not comparison.is_slower_in_sessions(replace(SLOWER, p=p), LIMITS, 0.001)


def test_ratio_that_is_above_the_limit_by_chance_is_no_effect() -> None:
    assert not comparison.is_slower_in_sessions(replace(SLOWER, bound=1.2), LIMITS, 0.001)


def test_ratio_that_changes_with_the_core_of_the_measuring_process_is_no_effect() -> None:
    assert not comparison.is_slower_in_sessions(replace(SLOWER, core=1.1), LIMITS, 0.001)


def test_ratio_of_two_is_plain_only_if_fast_answers_and_every_core_show_it() -> None:
    plain = replace(SLOWER, ratio=2.4, bound=2.2, fast=2.1, core=2.0)
    assert comparison.is_plainly_slower(plain, LIMITS)
    for other in (
        replace(plain, bound=1.9),
        replace(plain, control=1.2),
        replace(plain, fast=1.2),
        replace(plain, core=1.2),
    ):
        assert not comparison.is_plainly_slower(other, LIMITS)


def on_core(slow: int, factor: float) -> Draw:
    """Return answers that take ``factor`` times as long in the sessions that are measured from this core, of two in turn."""
    return lambda draw, place, n: noise(draw, place, n) * (factor if n // 4 % 2 == slow else 1)


def test_process_beside_other_work_on_one_core_is_not_slower() -> None:
    """The candidate's core is the slow one if the requests come from core 0; in the other sessions both are alike."""
    cores = [session % 2 for session in range(16)]
    again = Again(in_sessions(on_core(0, 1.8), noise, 16, cores), in_sessions(on_core(0, 1.8), noise, 8, cores[:8]))
    result = again.judged()
    assert result.suspected
    assert result.findings == (), words(result)


def test_slower_release_beside_other_work_on_one_core_is_found() -> None:
    cores = [session % 2 for session in range(16)]
    slower = lambda draw, place, n: 1.5 * on_core(0, 1.2)(draw, place, n)  # noqa: E731 - used once
    again = Again(in_sessions(slower, noise, 16, cores), in_sessions(slower, noise, 8, cores[:8]))
    assert again.judged().about("all", "slower")


def test_third_measurement_after_a_pause_must_confirm_a_difference_that_is_not_plain() -> None:
    def half_as_long_again(draw: random.Random, place: Place, n: int) -> float:
        return noise(draw, place, n) * (1.6 if place[0] == "readConsult" else 1)

    def another(draw: random.Random, place: Place, n: int) -> float:
        return noise(draw, place, n) * (1.6 if place[0] == "health" else 1)

    second = in_sessions(half_as_long_again, noise)
    confirmed = Again(second, in_sessions(half_as_long_again, noise, 8))
    assert {one.operation for one in confirmed.judged().findings} == {"readConsult"}
    assert [sessions for _, sessions in confirmed.asked] == [SECOND, THIRD]
    assert confirmed.asked[1][0] == ["readConsult"]
    assert confirmed.pauses == [PAUSE_BEFORE_CONFIRMATION_S]
    for third in (noise, another):
        result = Again(second, in_sessions(third, noise, 8)).judged()
        assert result.findings == (), words(result)
        assert len(result.further) == 2
        assert "times live's time" in result.unconfirmed_words("readConsult")[0]
        assert result.first_words("readConsult")


def test_plain_difference_needs_no_third_measurement() -> None:
    again = Again(in_sessions(lambda draw, place, n: 3 * noise(draw, place, n), noise))
    result = again.judged()
    assert result.about("readConsult", "slower")
    assert "the first of two measurements" in words(result)
    assert (len(result.further), again.pauses) == (1, [])


def tail(share: float) -> Draw:
    """Return answers of which this share takes 300 ms more."""
    return lambda draw, place, n: noise(draw, place, n) + (300 if draw.random() < share else 0)


def test_plain_tail_needs_no_third_measurement() -> None:
    result = Again(in_sessions(tail(0.05), noise)).judged()
    assert result.about("all", "tail")
    assert len(result.further) == 1


def test_difference_on_each_of_several_cores_is_plain() -> None:
    """A process that shares its core with other work is slower from one core only."""
    cores = [session % 2 for session in range(16)]
    half_more: Draw = lambda draw, place, n: 1.5 * noise(draw, place, n)  # noqa: E731 - used once
    assert len(Again(in_sessions(half_more, noise, 16, cores)).judged().further) == 1
    assert comparison.is_plainly_slower(replace(SLOWER, cores=2), LIMITS)
    assert not comparison.is_plainly_slower(replace(SLOWER, cores=2, core=1.2), LIMITS)
    assert not comparison.is_plainly_slower(replace(SLOWER, cores=1), LIMITS)


def test_only_suspected_operations_are_measured_again() -> None:
    slower: Draw = lambda draw, place, n: noise(draw, place, n) * (2 if place[0] == "login" else 1)  # noqa: E731 - used once
    again = Again(in_sessions(slower, noise), in_sessions(slower, noise, 8))
    result = judge_repeatedly(
        measured_by(slower), Judge(LIMITS, SAMPLES, OPERATIONS), again, compared=True, pause=lambda _: None
    )
    assert {name for name, _ in again.places[0]} == {"login"}
    assert {one.operation for one in result.findings} == {"login"}, words(result)


def test_slower_operation_beside_one_without_answers_is_measured_again_with_all_others() -> None:
    first = measured_by(lambda draw, place, n: noise(draw, place, n) * (2 if place[0] == "login" else 1))(PLACES)
    first.times["health", "kept"][CANDIDATE].clear()
    again = Again(in_sessions(noise, noise))
    judge = Judge(LIMITS, SAMPLES, OPERATIONS)
    assert judge_repeatedly(lambda _: first, judge, again, compared=True).findings == ()
    assert again.places[0] == judge.places


def over_budget(operation: str) -> Draw:
    """Draw times of which one in ten is far over the p95 budget."""
    return lambda draw, place, n: noise(draw, place, n) + (1200.0 if place[0] == operation and n % 10 == 0 else 0.0)


def test_operation_over_its_budget_is_measured_again_alone() -> None:
    again = Again(in_sessions(over_budget("listConsults"), noise))
    judge = Judge(LIMITS, SAMPLES, OPERATIONS)
    result = judge_repeatedly(measured_by(over_budget("listConsults")), judge, again, compared=True)
    assert {name for name, _ in again.places[0]} == {"listConsults"}, [one.says for one in result.suspected]
    assert result.about("listConsults", "budget"), words(result)


def test_plain_tail_ends_the_second_measurement_early() -> None:
    judge = Judge(LIMITS, SAMPLES, OPERATIONS)
    early = replace(in_sessions(tail(0.1), noise, 8), is_early=True)
    assert judge.wanted(early) == []
    assert "far slower than usual" in str(early.cut_short)
    assert {one.test for one in judge.findings(early)} == {"tail"}


def test_only_a_plain_tail_ends_the_second_measurement_at_looks_for_tails() -> None:
    judge = Judge(LIMITS, SAMPLES, OPERATIONS)
    thrice: Draw = lambda draw, place, n: 3 * noise(draw, place, n)  # noqa: E731 - used once
    slower = replace(in_sessions(thrice, noise, 12), is_early=True, shows_tails_only=True)
    assert judge.wanted(slower) == judge.places
    assert judge.wanted(replace(slower, shows_tails_only=False)) == []
    assert judge.wanted(replace(in_sessions(tail(0.1), noise, 10), is_early=True, shows_tails_only=True)) == []


def test_answers_over_a_budget_end_the_first_measurement_at_its_first_look() -> None:
    judge = Judge(LIMITS, SAMPLES, OPERATIONS)
    first = measured_by(noise)(PLACES)
    first.times["login", "kept"][CANDIDATE][:] = [1.0] * 10
    first.times["login", "fresh"][CANDIDATE][:] = [1.0] * 10
    first.times["login", "kept"][CANDIDATE][0] = 3000.0
    judge.wanted(first)
    assert first.cut_short is None, "one answer is nothing"
    first.times["login", "fresh"][CANDIDATE][0] = 1200.0
    assert judge.wanted(first) == []
    assert first.cut_short == "login: 2 of 20 answers over 1000 ms"
    assert "budget" in {one.test for one in judge.suspicions(first)}


def test_difference_that_is_not_plain_does_not_end_the_second_measurement_early() -> None:
    judge = Judge(LIMITS, SAMPLES, OPERATIONS)
    slower: Draw = lambda draw, place, n: noise(draw, place, n) * (1.6 if place[0] == "readConsult" else 1)  # noqa: E731 - used once
    early = replace(in_sessions(slower, noise, 12), is_early=True)
    assert (judge.wanted(early), early.cut_short) == (judge.places, None)
    assert judge.wanted(replace(early, is_early=False)) == []


def test_colours_are_not_compared_with_themselves_if_only_a_tail_is_suspected() -> None:
    def again_after(first: Draw) -> Again:
        again = Again(in_sessions(noise, noise))
        judge_repeatedly(measured_by(first), Judge(LIMITS, SAMPLES, OPERATIONS), again, compared=True)
        return again

    only_tail = again_after(lambda draw, place, n: noise(draw, place, n) + (300 if n % 20 == 0 else 0))
    assert not only_tail.asked[0][1].controls
    both = again_after(lambda draw, place, n: 1.5 * noise(draw, place, n) + (300 if n % 20 == 0 else 0))
    assert both.asked[0][1].controls, "slower, too"


def test_measurement_without_controls_says_nothing_about_the_typical_answer() -> None:
    measured = in_sessions(lambda draw, place, n: 1.5 * noise(draw, place, n), noise)
    judge = Judge(LIMITS, SAMPLES, OPERATIONS)
    assert "slower" in {one.test for one in judge.findings(measured)}
    for colour in AGAIN.values():
        del measured.asked[colour]
    assert "slower" not in {one.test for one in judge.findings(measured)}


def test_third_measurement_that_proves_nothing_does_not_pass() -> None:
    slower = in_sessions(
        lambda draw, place, n: noise(draw, place, n) * (1.6 if place[0] == "readConsult" else 1), noise
    )
    late = in_sessions(noise, noise, 8)
    late.late_ms = [120.0] * 50
    assert "too busy to measure" in words(Again(slower, late).judged())
    empty = in_sessions(noise, noise, 8)
    empty.times["readConsult", "kept"][CANDIDATE].clear()
    assert "0 answers of candidate" in words(Again(slower, empty).judged())


def test_third_measurement_gets_more_sessions_while_a_difference_may_still_be_confirmed() -> None:
    judge = Judge(LIMITS, SAMPLES, OPERATIONS)
    found = judge.findings(
        in_sessions(lambda draw, place, n: noise(draw, place, n) * (1.6 if place[0] == "login" else 1), noise)
    )
    confirming = judge.confirming(found)
    open_question = in_sessions(sharing_a_core(range(5)), sharing_a_core(range(0)), 8)
    assert {name for name, _ in confirming.wanted(open_question)} == {"login"}
    assert confirming.wanted(in_sessions(sharing_a_core(range(0)), sharing_a_core(range(0)), 8)) == []


def test_failures_of_both_series_of_the_candidate_count() -> None:
    second = in_sessions(noise, noise)
    second.failures = [(AGAIN[CANDIDATE], "login", "status 500, expected 200")] * 60
    assert "60 of 19998 requests failed" in words(Again(second).judged())


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
    undecided = in_sessions(sharing_a_core(range(10)), sharing_a_core(range(10, 12)))
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

    assert judged_by(measure).findings == ()


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
        tails.tail([([], [1.0])], LIMITS)


def test_clear_difference_ends_the_measurement() -> None:
    judge = Judge(LIMITS, SAMPLES, OPERATIONS)
    measured = measured_by(lambda draw, place, n: 3 * noise(draw, place, n))(PLACES)
    assert judge.wanted(measured) == []
    assert measured.cut_short is not None
    endless = measured_by(lambda _draw, _place, _n: 9000.0, None)(PLACES)
    assert "too many answers over" in str(judge.hopeless(endless))


def test_an_operation_without_a_good_answer_is_refused_in_words() -> None:
    """The check names the failed requests; a comparison with nothing would be an error of the program."""

    def failing(places: Collection[Place]) -> Measured:
        measured = measured_by(noise)(places)
        for times in measured.times.values():
            times[CANDIDATE].clear()
        failures = [(CANDIDATE, next(iter(OPERATIONS)), "status 500, expected 200")] * 10
        return replace(measured, failures=failures)

    result = judged_by(failing)
    name = next(iter(OPERATIONS))
    with pytest.raises(pytest.fail.Exception) as caught:
        no_slower_than_live(result, cast("Player", None), {"slower": 1.25}, lambda *_, **__: None, "http://c", name)
    assert str(caught.value).startswith(f"{name} could not be compared over kept connections: 10 of ")
    assert "status 500, expected 200" in str(caught.value)

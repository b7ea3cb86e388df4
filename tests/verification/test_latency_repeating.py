"""A suspicion that ends the first measurement early must not hide a slower operation that had few answers."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import replace

import pytest

from tests.verification.generated_latencies import (
    LIMITS,
    OPERATIONS,
    PLACES,
    SAMPLES,
    Again,
    Draw,
    in_sessions,
    measured_by,
    noise,
    uncontrolled,
    words,
)
from verification.latency.judge import Judge
from verification.latency.measuring import Measured
from verification.latency.plan import CANDIDATE, KINDS, Place
from verification.latency.repeating import LatencyResult, judge_repeatedly

JUDGE = Judge(LIMITS, SAMPLES, OPERATIONS)
LOOK = 15


def slower(factor: float, *names: str) -> Draw:
    return lambda draw, place, n: noise(draw, place, n) * (factor if place[0] in names else 1)


def cut_short(candidate: Draw = noise, slow: Collection[str] = (), answers: int = LOOK) -> Measured:
    """Return a first measurement that ended at a look; the first answers of the operations in ``slow`` took 1.2 s."""
    first = measured_by(candidate)(PLACES)
    for place, times in first.times.items():
        for colour, values in times.items():
            times[colour] = values[: max(1, int(answers * OPERATIONS[place[0]].part))]
    for name in slow:
        for kind in KINDS:
            first.times[name, kind][CANDIDATE][:2] = [1200.0] * 2
    first.cut_short = "too many answers over 1000 ms"
    return first


def judged(first: Measured, *further: Measured) -> tuple[LatencyResult, Again]:
    again = Again(*further)
    return judge_repeatedly(lambda _: first, JUDGE, again, compared=True, pause=again.pauses.append), again


@pytest.mark.parametrize(("factor", "refused"), [(1.6, {"login"}), (1.0, set())])
def test_slow_answers_that_pass_do_not_hide_a_slower_operation(factor: float, refused: set[str]) -> None:
    then = slower(factor, "login")
    further = uncontrolled(in_sessions(then, noise)), in_sessions(then, noise), in_sessions(then, noise, 8)
    result, again = judged(cut_short(slow=["listConsults"]), *further)
    assert {one.test for one in result.suspected} == {"budget"}, [one.says for one in result.suspected]
    assert [plan.controls for _, plan in again.asked] == [False, True, True][: len(again.asked)]
    assert again.places[1] == JUDGE.places
    assert {one.operation for one in result.findings} == refused, words(result)


def test_unconfirmed_difference_of_one_operation_does_not_hide_another() -> None:
    first = cut_short(slower(2.5, "health"))
    seen, then = slower(1.6, "health"), slower(1.6, "readConsult")
    further = (
        in_sessions(seen, noise),
        in_sessions(noise, noise, 8),
        in_sessions(then, noise),
        in_sessions(then, noise, 8),
    )
    result, again = judged(first, *further)
    assert {name for name, _ in again.places[0]} == {"health"}, [one.says for one in result.suspected]
    assert {one.operation for one in result.findings} == {"readConsult"}, words(result)
    assert "the first of five measurements" in words(result)
    assert "; the fourth: GET /consults/{id}: 1." in words(result)
    assert result.unconfirmed_words("health")


def test_first_measurement_with_all_answers_is_enough() -> None:
    """A further whole measurement would be one more chance to refuse a good release."""
    first = measured_by(slower(1.45, "readConsult"))(PLACES)
    first.cut_short = "found at the last look"
    result, again = judged(first, in_sessions(noise, noise))
    assert (result.findings, len(again.asked)) == ((), 1)
    assert result.suspected


@pytest.mark.parametrize("late", [True, False], ids=["busy", "too few answers"])
def test_whole_measurement_that_proves_nothing_does_not_pass(late: bool) -> None:
    whole = in_sessions(slower(1.6, "login"), noise)
    if late:
        whole.late_ms = [120.0] * 50
    else:
        whole = in_sessions(noise, noise)
        for values in whole.times["readConsult", "kept"].values():
            del values[10:]
    result, again = judged(cut_short(slow=["listConsults"]), uncontrolled(in_sessions(noise, noise)), whole)
    assert result.findings, "not a pass"
    assert len(again.asked) == 2
    assert ("too busy to measure" if late else "answers of candidate") in words(result)


def test_whole_measurement_that_ends_early_and_is_not_confirmed_does_not_pass() -> None:
    tail: Draw = lambda draw, place, n: noise(draw, place, n) + (300 if n % 4 == 0 else 0)  # noqa: E731 - used once
    early = replace(in_sessions(tail, noise, 8), is_early=True)
    early.planned = dict.fromkeys(PLACES, 64)
    further = uncontrolled(in_sessions(noise, noise)), early, in_sessions(noise, noise, 8)
    result, _ = judged(cut_short(slow=["listConsults"]), *further)
    assert "no measurement of everything had all answers" in words(result)


def test_figures_are_those_of_the_last_measurement_of_each_operation() -> None:
    whole, last = in_sessions(slower(1.6, "login"), noise), in_sessions(noise, noise, 8)
    last.times = {place: times for place, times in last.times.items() if place[0] == "login"}
    further = uncontrolled(in_sessions(noise, noise)), whole, last
    result, _ = judged(cut_short(slow=["listConsults"]), *further)
    assert result.findings == ()
    assert (result.last("login"), result.last("listConsults")) == (last, whole)
    assert result.requests == sum(one.asked_candidate for one in (result.first, *further))


def test_single_late_answer_ends_no_measurement() -> None:
    """A sign-in has thirty answers, so that one of them is more than 1 %."""
    first = measured_by(noise)(PLACES)
    for kind in KINDS:
        del first.times["login", kind][CANDIDATE][15:]
    first.times["login", "kept"][CANDIDATE][0] = 2500.0
    assert JUDGE.hopeless(first) is None
    first.times["login", "fresh"][CANDIDATE][0] = 2500.0
    assert JUDGE.hopeless(first) is not None


def test_answers_that_are_too_few_for_the_noise_are_not_all() -> None:
    def wide(draw: random.Random, place: Place, n: int) -> float:
        return draw.lognormvariate(0.2, 2.0 if place[0] == "readConsult" else 0.35)

    assert not JUDGE.is_complete(measured_by(wide, wide)(PLACES))
    assert JUDGE.is_complete(measured_by(noise)(PLACES))


def test_measurement_that_confirms_decides_about_nothing_else() -> None:
    found = JUDGE.findings(in_sessions(slower(1.6, "readConsult"), noise))
    last = in_sessions(slower(1.6, "readConsult"), noise, 8)
    for kind in KINDS:  # a quarter of the answers, so that the p95 is the slowest of them
        last.times["login", kind][CANDIDATE][:2] = [1100.0] * 2
    assert {one.operation for one in JUDGE.confirming(found).findings(last)} == {"readConsult"}
    assert JUDGE.confirming(found).hopeless(last) is None
    assert JUDGE.hopeless(last) is not None

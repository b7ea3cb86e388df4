"""During a bake, routes and platform are read beside the watch: a call without an answer hides no harm to users."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deployment.clock import SystemClock
from deployment.errors import CloudError, CloudUnreachable, RouteConflict, StepFailed
from deployment.flow.bake import LONGEST_LOOK_S, OBSERVE_EVERY_S
from deployment.polling import BLIND_S, Readings
from tests.deployment.fakes import BLUE, GREEN
from tests.deployment.harness import GATES, LIMITS, Deployment

LOST = CloudUnreachable("cloudfront-keyvaluestore DescribeKeyValueStore: no answer")
LONG_S = 120.0


@pytest.fixture
def baking(tmp_path: Path) -> Deployment:
    """A promoted release whose bake takes two minutes."""
    one = Deployment(tmp_path, limits=replace(LIMITS, bake=LONG_S))
    one.to_verified()
    one.machine.promote(GATES)
    return one


def after(one: Deployment, seconds: float, act: Callable[[], str | None]) -> Callable[[], str | None]:
    """Return a watch over users' answers that calls ``act`` once so many seconds have passed."""
    since = one.cloud.clock.elapsed
    return lambda: act() if one.cloud.clock.elapsed - since >= seconds else None


def test_harm_is_seen_while_a_reading_hangs(baking: Deployment) -> None:
    begun: list[Callable[[], None]] = []
    baking.cloud.clock.begin = begun.append
    since = baking.cloud.clock.elapsed
    with pytest.raises(StepFailed, match="users see errors"):
        baking.machine.bake(after(baking, 2 * OBSERVE_EVERY_S, lambda: "users see errors"))
    assert baking.cloud.clock.elapsed - since < 2 * OBSERVE_EVERY_S + 1
    assert len(begun) == 2, "one of the routes and one of the platform; no second one beside one that hangs"


def test_reading_that_never_ends_ends_the_bake(baking: Deployment) -> None:
    baking.cloud.clock.begin = lambda _: None
    since = baking.cloud.clock.elapsed
    with pytest.raises(StepFailed, match=f"the routes could not be read for 30 s, the limit is {BLIND_S:g} s"):
        baking.machine.bake(lambda: None)
    assert BLIND_S < baking.cloud.clock.elapsed - since < BLIND_S + OBSERVE_EVERY_S + 1


@pytest.mark.parametrize("failures", [1, int(BLIND_S / OBSERVE_EVERY_S) - 1])
def test_routes_that_cannot_be_read_for_a_moment_roll_nothing_back(baking: Deployment, failures: int) -> None:
    baking.cloud.next_errors["observe"] = [LOST] * failures
    baking.machine.bake(lambda: None)
    assert baking.cloud.routes.live is GREEN
    failed = [record.data["error"] for record in baking.records() if record.kind == "check_failed"]
    assert failed == [LOST.message], "one record for each series of failed readings"


def test_routes_that_stay_unreadable_end_the_bake(baking: Deployment) -> None:
    baking.cloud.constant_errors["observe"] = LOST
    with pytest.raises(StepFailed, match="the limit is 30 s: cloudfront-keyvaluestore"):
        baking.machine.bake(lambda: None)


def hanging_platform(one: Deployment) -> Callable[[], None]:
    """Let the first reading of the platform hang; return a function that answers it."""
    begin, asked = one.cloud.clock.begin, itertools.count()
    hanging: list[Callable[[], None]] = []

    def begin_others(work: Callable[[], None]) -> None:
        if next(asked) == 1:  # after the first of the routes
            hanging.append(work)
        else:
            begin(work)

    def answer() -> None:
        while hanging:
            begin(hanging.pop())

    one.cloud.clock.begin = begin_others
    return answer


def test_platform_that_hangs_harms_no_user(baking: Deployment) -> None:
    answer, since = hanging_platform(baking), baking.cloud.clock.elapsed
    baking.machine.bake(after(baking, LONG_S + 60, answer))
    assert LONG_S + 60 < baking.cloud.clock.elapsed - since < LONG_S + 61, "the last reading is waited for"


@pytest.mark.parametrize("takes_s", [6.0, 45.0])
def test_bake_ends_although_each_reading_of_the_platform_is_slow(baking: Deployment, takes_s: float) -> None:
    clock, asked, since = baking.cloud.clock, itertools.count(), baking.cloud.clock.elapsed
    slow: list[tuple[float, Callable[[], None]]] = []
    begin = clock.begin
    platform = 1

    def later(work: Callable[[], None]) -> None:
        if next(asked) == platform or work in seen:
            seen.append(work)
            slow.append((clock.elapsed + takes_s, work))
        else:
            begin(work)

    seen: list[Callable[[], None]] = []

    def pass_time() -> None:
        assert clock.elapsed - since < 2 * LONG_S, "the bake does not end"
        for due, work in [one for one in slow if one[0] <= clock.elapsed]:
            slow.remove((due, work))
            begin(work)

    clock.begin = later
    baking.machine.bake(after(baking, 0, pass_time))
    assert clock.elapsed - since < LONG_S + 2 * takes_s + 1


def test_routes_that_fail_after_their_last_reading_are_only_recorded(baking: Deployment) -> None:
    answer, since = hanging_platform(baking), baking.cloud.clock.elapsed
    failed: list[bool] = []

    def fail_once() -> None:
        if baking.cloud.clock.elapsed - since > LONG_S + 20:
            answer()
        elif not failed:
            failed.append(True)
            baking.cloud.next_errors["observe"] = [LOST]

    baking.machine.bake(after(baking, LONG_S + 2, fail_once))
    assert baking.cloud.routes.live is GREEN
    assert "check_failed" in baking.journal_kinds()


def test_harm_is_seen_while_the_last_reading_hangs(baking: Deployment) -> None:
    since = baking.cloud.clock.elapsed

    def hang() -> str | None:
        baking.cloud.clock.begin = lambda _: None
        return "users see errors" if baking.cloud.clock.elapsed - since > LONG_S + 2 else None

    with pytest.raises(StepFailed, match="users see errors"):
        baking.machine.bake(after(baking, LONG_S - 1, hang))
    assert baking.cloud.clock.elapsed - since < LONG_S + 3


def test_change_that_a_late_reading_shows_ends_the_bake(baking: Deployment) -> None:
    """What a reading found while the last one was under way is not lost."""
    baking.cloud.next_errors["describe"] = [None] * 23 + [LOST]

    def change() -> None:
        baking.cloud.sides[GREEN].configuration = "changed"

    with pytest.raises(StepFailed, match="configuration"):
        baking.machine.bake(after(baking, LONG_S - 7, change))


def test_time_in_which_nobody_watched_does_not_count(baking: Deployment) -> None:
    """The process was stopped, and its reading with it."""
    begun: list[Callable[[], None]] = []
    begin, baking.cloud.clock.begin = baking.cloud.clock.begin, begun.append

    def stop() -> None:
        if begun:
            baking.cloud.clock.elapsed += BLIND_S + 10
            baking.cloud.clock.begin = begin
            for work in begun:
                begin(work)
            begun.clear()

    baking.machine.bake(after(baking, OBSERVE_EVERY_S + 1, stop))
    assert baking.cloud.routes.live is GREEN


def test_routes_must_be_readable_at_the_end(baking: Deployment) -> None:
    def lose() -> None:
        baking.cloud.constant_errors["observe"] = LOST

    with pytest.raises(CloudUnreachable):
        baking.machine.bake(after(baking, LONG_S - 1, lose))


def test_routes_changed_by_hand_end_the_bake_at_the_next_reading(baking: Deployment) -> None:
    moved: list[float] = []

    def move() -> None:
        if not moved:
            moved.append(baking.cloud.clock.elapsed)
            baking.cloud.move(BLUE, baking.cloud.routes.fence)

    with pytest.raises(RouteConflict):
        baking.machine.bake(after(baking, 20, move))
    assert baking.cloud.clock.elapsed - moved[0] <= OBSERVE_EVERY_S + 0.2


def test_platform_that_does_not_answer_harms_no_user(baking: Deployment) -> None:
    baking.cloud.constant_errors["describe"] = LOST
    baking.machine.bake(lambda: None)
    assert "check_failed" in baking.journal_kinds()


def test_threads_hand_over_readings_and_errors() -> None:
    answers: list[str | Exception] = ["one", LOST, ValueError("a fault of ours")]

    def read() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    readings: Readings[str] = Readings("words", read, SystemClock(), 0.0)
    taken: list[str | CloudError] = []

    def take_all() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            readings.ask()
            taken.extend(readings.take())
            time.sleep(0.001)

    with pytest.raises(ValueError, match="a fault of ours"):
        take_all()
    assert taken == ["one", LOST]


@pytest.mark.parametrize(("suspended_s", "counts_s"), [(1.0, 1.0), (60.0, LONGEST_LOOK_S)])
def test_time_in_which_the_run_was_suspended_is_not_watched(
    baking: Deployment, suspended_s: float, counts_s: float
) -> None:
    """Nobody looked, so the bake goes on for as long, and ends only when the release was watched for its whole time."""
    clock, seen = baking.cloud.clock, list[float]()

    def suspend() -> None:
        if not seen:
            seen.append(clock.elapsed)
            clock.sleep(suspended_s)

    began = clock.elapsed
    baking.machine.bake(after(baking, 10, suspend))
    baking.machine.complete()
    [end] = [one.data for one in baking.records() if one.kind == "outcome" and one.data["step"] == "bake"]
    assert LONG_S <= end["watched_s"] < LONG_S + 1
    assert clock.elapsed - began == pytest.approx(LONG_S + suspended_s - counts_s, abs=1)

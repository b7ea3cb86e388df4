"""A colour that had traffic is stopped only after every place has learned of the switch."""

from __future__ import annotations

import pytest

from deployment.model import Progress, Readiness
from deployment.phases import Phase
from deployment.recovery.retire import retire_previous
from deployment.recovery.undo import last_promotion
from tests.deployment.fakes import BLUE, GREEN, Killed
from tests.deployment.harness import LIMITS, Deployment

SETTLING_S = 300.0


@pytest.fixture
def slow(one: Deployment) -> Deployment:
    """A deployment whose router may send requests to the former colour for a while."""
    one.router.settling_s = SETTLING_S
    return one


def times(one: Deployment, call: str) -> list[float]:
    """Return a list that gets the time of each ``call``."""
    seen: list[float] = []
    one.cloud.hooks[call] = lambda: seen.append(one.cloud.clock.elapsed)
    return seen


def test_rolled_back_release_keeps_running_until_the_routes_have_settled(slow: Deployment) -> None:
    """Traffic does not wait for that."""
    moved, stopped = times(slow, "set"), times(slow, "retire")
    harmed: list[float] = []

    def harm() -> str:
        harmed.append(slow.cloud.clock.elapsed)
        return "users are harmed"

    assert slow.run(harm) is Phase.ROLLED_BACK
    assert moved[-1] == harmed[-1]
    assert SETTLING_S <= stopped[0] - moved[-1] < SETTLING_S + 10
    assert not slow.cloud.sides[GREEN].running


def test_release_rolled_back_by_hand_keeps_running_until_the_routes_have_settled(slow: Deployment) -> None:
    assert slow.run() is Phase.SUCCEEDED
    moved, stopped = times(slow, "set"), times(slow, "retire")
    assert slow.undo().phase is Phase.ROLLED_BACK
    assert SETTLING_S <= stopped[0] - moved[-1] < SETTLING_S + 10


def test_rejected_candidate_is_stopped_at_once(slow: Deployment) -> None:
    slow.platform.stuck = "crashed"
    assert slow.run() is Phase.REJECTED
    assert slow.cloud.clock.elapsed < 10
    assert not slow.cloud.sides[GREEN].running


@pytest.mark.parametrize("later_s", [0.0, 200.0, 400.0])
def test_previous_colour_is_retired_once_the_promotion_has_settled(slow: Deployment, later_s: float) -> None:
    assert slow.run() is Phase.SUCCEEDED
    slow.cloud.clock.elapsed += later_s
    began, stopped = slow.cloud.clock.elapsed, times(slow, "retire")
    retire_previous(last_promotion(slow.ports), "retire", slow.operation(), slow.journal, lambda _: None)
    assert not slow.cloud.sides[BLUE].running
    left_s = max(0.0, SETTLING_S - later_s)
    assert left_s - 1 <= stopped[0] - began < left_s + 10


def test_recovered_run_keeps_the_release_running_until_the_routes_have_settled(slow: Deployment) -> None:
    """The dead run's journal may be on another machine, so the time counts from the recovery on."""

    def die() -> None:
        slow.cloud.dead = True
        raise Killed("retire")

    slow.cloud.hooks["retire"] = die
    with pytest.raises(Killed):
        slow.run(lambda: "users are harmed")
    slow.mark_dead()
    began, stopped = slow.cloud.clock.elapsed, times(slow, "retire")
    slow.recover()
    assert stopped[0] - began >= SETTLING_S
    assert not slow.cloud.sides[GREEN].running


@pytest.mark.parametrize("why", ["it has requests", "the routes did not settle"])
def test_colour_that_is_not_drained_in_time_is_left_running(
    slow: Deployment, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "it has requests":
        detail = "RUNNING: green; it still serves: 5 requests in the last 120 s"
        monkeypatch.setattr(slow.platform, "retire", lambda _: None)
        monkeypatch.setattr(slow.platform, "stopped", lambda _: Progress(Readiness.NOT_YET, detail))
    else:
        detail = "green keeps running: requests may still be sent to it for"
        slow.router.settling_s = 2 * LIMITS.retire_timeout
    assert slow.run(lambda: "users are harmed") is Phase.ROLLED_BACK
    assert slow.cloud.sides[GREEN].running
    (failed,) = [record.data for record in slow.records() if record.kind == "retire_failed"]
    assert detail in failed["error"]

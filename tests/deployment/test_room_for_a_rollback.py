"""Before a colour is stopped after a rollback, the previous colour is as large as the traffic needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from deployment.errors import CloudDenied, CloudError, CloudUnreachable
from deployment.events import StepEnded
from deployment.flow.rollback import SHARE_FOR_SIZE
from deployment.model import Reason
from deployment.phases import Phase
from tests.deployment.fakes import BLUE, GREEN, Killed
from tests.deployment.harness import GATES, LIMITS, Deployment

LONGEST_S = LIMITS.retire_timeout * SHARE_FOR_SIZE


def grown_at(one: Deployment, call: str) -> list[tuple[float, int]]:
    """Return a list that gets the time of each ``call`` and the number of blue's healthy instances then."""
    seen: list[tuple[float, int]] = []
    one.cloud.hooks[call] = lambda: seen.append((one.cloud.clock.elapsed, one.cloud.sides[BLUE].healthy))
    return seen


def data_of(one: Deployment, kind: str) -> Mapping[str, Any]:
    """Return the data of the only line of that kind."""
    (line,) = [record.data for record in one.records() if record.kind == kind]
    return line


def detail_of(one: Deployment, step: str) -> str:
    """Return the result of the last step of that name."""
    return [event.detail for event in one.events if isinstance(event, StepEnded) and event.step == step][-1]


def large_green(one: Deployment, tasks: int = 15, growth: int = 1) -> Deployment:
    """Let green have grown to ``tasks`` while blue has shrunk to 2; with ``growth`` 0 blue cannot grow again."""
    green, blue = one.cloud.sides[GREEN], one.cloud.sides[BLUE]
    green.wanted = green.healthy = tasks
    blue.growth = growth
    return one


def harmful(one: Deployment, tasks: int = 15, growth: int = 1) -> Phase:
    """Promote a release that harms users and is rolled back, after it grew."""

    def harm() -> str:
        large_green(one, tasks, growth)
        return "users are harmed"

    return one.run(harm)


@pytest.mark.parametrize("tasks", [15, 3])
def test_large_colour_is_stopped_after_the_previous_one_has_grown(one: Deployment, tasks: int) -> None:
    moved, stopped = grown_at(one, "set"), grown_at(one, "retire")
    assert harmful(one, tasks) is Phase.ROLLED_BACK
    assert moved[-1][1] == 2, "traffic does not wait for instances"
    assert stopped[0][1] == tasks
    assert not one.cloud.sides[GREEN].running
    assert "undersized" not in one.journal_kinds()


def test_shrunken_colour_is_scaled_again(one: Deployment) -> None:
    """Autoscaling shrinks a colour whose instances have nothing to do yet."""
    shrinks = iter(range(3))

    def shrink() -> None:
        if next(shrinks, None) is not None:
            one.cloud.sides[BLUE].wanted = one.cloud.sides[BLUE].healthy = 2

    stopped = grown_at(one, "retire")
    one.cloud.hooks["scale"] = shrink
    harmful(one)
    assert stopped[0][1] == 15


def test_previous_colour_that_cannot_grow_delays_the_stop_and_is_reported(one: Deployment) -> None:
    moved, stopped = grown_at(one, "set"), grown_at(one, "retire")
    assert harmful(one, growth=0) is Phase.ROLLED_BACK
    assert LONGEST_S <= stopped[0][0] - moved[-1][0] < LONGEST_S + 10
    assert data_of(one, "undersized")["missing"] == "2 of 15 targets are registered and healthy"
    assert "blue may be too small for all traffic: 2 of 15" in detail_of(one, "retire")


def test_stop_does_not_wait_for_a_previous_colour_that_was_unhealthy_before(one: Deployment) -> None:
    """It may never be as large as the traffic needs."""
    one.cloud.sides[BLUE].fails_users = "GET /consults: status 500"
    moved, stopped = grown_at(one, "set"), grown_at(one, "retire")
    one.machine.lease(allow_unhealthy_live="1.1.0 mends it")
    one.machine.provision()
    one.machine.promote(GATES)
    large_green(one, growth=0)
    one.machine.abandon(Reason("bake", "users are harmed"))
    assert one.machine.phase is Phase.ROLLED_BACK
    assert stopped[0][0] - moved[-1][0] < LONGEST_S / 10
    assert "undersized" not in one.journal_kinds()


@pytest.mark.parametrize(
    ("error", "waits_s"),
    [(CloudUnreachable("no answer"), LONGEST_S), (CloudDenied("UpdateService: denied"), LONGEST_S)],
)
def test_failed_scaling_neither_prevents_nor_delays_a_rollback(
    one: Deployment, error: CloudError, waits_s: float
) -> None:
    moved, stopped = grown_at(one, "set"), grown_at(one, "retire")

    def harm() -> str:
        one.cloud.constant_errors["scale"] = error
        harmed.append(one.cloud.clock.elapsed)
        return "users are harmed"

    harmed: list[float] = []
    assert one.run(harm) is Phase.ROLLED_BACK
    assert moved[-1][0] == harmed[-1]
    assert waits_s <= stopped[0][0] - moved[-1][0] < waits_s + 10
    assert data_of(one, "undersized")["missing"] == error.message


def test_scaling_that_hangs_does_not_delay_a_rollback(one: Deployment) -> None:
    """The write of the routes comes although the platform's answer to the scaling never does."""
    moved, stopped = grown_at(one, "set"), grown_at(one, "retire")

    def harm() -> str:
        large_green(one)
        one.cloud.clock.begin = lambda _work: None
        return "users are harmed"

    assert one.run(harm) is Phase.ROLLED_BACK
    assert moved[-1][1] == 2
    assert stopped[0][1] == 15


def test_rejected_candidate_is_stopped_at_once(one: Deployment) -> None:
    """It had no traffic, so the live colour needs nothing."""
    one.cloud.sides[BLUE].unhealthy = "1 of 2 targets is healthy"
    one.platform.stuck = "crashed"
    assert one.run() is Phase.REJECTED
    assert "scale" not in one.cloud.names()
    assert one.cloud.clock.elapsed < LONGEST_S


def test_run_that_dies_while_the_colour_grows_is_recovered_with_room(one: Deployment) -> None:
    large: list[float] = []

    def die_while_it_grows() -> None:
        if one.cloud.routes.live is BLUE and one.cloud.sides[GREEN].wanted == 15 and not large:
            large.append(one.cloud.clock.elapsed)
            one.cloud.dead = True
            raise Killed("describe")

    one.cloud.hooks["stopped"] = die_while_it_grows
    with pytest.raises(Killed):
        harmful(one)
    one.mark_dead()
    stopped = grown_at(one, "retire")
    one.recover()
    assert stopped[0][1] == 15


def test_undo_waits_for_room_before_it_moves_traffic(one: Deployment) -> None:
    assert one.run() is Phase.SUCCEEDED
    moved = grown_at(large_green(one), "set")
    assert one.undo().phase is Phase.ROLLED_BACK
    assert moved[-1][1] == 15


def test_undo_to_a_colour_that_cannot_grow_moves_traffic_in_the_end(one: Deployment) -> None:
    assert one.run() is Phase.SUCCEEDED
    began = one.cloud.clock.elapsed
    moved = grown_at(large_green(one, growth=0), "set")
    assert one.undo().phase is Phase.ROLLED_BACK
    assert LIMITS.rollback_timeout <= moved[-1][0] - began < LIMITS.rollback_timeout + 10
    assert "took the traffic before it was large enough: 2 of 15" in detail_of(one, "rollback")


@pytest.mark.parametrize("problem", ["unhealthy", "denied"])
def test_undo_does_not_wait_in_vain(one: Deployment, problem: str) -> None:
    """If users are harmed, traffic comes first; without the right to scale a wait would end as it began."""
    assert one.run() is Phase.SUCCEEDED
    began = one.cloud.clock.elapsed
    moved = grown_at(large_green(one), "set")
    if problem == "unhealthy":
        one.cloud.sides[GREEN].fails_users = "GET /consults: status 500"
    else:
        one.cloud.constant_errors["scale"] = CloudDenied("UpdateService: denied")
    assert one.undo().phase is Phase.ROLLED_BACK
    assert moved[-1][0] - began < 2
    assert moved[-1][1] <= 4

"""A rollback waits for a previous colour that does not answer, until ``rollback_timeout``."""

from __future__ import annotations

import pytest

from deployment.model import Reason
from deployment.phases import Phase
from tests.deployment.fakes import BLUE, GREEN, Side
from tests.deployment.harness import GATES, LIMITS, Deployment

HARM = Reason("bake", "users see errors")
SILENT = "the previous colour blue cannot take the traffic back (3 of 3 requests to it failed, the last: {})"
A_PAUSE_S = 5.0
FAULTS = [
    ({"error": "status 503"}, 1.0),
    ({"error": "status 429"}, 20.0),
    ({"running": False}, 120.0),
    ({"version": "0.9.0"}, 250.0),
]


def promoted(one: Deployment) -> Deployment:
    one.to_verified()
    one.machine.promote(GATES)
    return one


def breaks(one: Deployment, fault: dict[str, object], seconds: float | None = None) -> Side:
    """Let blue have this fault, for ``seconds`` or for good; return its side."""
    blue = one.cloud.sides[BLUE]
    well = {name: getattr(blue, name) for name in fault}
    until = None if seconds is None else one.cloud.clock.elapsed + seconds

    def assert_answers() -> None:
        assert until is not None, "traffic must not go to a colour that does not answer"
        assert one.cloud.clock.elapsed >= until, "traffic must not go to a colour that does not answer"

    def repair() -> None:
        if until is not None and one.cloud.clock.elapsed >= until:
            put(blue, well)

    put(blue, fault)
    one.cloud.hooks |= {"set": assert_answers, "ask": repair}
    return blue


def put(side: Side, values: dict[str, object]) -> None:
    for name, value in values.items():
        setattr(side, name, value)


@pytest.mark.parametrize(("fault", "seconds"), FAULTS)
def test_automatic_rollback_waits_for_the_previous_colour(
    one: Deployment, fault: dict[str, object], seconds: float
) -> None:
    """Both colours may need the same database; traffic goes back as soon as the previous colour answers."""
    promoted(one)
    one.cloud.sides[GREEN].error = "status 500"
    began = one.cloud.clock.elapsed
    breaks(one, fault, seconds)
    one.machine.abandon(HARM)
    one.machine.let_go()
    assert (one.machine.phase, one.machine.reason) == (Phase.ROLLED_BACK, HARM)
    assert one.cloud.routes.weights == {BLUE: 100, GREEN: 0}
    assert seconds <= one.cloud.clock.elapsed - began <= seconds + A_PAUSE_S + 1
    assert not one.cloud.sides[GREEN].running


@pytest.mark.parametrize(("fault", "seconds"), FAULTS[1:3])
def test_recover_waits_for_the_previous_colour(one: Deployment, fault: dict[str, object], seconds: float) -> None:
    promoted(one).mark_dead()
    breaks(one, fault, seconds)
    assert one.recover() is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE
    assert one.lease.holder is None


@pytest.mark.parametrize(
    ("fault", "last"), [({"error": "status 503"}, "status 503"), ({"running": False}, "connection refused")]
)
def test_rollback_halts_after_the_whole_timeout(one: Deployment, fault: dict[str, object], last: str) -> None:
    """The wait is never longer than ``rollback_timeout``, in the run and in each ``recover``, which tries again."""
    promoted(one)
    blue, began = breaks(one, fault), one.cloud.clock.elapsed
    one.machine.abandon(HARM)
    one.machine.let_go()
    assert one.machine.phase is Phase.HALTED
    assert one.cloud.routes.live is GREEN
    assert one.cloud.sides[GREEN].running
    waited = f"{SILENT.format(last)}; traffic was not moved (waited 300 s, the limit is 300 s)"
    assert str(one.machine.reason) == f"rollback: {waited}; the rollback was started because of {HARM}"
    assert one.cloud.clock.elapsed - began == pytest.approx(LIMITS.rollback_timeout)
    one.mark_dead()
    assert one.recover() is Phase.HALTED
    assert one.cloud.clock.elapsed - began == pytest.approx(2 * LIMITS.rollback_timeout)
    one.mark_dead()
    put(blue, {"error": None, "running": True})
    one.cloud.hooks.clear()
    assert one.recover() is Phase.ROLLED_BACK


def test_rollback_that_lost_its_lease_meanwhile_moves_nothing(one: Deployment) -> None:
    promoted(one)
    breaks(one, {"running": False}, 30.0)
    del one.cloud.hooks["set"]
    one.cloud.hooks["sleep"] = lambda: setattr(one.lease, "holder", None)
    one.machine.abandon(HARM)
    assert one.machine.phase is Phase.HALTED
    assert "this holder does not have the lease" in str(one.machine.reason)
    assert one.cloud.routes.live is GREEN


@pytest.mark.parametrize(("fault", "seconds"), FAULTS[:2])
def test_undo_from_an_unhealthy_live_colour_waits_as_well(
    one: Deployment, fault: dict[str, object], seconds: float
) -> None:
    assert one.run() is Phase.SUCCEEDED
    one.cloud.sides[GREEN].error = "status 500"
    breaks(one, fault, seconds)
    assert one.undo().phase is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE


def test_undo_from_an_unhealthy_live_colour_ends_after_the_timeout(one: Deployment) -> None:
    assert one.run() is Phase.SUCCEEDED
    one.cloud.sides[GREEN].fails_users = "GET /consults: status 500"
    breaks(one, {"error": "status 503"})
    undo = one.undo()
    assert undo.phase is Phase.REJECTED
    assert str(undo.reason).startswith(f"rollback: {SILENT.format('status 503')}; traffic was not moved")
    assert one.cloud.routes.live is GREEN
    assert one.promotion() is not None
    assert one.lease.holder is None


def test_undo_from_a_healthy_live_colour_does_not_wait(one: Deployment) -> None:
    assert one.run() is Phase.SUCCEEDED
    began = one.cloud.clock.elapsed
    breaks(one, {"error": "status 503"}, 1.0)
    assert one.undo().phase is Phase.REJECTED
    assert one.cloud.clock.elapsed == began
    assert one.cloud.routes.live is GREEN

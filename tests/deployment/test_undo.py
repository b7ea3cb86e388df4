"""Undoing the last promotion."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deployment.errors import CloudUnreachable, LeaseHeld, Refused, SwitchFailed
from deployment.flow.lease import this_process
from deployment.phases import Phase
from deployment.recovery.undo import last_promotion
from tests.deployment.fakes import BLUE, GREEN
from tests.deployment.harness import LIMITS, Deployment


@pytest.fixture
def done(one: Deployment) -> Deployment:
    """A deployment that has promoted green."""
    assert one.run() is Phase.SUCCEEDED
    return one


def test_undo_moves_traffic_verifies_it_and_stops_the_release(done: Deployment) -> None:
    assert done.undo().phase is Phase.ROLLED_BACK
    assert done.cloud.routes.live is BLUE
    assert not done.cloud.sides[GREEN].running
    assert done.lease.holder is None
    assert set(done.lease.kept) == {"head", "checks", "checks_of", "live_since"}


def test_second_undo_is_refused(done: Deployment) -> None:
    done.undo()
    routes = done.cloud.routes
    with pytest.raises(Refused, match="no promotion can be undone"):
        done.undo()
    assert done.cloud.routes == routes


@pytest.mark.parametrize(
    ("sick", "words"),
    [
        ({"running": False}, "previous colour blue cannot take the traffic back"),
        ({"error": "status 503"}, "previous colour blue cannot take the traffic back"),
        ({"version": "0.9.0"}, "previous colour blue cannot take the traffic back"),
        (
            {"fails_users": "GET /consults: status 500"},
            "the previous colour blue is not (GET /consults: status 500); traffic was not moved",
        ),
    ],
)
def test_undo_to_an_unhealthy_colour_moves_nothing(done: Deployment, sick: dict[str, object], words: str) -> None:
    for name, value in sick.items():
        setattr(done.cloud.sides[BLUE], name, value)
    routes = done.cloud.routes
    undo = done.undo()
    assert undo.phase is Phase.REJECTED
    assert words in str(undo.reason)
    assert done.cloud.routes == routes
    assert done.cloud.sides[GREEN].running
    assert done.lease.holder is None
    assert done.promotion() is not None, "the undo can be tried again"


def test_undo_from_an_unhealthy_live_colour_accepts_a_colour_that_answers(done: Deployment) -> None:
    """The undo halts for a person, because nothing shows that the move helped."""
    done.cloud.sides[GREEN].error = "status 500"
    done.cloud.sides[BLUE].fails_users = "GET /consults: status 500"
    undo = done.undo()
    assert undo.phase is Phase.HALTED
    assert done.cloud.routes.live is BLUE
    assert "traffic is back on blue, but GET /consults: status 500" in str(undo.reason)


def test_undo_during_a_deployment_is_refused(one: Deployment) -> None:
    one.to_verified()
    with pytest.raises(Refused, match="is under way"):
        last_promotion(one.ports)


def test_undo_after_a_half_done_deployment_is_refused(one: Deployment) -> None:
    one.to_verified()
    one.mark_dead()
    with pytest.raises(Refused, match="was interrupted") as caught:
        last_promotion(one.ports)
    assert "recover" in (caught.value.hint or "")


def test_undo_of_a_promotion_that_is_not_live_is_refused(done: Deployment) -> None:
    done.cloud.move(BLUE, 9)
    with pytest.raises(Refused, match="is not live any more"):
        done.undo()


def test_undo_while_another_run_holds_the_lease_is_refused(done: Deployment) -> None:
    done.lease.acquire(this_process("two", "jane", done.cloud.clock, LIMITS, "deploy"))
    with pytest.raises(LeaseHeld):
        done.undo()
    assert done.cloud.routes.live is GREEN


@pytest.mark.parametrize("change", ["undone", "deployed"])
def test_change_before_the_lock_is_acquired_is_refused(done: Deployment, change: str) -> None:
    def move_traffic() -> None:
        done.cloud.hooks.clear()
        done.cloud.move(BLUE, 9)
        if change == "undone":
            del done.lease.kept["promotion"]

    done.cloud.hooks["acquire"] = move_traffic
    with pytest.raises(Refused):
        done.undo()
    assert done.lease.holder is None
    assert done.cloud.sides[GREEN].running


def breaks_after(call: str, error: Exception) -> Callable[[Deployment], None]:
    def arrange(one: Deployment) -> None:
        one.cloud.hooks["set"] = lambda: one.cloud.constant_errors.__setitem__(call, error)

    return arrange


def test_unverified_undo_halts(done: Deployment) -> None:
    done.cloud.hooks["set"] = lambda: setattr(done.cloud.sides[BLUE], "error", "status 500")
    undo = done.undo()
    assert undo.phase is Phase.HALTED
    assert done.cloud.routes.live is BLUE
    assert done.cloud.sides[GREEN].running, "nothing is stopped before the move is verified"
    assert "deployment" in done.lease.kept


def test_unknown_routes_halt(done: Deployment) -> None:
    breaks_after("observe", SwitchFailed("unreadable"))(done)
    assert done.undo().phase is Phase.HALTED


def test_verified_undo_counts_even_if_its_note_cannot_be_closed(done: Deployment) -> None:
    breaks_after("release", CloudUnreachable("no answer"))(done)
    assert done.undo().phase is Phase.ROLLED_BACK

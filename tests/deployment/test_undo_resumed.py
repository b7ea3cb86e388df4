"""A rollback by hand whose process died: ``recover`` moves no traffic from a healthy colour to one that fails its users."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from deployment.errors import CloudUnreachable, RouteConflict
from deployment.phases import Phase
from tests.deployment.fakes import BLUE, GREEN, Killed
from tests.deployment.harness import Deployment
from tests.deployment.test_machine_interruptions import MOMENTS, UNDONE, assert_safe, killed, undone

FAILS_USERS: dict[str, object] = {"fails_users": "GET /consults: status 500"}
FAULTS: list[dict[str, object]] = [FAILS_USERS, {"error": "status 503"}, {"running": False}]
WORSE = (
    "the live colour is healthy, but the previous colour blue is not (GET /consults: status 500); traffic was not moved"
)


def put(one: Deployment, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        setattr(one.cloud.sides[BLUE], name, value)


def number_of(call: str, occurrence: int = 0) -> int:
    """Return the number of a call of an undo without faults, counted among the calls of that name."""
    with tempfile.TemporaryDirectory() as folder:
        one = Deployment(Path(folder))
        undone(one)
        names = one.cloud.names()
        return [number for number in UNDONE if names[number] == call][occurrence]


def dead_undo(one: Deployment, call: str, moment: str, fault: Mapping[str, object]) -> None:
    """Kill an undo at its first call of that name, and let blue have the fault from then on."""
    killed(one, undone, number_of(call), moment)
    put(one, fault)


def assert_stays(one: Deployment) -> None:
    """Assert that green has its traffic, the lock is free, and the promotion can be undone once blue is repaired."""
    assert_safe(one)
    assert one.cloud.routes.weights == {GREEN: 100, BLUE: 0}
    assert one.cloud.sides[GREEN].running
    assert one.lease.holder is None
    assert "deployment" not in one.lease.kept
    assert one.recover() is None
    put(one, {"fails_users": None, "error": None, "running": True})
    assert one.undo().phase is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", UNDONE)
def test_kill_during_undo_then_recover_to_a_colour_that_fails_its_users(
    one: Deployment, number: int, moment: str
) -> None:
    killed(one, undone, number, moment)
    put(one, FAILS_USERS)
    begun, moved = "deployment" in one.lease.kept, one.cloud.routes.live is BLUE
    phase = one.recover()
    if moved:  # green may be stopped already, so traffic is not moved again
        assert phase in (None, Phase.ROLLED_BACK, Phase.HALTED)
        assert one.cloud.routes.live is BLUE
    else:
        assert phase is (Phase.REJECTED if begun else None)
        if begun:
            assert_stays(one)


@pytest.mark.parametrize("fault", FAULTS)
def test_undo_that_died_before_its_first_check_is_rejected(one: Deployment, fault: Mapping[str, object]) -> None:
    dead_undo(one, "ask", "before", fault)
    began = one.cloud.clock.elapsed
    assert one.recover() is Phase.REJECTED
    assert one.cloud.clock.elapsed - began < 5, "the live colour is healthy, so there is nothing to wait for"
    assert_stays(one)


def test_report_of_a_rejected_undo(one: Deployment, tmp_path: Path) -> None:
    """Also from a fresh clone, the report says that the promotion stands."""
    dead_undo(one, "ask", "before", FAILS_USERS)
    elsewhere = tmp_path / "fresh clone"
    assert one.recover(elsewhere) is Phase.REJECTED
    folder = elsewhere / "undo"
    report = json.loads((folder / "verification.json").read_text(encoding="utf-8"))
    assert (report["verdict"], report["recovered"], report["exit_code"]) == ("rejected", True, None)
    assert (report["target"], report["version"]) == ("blue", "1.0.0")
    assert report["reason"] == f"rollback: the run died in phase ROLLING_BACK; {WORSE}"
    data = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    assert data["sentence"].startswith("NOT ROLLED BACK: the promotion one stands")


def test_late_write_of_the_dead_undo_has_no_effect(one: Deployment) -> None:
    """The dead process sent its write of the routes, and the router carries it out only after ``recover``."""
    seen = []
    one.cloud.hooks["set"] = lambda: seen.append(one.cloud.routes)
    dead_undo(one, "set", "before", FAILS_USERS)
    assert one.recover() is Phase.REJECTED
    with pytest.raises(RouteConflict):
        one.router.set(seen[1], {BLUE: 100, GREEN: 0}, {}, 10**6)
    one.cloud.hooks.clear()
    assert_stays(one)


@pytest.mark.parametrize("lost", [2, 300])
def test_route_that_cannot_be_kept_for_certain_is_tried_again(one: Deployment, lost: int) -> None:
    """If a late write may still arrive after ``rollback_timeout``, a person must act; ``recover`` tries it again."""
    dead_undo(one, "ask", "before", FAILS_USERS)
    one.cloud.next_errors["set"] = [CloudUnreachable("throttled")] * lost
    phase = one.recover()
    assert phase is (Phase.REJECTED if lost == 2 else Phase.HALTED)
    if phase is Phase.HALTED:
        assert "traffic must stay on green, but a write may still move it; last: throttled" in one_reason(one)
        one.cloud.next_errors.clear()
        one.mark_dead()
        assert one.recover() is Phase.REJECTED
    assert_stays(one)


def one_reason(one: Deployment) -> str:
    return str(json.loads((one.reports / "undo" / "verification.json").read_text(encoding="utf-8"))["reason"])


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("after", range(0, 40, 3))
def test_kill_of_the_recovery_then_recover(one: Deployment, after: int, moment: str) -> None:
    dead_undo(one, "ask", "before", FAILS_USERS)
    one.cloud.trap = (len(one.cloud.calls) + after, moment, Killed)
    try:
        first = one.recover()
    except Killed:
        one.mark_dead()
        first = one.recover()
    one.cloud.trap = None
    assert first in (Phase.REJECTED, None)
    if first is None:  # the record was closed before the death, and the lease expires by itself
        one.expire_lease()
        one.lease.holder = None
    assert_stays(one)


@pytest.mark.parametrize("green", [{"error": "status 500"}, {"fails_users": "GET /consults: status 500"}])
def test_undo_from_an_unhealthy_live_colour_is_finished(one: Deployment, green: dict[str, object]) -> None:
    dead_undo(one, "ask", "before", {"error": "status 503"})
    for name, value in green.items():
        setattr(one.cloud.sides[GREEN], name, value)
    repaired = one.cloud.clock.elapsed + 60
    one.cloud.hooks["ask"] = lambda: put(one, {"error": None}) if one.cloud.clock.elapsed >= repaired else None
    assert one.recover() is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE


@pytest.mark.parametrize("note", [0, 1])
def test_lost_answer_to_a_note_of_the_undo(one: Deployment, note: int) -> None:
    """The first note begins the undo: without its answer nothing is moved. The second one does not matter."""
    one.cloud.trap = (number_of("note", note), "after", CloudUnreachable)
    one.forward()
    undo = one.undo()
    assert undo.phase is (Phase.REJECTED if note == 0 else Phase.ROLLED_BACK)
    assert one.lease.holder is None
    assert "deployment" not in one.lease.kept
    if note == 0:
        assert_stays(one)

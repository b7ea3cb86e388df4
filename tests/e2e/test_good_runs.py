"""The main job as a newcomer types it: forth, back, undone, verified, and nothing left behind."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployment.evidence.verdict import LIVE, ORDER
from tests.e2e import images, killing
from tests.e2e.bookings import Bookings
from tests.e2e.canaries import assert_kept, command_lines
from tests.e2e.conftest import open_desk
from tests.e2e.desk import Desk, Ran
from tests.e2e.user import User

STEPS = ["lease", "provision", "verify", "promote", "live", "bake"]
ALL_GATES = [*ORDER, "bystander", "continuity", "rehearsal", LIVE]


def _assert_promoted(ran: Ran, target: str) -> None:
    assert ran.code == 0, ran.output
    facts = ran.facts
    assert (facts["verdict"], facts["reason"], facts["target"]) == ("promoted", None, target)
    assert (facts["exit_code"], facts["recovered"], facts["partial"], facts["live_harmed"]) == (0, False, False, False)
    assert [gate["name"] for gate in facts["gates"]] == ALL_GATES
    for gate in facts["gates"]:
        assert (gate["outcome"], gate["failed"]) == ("passed", 0), gate
        assert gate["checks"] > 0, gate
    assert ran.steps == STEPS
    assert facts["promotion"]["failed"] == 0
    assert facts["promotion"]["requests"] > 0
    assert facts["rollback"] is None
    assert (ran.intents("provision"), ran.intents("promote"), ran.intents("rollback")) == (1, 1, 0)


def _assert_refused(ran: Ran, words: str) -> None:
    assert ran.code == 4, ran.output
    assert words in ran.output
    assert (ran.facts["verdict"], ran.facts["exit_code"], ran.facts["steps"]) == ("refused", 4, [])
    assert words in ran.facts["reason"]
    assert {gate["outcome"] for gate in ran.facts["gates"]} == {"not_run"}


def test_forth_and_back_and_undone(good_registry: Path, user_of: Callable[[Desk], User], hasty: Path) -> None:
    """One day of an environment, from `up` to `down`, under a user who never saw a request fail."""
    with open_desk(good_registry) as desk:
        assert desk.script("up").code == 0
        again = desk.script("up")
        assert again.code == 0
        assert "already up" in again.output
        ports = desk.ports()
        with user_of(desk) as user:
            with command_lines() as shown:
                promoted = desk.pytest("--target=green", "-s", "-vv", "-rA", "--log-cli-level=DEBUG")
            _assert_promoted(promoted, "green")
            desk.assert_live("green", images.NEW)
            _assert_refused(desk.pytest("--target=green"), "green is live")
            _assert_promoted(desk.wait(killing.deploy(desk, hasty, "--target=auto", "-n", "2")), "blue")
            desk.assert_live("blue", images.NEW)
            _undo(desk)
            assert any("-m locust" in line for line in shown), "the load's process was seen, too"
            assert_kept(desk, {"the terminal": promoted.output, "ps": "\n".join(shown)})
        assert user.seen.failures == []
        print(f"{user.seen.requests} requests, {user.seen.writes} of them writes")
        down = desk.script("down")
        assert down.code == 0
        assert desk.running() == {}
        for port in ports:
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0, f"port {port} still answers"
        assert "nothing was up" in desk.script("down").output


def _undo(desk: Desk) -> None:
    """`rollback` once, and not twice; what users wrote meanwhile is still theirs."""
    bookings = Bookings(desk)
    booked = bookings.book(notes="before the rollback")
    ran = desk.undo("rollback")
    assert ran.code == 0, ran.output
    assert (ran.facts["verdict"], ran.facts["exit_code"]) == ("rolled_back", 0)
    assert ran.facts["rollback"]["failed"] == 0
    assert ran.folder is not None
    assert "ROLLED BACK: the promotion" in (ran.folder / "report.html").read_text(encoding="utf-8")
    desk.assert_live("green", images.NEW)
    bookings.assert_kept(booked)
    bookings.close()
    second = desk.undo("rollback")
    assert second.code == 4, second.output
    assert "no promotion to undo" in second.output


@pytest.mark.soak
def test_verified_alone(up_desk: Desk) -> None:
    """Verification without a deployment: all of it, a part, and an address."""
    desk = up_desk
    before = desk.status()
    whole = desk.pytest()
    assert whole.code == 0, whole.output
    assert (whole.facts["verdict"], whole.facts["partial"], whole.facts["steps"]) == ("verified", False, [])
    outcomes = {gate["name"]: gate["outcome"] for gate in whole.facts["gates"]}
    assert outcomes.pop("load") == "not_run"
    assert set(outcomes.values()) == {"passed"}
    part = desk.pytest("-k", "health")
    assert part.code == 0, part.output
    assert (part.facts["verdict"], part.facts["partial"]) == ("verified", True)
    address = desk.pytest("suites/health", "-n", "2", f"--base-url={before['idle']['url'] or before['live']['url']}")
    assert address.code == 0, address.output
    nobody = desk.pytest("suites/health/test_health.py::test_is_not_degraded", "--base-url=http://127.0.0.1:1")
    assert nobody.code == 1, nobody.output
    assert nobody.facts["verdict"] == "failed"
    assert nobody.facts["reason"].startswith("health: ")
    assert desk.status() == before


@pytest.fixture
def private(good_registry: Path) -> Iterator[Desk]:
    """A desk where nothing is up."""
    with open_desk(good_registry) as desk:
        yield desk


@pytest.mark.soak
def test_an_environment_for_one_run(private: Desk) -> None:
    """With none up, a run starts one for itself, and leaves nothing of it: also where it is refused or called off."""
    plan = private.pytest("--target=auto", "--plan")
    assert plan.code == 0, plan.output
    assert "telehealth-api:1.1.0" in plan.output
    assert "test_is_the_expected_version" in plan.output
    unknown = private.pytest("--target=auto", "--plan", "--image-tag=9.9.9")
    assert unknown.code == 4, unknown.output
    assert "9.9.9" in unknown.output
    assert not private.state.exists()
    assert not private.reports.exists()
    _assert_promoted(private.pytest("--environment=quick", "--target=green", "-n", "4"), "green")
    assert private.running() == {}
    assert private.script("status", "--json").code == 1
    _assert_refused(private.pytest("--target=blue"), "blue is live")
    _assert_refused(private.pytest("--target=green", "--image-tag=9.9.9"), "9.9.9")
    assert private.running() == {}

"""The usual commands with a good release: promote, promote back, roll back, verify; no process is left."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployment.evidence.verdict import LIVE, ORDER
from tests.e2e import images, killing
from tests.e2e.bookings import Bookings
from tests.e2e.canaries import assert_no_secrets, command_lines
from tests.e2e.conftest import open_sandbox
from tests.e2e.sandbox import CommandResult, Sandbox
from tests.e2e.user import User

STEPS = ["lease", "provision", "verify", "promote", "live", "bake"]
ALL_GATES = [*ORDER, "bystander", "continuity", "rehearsal", LIVE]


def assert_promoted(ran: CommandResult, target: str) -> None:
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


def assert_refused(ran: CommandResult, words: str) -> None:
    assert ran.code == 4, ran.output
    assert words in ran.output
    assert (ran.facts["verdict"], ran.facts["exit_code"], ran.facts["steps"]) == ("refused", 4, [])
    assert words in ran.facts["reason"]
    assert {gate["outcome"] for gate in ran.facts["gates"]} == {"not_run"}


# tests/e2e/test_on_ecs.py plays the same in `make test`, and README.md's commands deploy to App Runner there.
@pytest.mark.soak
def test_promote_and_roll_back(good_registry: Path, user_of: Callable[[Sandbox], User], fast_settings: Path) -> None:
    """From `up` to `down`: a promotion and a rollback, without a failed request of a user."""
    with open_sandbox(good_registry) as sandbox:
        assert sandbox.script("up").code == 0
        ports = sandbox.ports()
        with user_of(sandbox) as user:
            with command_lines() as shown:
                noisy = ("-s", "-vv", "-rA", "--log-cli-level=DEBUG")
                promoted = sandbox.wait(killing.deploy(sandbox, fast_settings, *noisy))
            assert_promoted(promoted, "green")
            sandbox.assert_live("green", images.NEW)
            assert_refused(sandbox.pytest("--target=green"), "green is live")
            undo(sandbox, "blue", images.OLD)
            assert any("-m locust" in line for line in shown), "the load's command line must be among those seen"
            assert_no_secrets(sandbox, {"the terminal": promoted.output, "ps": "\n".join(shown)})
        assert user.seen.failures == []
        print(f"{user.seen.requests} requests, {user.seen.writes} of them writes")
        assert_down(sandbox, ports)


@pytest.mark.soak
def test_promote_twice_and_roll_back(
    good_registry: Path, user_of: Callable[[Sandbox], User], fast_settings: Path
) -> None:
    """As shipped, then back to the first colour with workers, then a rollback; no request of a user fails."""
    with open_sandbox(good_registry) as sandbox:
        assert sandbox.script("up").code == 0
        again = sandbox.script("up")
        assert again.code == 0
        assert "already up" in again.output
        ports = sandbox.ports()
        with user_of(sandbox) as user:
            assert_promoted(sandbox.pytest("--target=green"), "green")
            sandbox.assert_live("green", images.NEW)
            assert_promoted(sandbox.wait(killing.deploy(sandbox, fast_settings, "--target=auto", "-n", "2")), "blue")
            sandbox.assert_live("blue", images.NEW)
            undo(sandbox, "green", images.NEW)
        assert user.seen.failures == []
        assert_down(sandbox, ports)


def assert_down(sandbox: Sandbox, ports: list[int]) -> None:
    """Run `down`: no process is left and no port answers; a second `down` has nothing to stop."""
    down = sandbox.script("down")
    assert down.code == 0
    assert sandbox.running() == {}
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, f"port {port} still answers"
    assert "no embedded environment was up" in sandbox.script("down").output


def undo(sandbox: Sandbox, colour: str, version: str) -> None:
    """Roll back to this colour; a second `rollback` is refused. A consult that a user booked before is still there."""
    bookings = Bookings(sandbox)
    booked = bookings.book(notes="before the rollback")
    ran = sandbox.undo("rollback")
    assert ran.code == 0, ran.output
    assert (ran.facts["verdict"], ran.facts["exit_code"]) == ("rolled_back", 0)
    assert ran.facts["rollback"]["failed"] == 0
    assert ran.folder is not None
    assert "ROLLED BACK: the promotion" in (ran.folder / "report.html").read_text(encoding="utf-8")
    sandbox.assert_live(colour, version)
    bookings.assert_kept(booked)
    bookings.close()
    second = sandbox.undo("rollback")
    assert second.code == 4, second.output
    assert "no promotion can be undone" in second.output


@pytest.mark.soak
def test_verification_without_a_deployment(up_sandbox: Sandbox) -> None:
    """Verification without a deployment: of everything, of a part, and of an address."""
    sandbox = up_sandbox
    before = sandbox.status()
    whole = sandbox.pytest()
    assert whole.code == 0, whole.output
    assert (whole.facts["verdict"], whole.facts["partial"], whole.facts["steps"]) == ("verified", False, [])
    outcomes = {gate["name"]: gate["outcome"] for gate in whole.facts["gates"]}
    assert outcomes.pop("load") == "not_run"
    assert set(outcomes.values()) == {"passed"}
    part = sandbox.pytest("-k", "health")
    assert part.code == 0, part.output
    assert (part.facts["verdict"], part.facts["partial"]) == ("verified", True)
    address = sandbox.pytest("suites/health", "-n", "2", f"--base-url={before['idle']['url'] or before['live']['url']}")
    assert address.code == 0, address.output
    unreachable = sandbox.pytest(
        "suites/service.yaml::health::answers as described on a kept connection", "--base-url=http://127.0.0.1:1"
    )
    assert unreachable.code == 1, unreachable.output
    assert unreachable.facts["verdict"] == "failed"
    assert unreachable.facts["reason"].startswith("health: ")
    assert sandbox.status() == before


@pytest.fixture
def private_sandbox(good_registry: Path) -> Iterator[Sandbox]:
    """Yield a sandbox without an environment."""
    with open_sandbox(good_registry) as sandbox:
        yield sandbox


@pytest.mark.soak
def test_run_starts_its_own_environment(private_sandbox: Sandbox) -> None:
    """If no environment is up, a run starts its own and removes it afterwards, also if the run is refused."""
    plan = private_sandbox.pytest("--target=auto", "--plan")
    assert plan.code == 0, plan.output
    assert "telehealth-api:1.1.0" in plan.output
    assert "is the expected version" in plan.output
    unknown = private_sandbox.pytest("--target=auto", "--plan", "--image-tag=9.9.9")
    assert unknown.code == 4, unknown.output
    assert "9.9.9" in unknown.output
    assert not private_sandbox.state.exists()
    assert not private_sandbox.reports.exists()
    assert_promoted(private_sandbox.pytest("--environment=quick", "--target=green", "-n", "4"), "green")
    assert private_sandbox.running() == {}
    assert private_sandbox.script("status", "--json").code == 1
    assert_refused(private_sandbox.pytest("--target=blue"), "blue is live")
    assert_refused(private_sandbox.pytest("--target=green", "--image-tag=9.9.9"), "9.9.9")
    assert private_sandbox.running() == {}

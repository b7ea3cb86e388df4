"""`rollback --redeploy` deploys the previous release again if, and only if, a later run has used up the way back."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from deployment.access import Access, Duty
from deployment.errors import LeaseHeld, NotPermitted, Refused
from deployment.evidence.journal import Journal
from deployment.flow.lease import this_process
from deployment.model import Caller
from deployment.plan import LOST_WAY_BACK
from deployment.recovery.retire import retire_previous
from deployment.recovery.undo import last_promotion
from deployment.settings import Settings
from infrastructure.compose import Environment
from scripts import deploy
from scripts.commands import rollback
from tests.checkout import CHECKOUT
from tests.deployment.fakes import BLUE, NEW, OLD, FakeRegistry
from tests.deployment.harness import ACTOR, LIMITS, Deployment
from tests.deployment.test_way_back import attempt
from verification.journeys.accounts import SmokeUser

SETTINGS = Settings("test", LIMITS, {}, {"provider": "embedded"}, project=CHECKOUT)
USERS = (SmokeUser("one@smoke.example", "password"),)


@pytest.fixture
def done(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment that has promoted green."""
    made = Deployment(tmp_path)
    made.run()
    yield made
    made.stop_keeper()


def environment(one: Deployment, registry: FakeRegistry) -> Environment:
    caller = Caller("arn:aws:iam::123456789012:user/tester", "123456789012")
    return Environment("test", "http://live.example", one.ports, registry, caller, USERS, ())


def test_previous_release_is_deployed_again_by_its_tag(done: Deployment) -> None:
    attempt(done, "two")
    world = environment(done, FakeRegistry(OLD, NEW))
    assert rollback.release_to_redeploy(SETTINGS, world, None) == (OLD.tag, "blue")
    with pytest.raises(Refused) as caught:
        rollback.rollback(SETTINGS, world, done.reports)
    hint = caught.value.hint or ""
    assert f"`python scripts/deploy.py deploy --image-tag {OLD.tag} --target blue --environment test`" in hint
    assert "`python scripts/deploy.py rollback --redeploy --environment test`" in hint


def test_release_that_retire_has_stopped_is_deployed_again(done: Deployment) -> None:
    journal = Journal(done.reports / "retire" / "audit.jsonl", ACTOR, done.cloud.clock)
    retire_previous(last_promotion(done.ports), "retire-1", done.operation(), journal, done.events.append)
    world = environment(done, FakeRegistry(OLD, NEW))
    with pytest.raises(Refused, match=r"the previous release 1\.0\.0 on blue was stopped by run retire-1"):
        rollback.rollback(SETTINGS, world, done.reports)
    assert rollback.release_to_redeploy(SETTINGS, world, None) == (OLD.tag, "blue")


def test_release_that_is_live_again_is_not_deployed_again(done: Deployment) -> None:
    """Another writer has moved traffic to blue since."""
    attempt(done, "two")
    done.cloud.move(BLUE, 9)
    world = environment(done, FakeRegistry(OLD, NEW))
    for refused in (
        lambda: rollback.release_to_redeploy(SETTINGS, world, None),
        lambda: rollback.rollback(SETTINGS, world, done.reports),
    ):
        with pytest.raises(Refused, match=r"no promotion can be undone; blue is live$"):
            refused()


@pytest.mark.parametrize(
    ("arguments", "waits"), [([], "0"), (["--wait-for-lock", "90"], "90"), (["--wait-for-lock", "0.5"], "0.5")]
)
def test_command_deploys_the_previous_release_with_every_gate(
    done: Deployment, monkeypatch: pytest.MonkeyPatch, arguments: list[str], waits: str
) -> None:
    """It deploys by tag to the previous colour, and ends with the deployment's exit code."""
    attempt(done, "two")
    started: list[tuple[Sequence[str], Sequence[str]]] = []

    def deployed(command: Sequence[str], options: Sequence[str]) -> int:
        started.append((command, options))
        return 10

    monkeypatch.setattr(deploy, "_settings", lambda *_: SETTINGS)
    monkeypatch.setattr(deploy, "_connect", lambda *_: environment(done, FakeRegistry(OLD, NEW)))
    monkeypatch.setattr(deploy, "_deploy", deployed)
    given = ["rollback", "--redeploy", "--reports", str(done.reports), *arguments]
    assert CliRunner().invoke(deploy.cli, given).exit_code == 10
    command = [sys.executable, "-m", "pytest", "--target=blue", f"--image-tag={OLD.tag}", "--environment=test"]
    assert started == [(command, [f"--reports={done.reports}", f"--wait-for-lock={waits}"])]


def test_irreversible_release_needs_its_reason_here_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Deployment(tmp_path, image=replace(NEW, irreversible=True))
    one.run()
    attempt(one, "two")
    targets: list[str] = []

    def deployed(command: Sequence[str], _: Sequence[str]) -> int:
        targets.append(command[3])
        return 0

    monkeypatch.setattr(deploy, "_settings", lambda *_: SETTINGS)
    monkeypatch.setattr(deploy, "_connect", lambda *_: environment(one, FakeRegistry(OLD, NEW)))
    monkeypatch.setattr(deploy, "_deploy", deployed)
    given = ["rollback", "--redeploy", "--reports", str(one.reports)]
    refused = CliRunner().invoke(deploy.cli, given).exception
    assert isinstance(refused, Refused)
    assert "irreversible" in refused.message
    assert "--allow-irreversible REASON" in (refused.hint or "")
    assert targets == []
    assert CliRunner().invoke(deploy.cli, [*given, "--allow-irreversible", "1.0.0 reads it"]).exit_code == 0
    assert targets == ["--target=blue"]


@pytest.mark.parametrize("doing", ["deploy 1.2.0", "rollback"])
def test_nothing_is_deployed_again_while_a_living_process_holds_the_lock(done: Deployment, doing: str) -> None:
    attempt(done, "two")
    done.ports.lease.acquire(this_process("three", ACTOR, done.ports.clock, LIMITS, doing))
    with pytest.raises(LeaseHeld, match="deployment three of"):
        rollback.release_to_redeploy(SETTINGS, environment(done, FakeRegistry(OLD, NEW)), None)


@pytest.mark.parametrize("listed", [(), ("arn:aws:iam::123456789012:user/other",)])
def test_caller_who_may_not_roll_back_deploys_nothing_again(done: Deployment, listed: tuple[str, ...]) -> None:
    attempt(done, "two")
    world = environment(done, FakeRegistry(OLD, NEW))
    settings = replace(SETTINGS, access=Access({Duty.ROLLBACK: listed}, {Duty.ROLLBACK: "access.rollback"}))
    with pytest.raises(NotPermitted, match=r"may not rollback: it is not on the list access\.rollback"):
        rollback.release_to_redeploy(settings, world, None)
    allowed = replace(SETTINGS, access=Access({Duty.ROLLBACK: (*listed, world.caller.arn)}))
    assert rollback.release_to_redeploy(allowed, world, None) == (OLD.tag, "blue")


def test_redeploy_is_refused_while_a_rollback_is_possible(done: Deployment) -> None:
    """A rollback takes seconds; a deployment takes minutes."""
    with pytest.raises(Refused, match=r"blue still has 1.0.0: nothing has to be deployed again"):
        rollback.release_to_redeploy(SETTINGS, environment(done, FakeRegistry(OLD, NEW)), None)


def test_image_that_the_registry_has_lost_is_named(done: Deployment) -> None:
    attempt(done, "two")
    world = environment(done, FakeRegistry(NEW))
    with pytest.raises(Refused, match="the registry does not have"):
        rollback.release_to_redeploy(SETTINGS, world, None)
    with pytest.raises(Refused, match="overwritten by run two") as caught:
        rollback.rollback(SETTINGS, world, done.reports)
    assert "the registry does not have" in (caught.value.hint or "")


def test_redeploy_waits_for_the_lock(done: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt(done, "two")
    clock, sleep = done.cloud.clock, done.cloud.clock.sleep
    holder = done.ports.lease.acquire(this_process("three", ACTOR, clock, LIMITS, "deploy 1.2.0"))

    def ends(seconds: float) -> None:
        sleep(seconds)
        done.ports.lease.release(holder)

    monkeypatch.setattr(clock, "sleep", ends)
    world = environment(done, FakeRegistry(OLD, NEW))
    assert rollback.release_to_redeploy(SETTINGS, world, None, wait_for_lock=60) == (OLD.tag, "blue")


def test_previous_release_without_a_known_image_is_not_deployed_again(done: Deployment) -> None:
    """It had been deployed by another tool, for example."""
    attempt(done, "two")
    notes = done.ports.lease.notes()
    lost = json.loads(notes[LOST_WAY_BACK])
    promotion = json.loads(lost["promotion"])
    promotion["previous"]["digest"] = None
    lost["promotion"] = json.dumps(promotion)
    holder = done.ports.lease.acquire(this_process("three", ACTOR, done.ports.clock, LIMITS, "a test"))
    done.ports.lease.note(holder, {LOST_WAY_BACK: json.dumps(lost)})
    done.ports.lease.release(holder)
    with pytest.raises(Refused, match="it is not known which image the previous release had"):
        rollback.release_to_redeploy(SETTINGS, environment(done, FakeRegistry(OLD, NEW)), None)

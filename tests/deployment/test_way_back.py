"""The way back to the previous release: what uses it up, and what ``status`` says about it and about the live release."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployment.access import Access, Duty
from deployment.errors import CloudError, LeaseHeld, Refused
from deployment.evidence.journal import Journal
from deployment.flow.lease import this_process
from deployment.flow.machine import Machine
from deployment.model import Caller, Colour, Reason
from deployment.phases import Phase
from deployment.plan import LIVE_SINCE, LOST_WAY_BACK, Plan
from deployment.recovery.status import describe
from deployment.recovery.undo import Asker, last_promotion, lost_way_back, undoable
from scripts.commands import console
from tests.deployment.fakes import BLUE, GREEN, NEW, OLD, FakeRegistry
from tests.deployment.harness import ACTOR, GATES, Deployment

WORSE = replace(NEW, tag="1.2.0", digest="sha256:" + "c" * 64, version="1.2.0")


@pytest.fixture
def done(one: Deployment) -> Deployment:
    """A deployment that has promoted green."""
    assert one.run() is Phase.SUCCEEDED
    return one


def attempt(one: Deployment, name: str, *, promote: bool = False, target: Colour = BLUE) -> Machine:
    """Deploy WORSE to the idle colour; it is rejected, or promoted and rolled back."""
    clock = one.cloud.clock
    plan = Plan(name, "test", target, WORSE, ACTOR, clock.now())
    journal = Journal(one.reports / name / "audit.jsonl", ACTOR, clock)
    machine = Machine(plan, one.limits, one.ports, journal, one.events.append)
    machine.lease()
    machine.provision()
    if promote:
        machine.promote(GATES)
    machine.abandon(Reason("health", "it is worse"))
    machine.let_go()
    return machine


def status(one: Deployment) -> dict[str, Any]:
    return describe("test", "http://live.example", one.ports, FakeRegistry(OLD, NEW, WORSE))


def test_a_release_without_a_version_is_named_by_its_digest(done: Deployment) -> None:
    """The description of its service says ``version: none``."""
    promotion = last_promotion(done.ports)
    nameless = replace(promotion.previous, version=None)
    assert nameless.release == OLD.digest
    assert replace(nameless, digest=None).release == "of unknown version"
    assert promotion.previous.release == OLD.version


@pytest.mark.parametrize("promote", [False, True])
def test_failed_attempt_uses_up_the_way_back_and_is_named(done: Deployment, promote: bool) -> None:
    """The issue's input, and an attempt that was promoted and rolled back."""
    assert attempt(done, "two", promote=promote).phase is (Phase.ROLLED_BACK if promote else Phase.REJECTED)
    words = (
        "no promotion can be undone; green is live, and the previous release 1.0.0 on blue was overwritten by run two"
    )
    with pytest.raises(Refused, match=words) as caught:
        last_promotion(done.ports)
    assert "rollback --redeploy" in (caught.value.hint or "")
    with pytest.raises(Refused, match="overwritten") as caught:
        last_promotion(done.ports, lambda lost: f"deploy {lost.promotion.previous.digest}")
    assert caught.value.hint == f"deploy {OLD.digest}"


def test_first_of_two_attempts_is_the_one_that_overwrote_it(done: Deployment) -> None:
    attempt(done, "two")
    attempt(done, "three")
    lost = lost_way_back(done.ports)
    assert lost is not None
    assert (lost.lost_by, lost.how, lost.promotion.deployment_id) == ("two", "overwritten", "one")


def test_new_promotion_has_a_way_back_of_its_own(done: Deployment) -> None:
    attempt(done, "two")
    machine = Machine(
        Plan("three", "test", BLUE, WORSE, ACTOR, done.cloud.clock.now()),
        done.limits,
        done.ports,
        Journal(done.reports / "three" / "audit.jsonl", ACTOR, done.cloud.clock),
        done.events.append,
    )
    machine.lease()
    machine.provision()
    machine.promote(GATES)
    machine.bake(lambda: None)
    machine.complete()
    machine.let_go()
    assert lost_way_back(done.ports) is None
    assert LOST_WAY_BACK not in done.lease.kept
    assert last_promotion(done.ports).deployment_id == "three"


def test_attempt_before_any_promotion_loses_no_way_back(one: Deployment) -> None:
    attempt(one, "two", target=GREEN)
    assert lost_way_back(one.ports) is None
    with pytest.raises(Refused, match=r"no promotion can be undone; blue is live$"):
        last_promotion(one.ports)


def test_status_names_the_rollback_and_since_when_the_release_is_live(done: Deployment) -> None:
    found = status(done)
    assert found["rollback"] == {
        "possible": True,
        "colour": "blue",
        "image": OLD.name,
        "version": "1.0.0",
        "undoes": "one",
        "reason": None,
    }
    since = found["live_since"]
    assert (since["by"], since["how"], since["deployment_id"]) == (ACTOR, "promotion", "one")
    assert found["live_domain"] == {"ok": True, "colour": "green", "version": "1.1.0", "problem": None}


def test_status_says_that_the_live_domain_fails(done: Deployment) -> None:
    """The issue's input: the colour runs, and the live domain answers 500."""
    done.cloud.sides[GREEN].error = "status 500"
    assert status(done)["live_domain"] == {"ok": False, "colour": "green", "version": None, "problem": "status 500"}


@pytest.mark.parametrize("problem", ["status 500", "status 503", "connection refused"])
def test_text_of_status_says_that_the_live_domain_fails(done: Deployment, problem: str) -> None:
    """The issue's input, and two other failures. The colour runs, so that only this line shows the harm."""
    done.cloud.sides[GREEN].error = problem
    shown = console.status(status(done), [])
    assert f"\nanswers      FAILING now: {problem}\n" in shown
    assert "ok now" not in shown


def test_live_domain_without_any_answer_is_not_ok(done: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(done.front, "ask", lambda *_: [])
    found = status(done)
    assert found["live_domain"] == {"ok": False, "colour": None, "version": None, "problem": "no answer"}
    assert "\nanswers      FAILING now: no answer\n" in console.status(found, [])
    assert not found["rollback"]["possible"]


@pytest.mark.parametrize("undone", [False, True])
def test_text_of_status_says_since_when_and_by_whom_the_release_is_live(done: Deployment, undone: bool) -> None:
    how, colour = "promotion one", "blue, telehealth-api:1.0.0, and undo one"
    if undone:
        done.undo()
        how = "rollback undo"
    found = status(done)
    shown = console.status(found, [])
    assert f"\nlive since   {found['live_since']['at']}, {how} by {ACTOR}\n" in shown
    assert (f"\nrollback     would send traffic to {colour}\n" in shown) is not undone


def test_release_is_live_since_the_automatic_rollback_to_it(one: Deployment) -> None:
    assert one.run(lambda: "harm") is Phase.ROLLED_BACK
    since = status(one)["live_since"]
    assert (since["how"], since["deployment_id"], since["by"]) == ("rollback", "one", ACTOR)


@pytest.mark.parametrize("problem", ["status 500", "connection refused"])
def test_status_promises_no_rollback_to_a_colour_that_fails(done: Deployment, problem: str) -> None:
    done.cloud.sides[BLUE].error = problem
    found = status(done)["rollback"]
    assert (found["possible"], found["reason"]) == (False, f"blue cannot take the traffic back: {problem}")


def test_status_promises_no_rollback_to_a_colour_that_runs_another_release(done: Deployment) -> None:
    done.cloud.sides[BLUE].image = WORSE
    found = status(done)["rollback"]
    assert (found["possible"], found["reason"]) == (False, f"blue is RUNNING on {WORSE.digest}")


def test_status_names_the_option_that_an_irreversible_release_needs(tmp_path: Path) -> None:
    made = Deployment(tmp_path / "reports", image=replace(NEW, irreversible=True))
    assert made.run() is Phase.SUCCEEDED
    found = status(made)["rollback"]
    assert not found["possible"]
    assert "irreversible: --allow-irreversible REASON is needed" in found["reason"]


def test_status_says_why_nothing_can_be_rolled_back(done: Deployment) -> None:
    done.cloud.sides[BLUE].running = False
    found = status(done)["rollback"]
    assert (found["possible"], found["version"]) == (False, "1.0.0")
    assert found["reason"].startswith("blue is ")
    attempt(done, "two")
    found = status(done)["rollback"]
    assert (found["possible"], found["colour"]) == (False, None)
    assert "was overwritten by run two" in found["reason"]


def test_status_after_a_rollback(done: Deployment) -> None:
    """The previous release is live again since the rollback, and there is nothing more to undo."""
    done.undo()
    found = status(done)
    assert (found["live_since"]["how"], found["live_since"]["deployment_id"]) == ("rollback", "undo")
    assert (found["rollback"]["possible"], found["rollback"]["reason"]) == (
        False,
        "no promotion can be undone; blue is live",
    )


def test_status_claims_nothing_about_a_release_that_another_writer_made_live(done: Deployment) -> None:
    done.cloud.move(BLUE, 9)
    found = status(done)
    assert found["live_since"] is None
    assert "is not live any more" in found["rollback"]["reason"]


def test_status_claims_nothing_about_a_release_that_another_tool_put_on_the_live_colour(done: Deployment) -> None:
    done.cloud.sides[GREEN].image = WORSE
    found = status(done)
    assert (found["live_domain"]["version"], found["live_since"]) == ("1.2.0", None)
    assert "\nlive since   unknown: " in console.status(found, [])


def test_status_promises_no_rollback_to_a_colour_that_fails_its_dependencies(done: Deployment) -> None:
    """Its health check is fine; `rollback` would refuse."""
    done.cloud.sides[BLUE].fails_users = "GET /health/database: status 500"
    found = status(done)["rollback"]
    assert not found["possible"]
    assert "the previous colour blue is not (GET /health/database: status 500)" in found["reason"]


def test_version_of_a_release_makes_no_line_of_its_own_in_status(done: Deployment) -> None:
    done.cloud.sides[GREEN].version = "1.1.0 by green\nlock         free\x1b[41m"
    text = console.status(status(done), [])
    assert "version 1.1.0 by green\\nlock         free\\x1b[41m" in text
    assert "\x1b" not in text
    assert sum(line.startswith("lock ") for line in text.splitlines()) == 1


def test_status_during_a_deployment_waits_for_no_lock(one: Deployment) -> None:
    one.to_verified()
    found = status(one)
    assert found["deployment"]["id"] == "one"
    assert "deployment one of tester holds the lock" in found["rollback"]["reason"].replace(ACTOR, "tester")


@pytest.mark.parametrize("doing", ["deploy 1.2.0", "rollback"])
def test_status_promises_no_rollback_while_a_living_process_holds_the_lock(done: Deployment, doing: str) -> None:
    holder = done.ports.lease.acquire(this_process("two", ACTOR, done.ports.clock, done.limits, doing))
    with pytest.raises(LeaseHeld) as refused:
        undoable(done.ports)
    found = status(done)
    assert (found["rollback"]["possible"], found["rollback"]["reason"]) == (False, refused.value.message)
    assert f"doing: {doing}" in found["rollback"]["reason"]
    assert f"rollback     not possible now: deployment two of {ACTOR} holds the lock" in console.status(found, [])
    done.ports.lease.release(holder)
    assert status(done)["rollback"]["possible"]


@pytest.mark.parametrize("text", ["[" * 3_000_000, "{}", "[]", '{"target": "red"}', "x"])
def test_spoiled_notes_end_in_errors_that_name_them(done: Deployment, text: str) -> None:
    notes = done.lease.kept
    notes |= dict.fromkeys(("promotion", LIVE_SINCE), text)
    with pytest.raises(CloudError, match="the note promotion beside the lock cannot be read"):
        last_promotion(done.ports)
    found = status(done)
    assert found["live_since"] is None
    assert found["rollback"]["reason"].startswith("the note promotion beside the lock cannot be read")
    notes["deployment"] = text
    with pytest.raises(CloudError, match="the note deployment beside the lock cannot be read"):
        status(done)


def test_a_spoiled_note_about_the_last_promotion_stops_no_deployment(done: Deployment) -> None:
    done.lease.kept["promotion"] = "{}"
    assert attempt(done, "two").phase is Phase.REJECTED
    assert lost_way_back(done.ports) is None


@pytest.mark.parametrize("listed", [(), ("arn:aws:iam::123456789012:user/other",)])
def test_status_promises_no_rollback_to_a_caller_who_may_not(done: Deployment, listed: tuple[str, ...]) -> None:
    caller = Caller("arn:aws:iam::123456789012:user/tester", "123456789012")
    access = Access({Duty.ROLLBACK: listed}, {Duty.ROLLBACK: "access.rollback"})
    found = describe("test", "http://live.example", done.ports, FakeRegistry(OLD, NEW), Asker(access, caller))[
        "rollback"
    ]
    assert not found["possible"]
    assert found["reason"].startswith(f"{caller.arn} may not rollback: it is not on the list access.rollback")
    allowed = Asker(Access({Duty.ROLLBACK: (*listed, caller.arn)}), caller)
    assert describe("test", "http://live.example", done.ports, FakeRegistry(OLD, NEW), allowed)["rollback"]["possible"]

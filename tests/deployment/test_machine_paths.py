"""Each path through a deployment and its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployment.errors import (
    CloudDenied,
    CloudUnreachable,
    DeploymentError,
    LeaseHeld,
    LeaseLost,
    RouteConflict,
    StepFailed,
    SwitchFailed,
    TargetIsLive,
)
from deployment.events import StepBegan
from deployment.flow.lease import this_process
from deployment.model import Answer, Reason
from deployment.phases import Phase
from tests.deployment.fakes import BLUE, GREEN, NEW, OLD
from tests.deployment.harness import GATES, LIMITS, Deployment

GOOD = [
    ">lease",
    "LEASED",
    "+lease",
    "PROVISIONING",
    ">provision",
    "+provision",
    "VERIFYING",
    ">verify",
    "+verify",
    "PROMOTING",
    ">promote",
    "+promote",
    "BAKING",
    ">live",
    "+live",
    ">bake",
    "+bake",
    "SUCCEEDED",
]


def test_good_path_takes_each_step_once(one: Deployment) -> None:
    assert one.run() is Phase.SUCCEEDED
    assert one.step_log() == GOOD
    assert (one.cloud.routes.live, one.cloud.routes.generation) == (GREEN, 8)
    assert one.lease.holder is None
    assert "deployment" not in one.lease.kept
    promotion = one.promotion()
    assert promotion is not None
    assert (promotion.target, promotion.generation, promotion.previous.version) == (GREEN, 8, "1.0.0")
    assert one.cloud.sides[BLUE].running, "the previous colour keeps running"
    assert [name for name in one.cloud.names() if name in ("provision", "set", "retire")] == ["provision", "set"]


@pytest.mark.parametrize(("call", "kind"), [("provision", ">provision"), ("set", ">promote")])
def test_intent_is_journalled_before_each_change(one: Deployment, call: str, kind: str) -> None:
    one.run()
    length = next(length for name, length in one.cloud.calls if name == call)
    before = [f">{record.data['step']}" for record in one.records()[:length] if record.kind == "intent"]
    assert before[-1] == kind


def test_live_target_is_refused_and_nothing_touched(one: Deployment) -> None:
    one.cloud.move(GREEN, 0)
    one.cloud.sides[GREEN] = replace(one.cloud.sides[BLUE])
    with pytest.raises(TargetIsLive):
        one.machine.lease()
    one.machine.abandon(Reason.parse("refused: live"), refused=True)
    one.machine.let_go()
    assert one.machine.phase is Phase.REFUSED
    assert one.lease.holder is None
    assert not {"provision", "set", "retire"} & set(one.cloud.names())


def test_held_lease_is_refused(one: Deployment) -> None:
    other = this_process("another", "jane", one.cloud.clock, LIMITS, "deploy")
    one.lease.acquire(other)
    with pytest.raises(LeaseHeld, match="jane"):
        one.machine.lease()
    one.machine.abandon(Reason.parse("refused: held"), refused=True)
    one.machine.let_go()
    assert one.machine.phase is Phase.REFUSED
    assert one.lease.holder is not None
    assert one.lease.holder.deployment_id == "another"


def test_unhealthy_live_colour_rejects(one: Deployment) -> None:
    one.cloud.sides[BLUE].error = "status 503"
    assert one.run() is Phase.REJECTED
    assert "already unhealthy" in str(one.machine.reason)
    assert "retire" not in one.cloud.names()


def test_live_colour_without_a_version_rejects(one: Deployment) -> None:
    one.front.script = [Answer(False, problem="reset")] * 3
    assert one.run() is Phase.REJECTED
    assert "provision" not in one.cloud.names()


def test_version_of_the_live_colour_is_asked_again_after_a_lost_answer(one: Deployment) -> None:
    one.front.script = [Answer(False, problem="reset")]
    assert one.machine.lease().version == "1.0.0"


def test_stuck_release_is_rejected_stopped_and_its_logs_kept(one: Deployment) -> None:
    one.platform.stuck = "the container exited with 1"
    assert one.run() is Phase.REJECTED
    assert one.step_log()[-4:] == ["-provision", "REJECTED", ">retire", "+retire"]
    assert not one.cloud.sides[GREEN].running
    logs = next(record for record in one.records() if record.kind == "logs")
    assert logs.data["lines"] == ["green said goodbye"]
    assert "set" not in one.cloud.names()


def test_release_that_never_starts_is_rejected_at_the_timeout(one: Deployment) -> None:
    one.cloud.hooks["progress"] = lambda: setattr(one.cloud.sides[GREEN], "polls", 0)
    assert one.run() is Phase.REJECTED
    assert LIMITS.provision_timeout <= one.cloud.clock.elapsed < LIMITS.provision_timeout + 10


@pytest.mark.parametrize("gates", [[], [replace(GATES[0], outcome=GATES[0].outcome.__class__.NOT_RUN)]])
def test_promotion_without_passed_gates_raises(one: Deployment, gates: list[object]) -> None:
    one.to_verified()
    with pytest.raises(AssertionError):
        one.machine.promote(gates)  # type: ignore[arg-type]  # the parameters have wrong contents on purpose
    assert "set" not in one.cloud.names()


def test_digest_is_read_again_before_the_switch(one: Deployment) -> None:
    one.to_verified()
    one.cloud.sides[GREEN].image = replace(NEW, digest="sha256:other")
    with pytest.raises(StepFailed, match="was verified"):
        one.machine.promote(GATES)
    one.machine.abandon(Reason.parse("verify: changed"))
    one.machine.let_go()
    assert one.machine.phase is Phase.REJECTED
    assert one.cloud.routes.live is BLUE


@pytest.mark.parametrize("gone", ["stopped", "redeployed"])
def test_no_promotion_without_a_rollback_target(one: Deployment, gone: str) -> None:
    one.to_verified()
    if gone == "stopped":
        one.cloud.sides[BLUE].running = False
    else:
        one.cloud.sides[BLUE].image = NEW
    with pytest.raises(StepFailed, match="a rollback would be impossible"):
        one.machine.promote(GATES)
    assert "set" not in one.cloud.names()


def test_unhealthy_candidate_is_found_before_the_switch(one: Deployment) -> None:
    one.to_verified()
    one.cloud.sides[GREEN].version = "9.9.9"
    with pytest.raises(StepFailed, match=r"9\.9\.9"):
        one.machine.promote(GATES)


@pytest.mark.parametrize("error", [RouteConflict("conflict"), CloudDenied("UpdateKeys: AccessDenied")])
def test_refused_write_rejects(one: Deployment, error: Exception) -> None:
    one.cloud.next_errors["set"] = [error]
    assert one.run() is Phase.REJECTED
    assert one.cloud.names().count("set") == 1
    assert one.cloud.routes.live is BLUE
    assert not one.cloud.sides[GREEN].running


def test_routes_changed_by_another_writer_reject(one: Deployment) -> None:
    one.to_verified()
    one.cloud.move(BLUE, 0)
    with pytest.raises(RouteConflict):
        one.machine.promote(GATES)
    one.machine.abandon(Reason.parse("promote: conflict"))
    one.machine.let_go()
    assert one.machine.phase is Phase.REJECTED


def test_unanswered_write_is_outdated_before_the_candidate_stops(one: Deployment) -> None:
    one.cloud.next_errors["set"] = [SwitchFailed("no usable answer")]
    stale = one.cloud.routes
    assert one.run() is Phase.REJECTED
    assert one.cloud.routes.generation == 8
    with pytest.raises((RouteConflict, LeaseLost)):
        one.router.set(stale, {GREEN: 100, BLUE: 0}, {}, 1)
    names = one.cloud.names()
    assert names.index("retire") > [i for i, name in enumerate(names) if name == "set"][1]


def test_switch_that_cannot_be_read_back_is_rolled_back(one: Deployment) -> None:
    one.cloud.hooks["set"] = lambda: one.cloud.next_errors.__setitem__("observe", [CloudUnreachable("no answer")])
    one.to_verified()
    with pytest.raises(SwitchFailed, match="cannot be read"):
        one.machine.promote(GATES)
    del one.cloud.hooks["set"]
    one.machine.abandon(Reason.parse("promote: unread"))
    one.machine.let_go()
    assert one.machine.phase is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE


def test_confirmation_tolerates_answers_of_the_old_colour(one: Deployment) -> None:
    one.to_verified()
    one.front.script = [Answer(True, "blue", 7, "1.0.0")] * 12 + [Answer(False, "blue", 7, None, "503")] * 12
    one.machine.promote(GATES)
    assert one.machine.phase is Phase.BAKING


def test_errors_of_the_promoted_colour_roll_back(one: Deployment) -> None:
    one.cloud.hooks["set"] = lambda: setattr(one.cloud.sides[GREEN], "error", "status 500")
    assert one.run() is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE
    assert one.step_log()[-6:] == ["ROLLING_BACK", ">rollback", "+rollback", "ROLLED_BACK", ">retire", "+retire"]
    assert one.cloud.clock.elapsed < 10


def test_harm_during_the_bake_rolls_back(one: Deployment) -> None:
    assert one.run(lambda: "3 of 100 requests failed") is Phase.ROLLED_BACK
    assert one.promotion() is None
    assert one.lease.holder is None


def test_harm_is_checked_even_if_the_bake_time_is_over(one: Deployment) -> None:
    one.to_verified()
    one.machine.promote(GATES)
    one.cloud.clock.elapsed += 100
    with pytest.raises(StepFailed, match="late harm"):
        one.machine.bake(lambda: "late harm")


def test_routes_moved_by_hand_end_the_bake(one: Deployment) -> None:
    one.to_verified()
    one.machine.promote(GATES)
    one.cloud.move(BLUE, one.cloud.routes.fence)
    with pytest.raises(RouteConflict):
        one.machine.bake(lambda: None)
    one.machine.abandon(Reason.parse("bake: by hand"))
    one.machine.let_go()
    assert one.machine.phase is Phase.ROLLED_BACK


def promoted(one: Deployment) -> None:
    one.to_verified()
    one.machine.promote(GATES)


def test_stopped_previous_colour_halts_and_leaves_traffic(one: Deployment) -> None:
    promoted(one)
    one.cloud.sides[BLUE].running = False
    one.machine.abandon(Reason.parse("bake: harm"))
    one.machine.let_go()
    assert one.machine.phase is Phase.HALTED
    assert one.cloud.routes.live is GREEN
    assert one.cloud.sides[GREEN].running
    assert "deployment" in one.lease.kept, "the note keeps other deployments out"


@pytest.mark.parametrize("halted", [False, True])
def test_reason_has_what_the_watch_saw_of_the_previous_colour(one: Deployment, halted: bool) -> None:
    promoted(one)
    one.cloud.sides[BLUE].running = not halted
    asked: list[str] = []

    def beside() -> str:
        asked.append(one.cloud.routes.live)
        return "both colours failed"

    one.machine.abandon(Reason.parse("bake: harm"), beside=beside)
    one.machine.let_go()
    assert asked == [GREEN if halted else BLUE], "asked once, after the traffic was moved or could not be"
    reason = str(one.machine.reason)
    assert reason.endswith("bake: harm; both colours failed")
    assert [record.data["reason"] for record in one.records() if record.kind == "phase"][-1] == reason


def test_error_while_the_reason_is_completed_changes_no_verdict(one: Deployment) -> None:
    promoted(one)

    def beside() -> str:
        raise ValueError("no samples")

    one.machine.abandon(Reason.parse("bake: harm"), beside=beside)
    one.machine.let_go()
    assert (one.machine.phase, str(one.machine.reason)) == (Phase.ROLLED_BACK, "bake: harm")
    assert [record.data["error"] for record in one.records() if record.kind == "check_failed"] == ["no samples"]


def test_rollback_retries_until_its_deadline(one: Deployment) -> None:
    promoted(one)
    one.cloud.constant_errors["set"] = CloudUnreachable("AWS does not answer")
    before = one.cloud.clock.elapsed
    one.machine.abandon(Reason.parse("bake: harm"))
    one.machine.let_go()
    took = one.cloud.clock.elapsed - before
    assert one.machine.phase is Phase.HALTED
    assert took == pytest.approx(300, abs=10)
    assert "AWS does not answer" in str(one.machine.reason)


def test_rollback_retries_after_aws_errors(one: Deployment) -> None:
    promoted(one)
    one.cloud.next_errors["set"] = [CloudUnreachable("no answer")] * 20
    one.machine.abandon(Reason.parse("bake: harm"))
    one.machine.let_go()
    assert one.machine.phase is Phase.ROLLED_BACK


def test_rollback_tolerates_late_errors_of_the_candidate(one: Deployment) -> None:
    promoted(one)
    one.front.script = [Answer(False, None, None, None, "502")] * 30
    one.machine.abandon(Reason.parse("bake: harm"))
    one.machine.let_go()
    assert one.machine.phase is Phase.ROLLED_BACK


def lose_lease(one: Deployment) -> None:
    """Let another deployment take the lease over."""
    one.lease.holder = None
    one.lease.acquire(this_process("another", "jane", one.cloud.clock, LIMITS, "deploy"))


@pytest.mark.parametrize("at", ["describe", "provision", "progress", "examine", "ask", "set"])
def test_without_the_lease_nothing_is_switched_or_stopped(one: Deployment, at: str) -> None:
    def lost() -> None:
        one.cloud.hooks.clear()
        lose_lease(one)
        one.cloud.move(BLUE, 2)

    one.cloud.hooks[at] = lost
    end = one.run()
    assert end in (Phase.REJECTED, Phase.ROLLED_BACK)
    assert one.cloud.routes.live is BLUE
    assert one.cloud.routes.fence == 2
    assert "retire" not in one.cloud.names()
    assert one.lease.holder is not None
    assert one.lease.holder.deployment_id == "another"


def test_without_the_lease_the_candidate_is_not_scaled(one: Deployment) -> None:
    def lost() -> None:
        one.cloud.hooks.clear()
        lose_lease(one)

    one.to_verified()
    one.cloud.hooks["describe"] = lost
    with pytest.raises(LeaseLost):
        one.machine.promote(GATES)
    assert "scale" not in one.cloud.names()
    assert one.cloud.routes.live is BLUE


def test_run_without_its_lease_after_the_bake_halts(one: Deployment) -> None:
    promoted(one)
    one.machine.bake(lambda: None)
    lose_lease(one)
    one.machine.complete()
    one.machine.let_go()
    assert one.machine.phase is Phase.HALTED
    assert one.cloud.names().count("set") == 1


def test_failed_retirement_keeps_verdict_and_logs(one: Deployment) -> None:
    one.platform.stuck = "crashed"
    one.cloud.constant_errors["retire"] = CloudUnreachable("no answer")
    assert one.run() is Phase.REJECTED
    assert {"retire_failed", "logs"} <= set(one.journal_kinds())
    assert one.lease.holder is None


def test_second_abandon_changes_nothing(one: Deployment) -> None:
    one.run(lambda: "harm")
    step_log, routes = one.step_log(), one.cloud.routes
    one.machine.abandon(Reason.parse("verify: again"))
    one.machine.let_go()
    assert (one.step_log(), one.cloud.routes) == (step_log, routes)
    assert one.machine.phase is Phase.ROLLED_BACK


def test_listener_error_is_journalled_and_ignored(one: Deployment) -> None:
    def listener(event: object) -> None:
        if isinstance(event, StepBegan):
            raise DeploymentError("the listener failed")

    one.machine.steps._listener = listener
    assert one.run() is Phase.SUCCEEDED
    assert "listener_failed" in one.journal_kinds()


def test_lease_step_returns_a_snapshot_of_the_live_colour(one: Deployment) -> None:
    live_snapshot = one.machine.lease()
    assert (live_snapshot.colour, live_snapshot.digest, live_snapshot.generation) == (BLUE, OLD.digest, 7)

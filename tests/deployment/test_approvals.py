"""Approval by another principal: for this evidence, once, in time; and the end of a run that waits for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployment.access import Access, Duty
from deployment.errors import CloudUnreachable, DeadlinePassed, LeaseLost, NotPermitted, Refused, StepFailed
from deployment.flow.approval import Approval, record_approval, wait_for_approval
from deployment.flow.lease import open_deployment
from deployment.model import Caller, Reason
from deployment.phases import Phase
from tests.deployment.fakes import GREEN, NEW, Killed, Side
from tests.deployment.harness import ACTOR, GATES, LIMITS, Deployment

EVIDENCE = "e" * 64
OTHER = Caller("arn:aws:iam::123456789012:role/manager", "123456789012")
LIST = Access({Duty.APPROVE: (OTHER.arn,)}, {Duty.APPROVE: "environments.e.access.approve"})


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Deployment]:
    """A verified deployment with ten minutes for an approval."""
    deployment = Deployment(tmp_path / "reports", replace(LIMITS, approval_timeout=600))
    deployment.to_verified()
    yield deployment
    deployment.stop_keeper()


def call_after(one: Deployment, seconds: float, act: Callable[[], None]) -> None:
    """Call ``act`` once, at the first read of the notes after so many seconds."""
    due = one.cloud.clock.elapsed + seconds

    def hook() -> None:
        if one.cloud.clock.elapsed >= due:
            del one.cloud.hooks["notes"]
            act()

    one.cloud.hooks["notes"] = hook


def write_approval(one: Deployment, **changed: str) -> None:
    """Write an approval beside the lease without the checks of ``record_approval``."""
    right = Approval("one", NEW.digest, EVIDENCE, OTHER.arn, one.cloud.clock.now().isoformat())
    one.lease.kept["approval"] = replace(right, **changed).dump()


def wait(one: Deployment, access: Access | None = None, harm: Callable[[], str | None] = lambda: None) -> Approval:
    return wait_for_approval(one.machine, EVIDENCE, access or Access(), harm)


def refusals(one: Deployment) -> list[str]:
    return [record.data["reason"] for record in one.records() if record.kind == "approval_refused"]


def test_approval_lets_the_run_promote(one: Deployment) -> None:
    """The phase, digest and evidence are published; the approval is used up; then the run continues."""
    seen: list[Phase] = []

    def approve() -> None:
        found = open_deployment(one.ports)
        assert found is not None
        seen.append(found.record.phase)
        approval = record_approval(one.ports, LIST, OTHER, "one", "looked at it")
        assert (approval.digest, approval.evidence) == (NEW.digest, EVIDENCE)

    call_after(one, 30, approve)
    given = wait(one, LIST)
    assert (given.by, given.reason, seen) == (OTHER.arn, "looked at it", [Phase.AWAITING_APPROVAL])
    assert "approval" not in one.lease.kept
    one.machine.promote(GATES)
    one.machine.bake(lambda: None)
    one.machine.complete()
    assert one.machine.phase is Phase.SUCCEEDED
    step_log = one.step_log()
    assert step_log[step_log.index("+verify") :][:3] == ["+verify", "AWAITING_APPROVAL", "PROMOTING"]
    approved = [record.data for record in one.records() if record.kind == "approved"]
    assert [(line["by"], line["evidence"]) for line in approved] == [(OTHER.arn, EVIDENCE)]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"deployment_id": "another"}, "for deployment another"),
        ({"digest": "sha256:0"}, "it is for sha256:0"),
        ({"evidence": "f" * 64}, "evidence of another verification"),
        ({"by": ACTOR}, "is the deployer"),
        ({"by": "arn:aws:iam::123456789012:user/guest"}, "not on the list environments.e.access.approve"),
    ],
)
def test_wrong_approval_is_journalled_and_the_wait_continues(
    one: Deployment, changed: dict[str, str], reason: str
) -> None:
    call_after(one, 10, lambda: write_approval(one, **changed))
    with pytest.raises(DeadlinePassed, match="no other principal approved"):
        wait(one, LIST)
    assert [reason in found for found in refusals(one)] == [True]
    one.machine.abandon(Reason.parse("promote: no other principal approved"))
    assert (one.machine.phase, one.cloud.routes.generation) == (Phase.REJECTED, 7)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"by": "me"}', json.dumps({"deployment_id": "one"})])
def test_malformed_approval_is_refused(one: Deployment, text: str) -> None:
    call_after(one, 10, lambda: one.lease.kept.update(approval=text))
    with pytest.raises(DeadlinePassed):
        wait(one)
    assert refusals(one) == ["it is not an approval"]


def test_approval_written_before_the_wait_is_ignored(one: Deployment) -> None:
    write_approval(one)
    with pytest.raises(DeadlinePassed):
        wait(one)


def test_right_approval_after_a_wrong_one_is_accepted(one: Deployment) -> None:
    def both() -> None:
        write_approval(one, digest="sha256:0")
        call_after(one, 5, lambda: write_approval(one))

    call_after(one, 5, both)
    assert wait(one).by == OTHER.arn
    assert len(refusals(one)) == 1


def test_approval_read_after_the_timeout_is_refused(one: Deployment) -> None:
    """An approval that is written after the timeout is refused, even if the run still reads it."""

    def oversleep() -> None:
        one.cloud.clock.elapsed += 700
        write_approval(one)

    call_after(one, 595, oversleep)
    with pytest.raises(DeadlinePassed):
        wait(one)
    assert ["too late" in found for found in refusals(one)] == [True]


def test_a_lost_lease_ends_the_wait(one: Deployment) -> None:
    def take() -> None:
        one.expire_lease()
        write_approval(one)

    call_after(one, 20, take)
    with pytest.raises(LeaseLost):
        wait(one)
    one.machine.abandon(Reason.parse("promote: lost"))
    assert one.machine.phase is Phase.REJECTED
    assert "set" not in one.cloud.names()


def test_harm_ends_the_wait(one: Deployment) -> None:
    with pytest.raises(StepFailed, match="harmed while the run waited for an approval: 500"):
        wait(one, harm=lambda: "500" if one.cloud.clock.elapsed > 30 else None)


def test_unreachable_lease_table_is_read_again(one: Deployment) -> None:
    call_after(one, 20, lambda: write_approval(one))
    one.cloud.next_errors["notes"] = [CloudUnreachable("dynamodb GetItem: InternalServerError")] * 3
    assert wait(one).by == OTHER.arn


def test_candidate_that_fails_during_the_wait_is_not_promoted(one: Deployment) -> None:
    def approve_and_break() -> None:
        write_approval(one)
        one.cloud.sides[GREEN].error = "database gone"

    call_after(one, 20, approve_and_break)
    with pytest.raises(StepFailed, match="not healthy any more since it was verified: database gone"):
        wait(one)


def test_candidate_replaced_during_the_wait_is_not_promoted(one: Deployment) -> None:
    def approve_and_exchange() -> None:
        write_approval(one)
        one.cloud.sides[GREEN] = Side(replace(NEW, digest="sha256:evil"), True)

    call_after(one, 20, approve_and_exchange)
    wait(one)
    with pytest.raises(StepFailed, match="sha256:evil"):
        one.machine.promote(GATES)


def test_signal_during_the_wait_rejects(one: Deployment) -> None:
    def signal() -> None:
        raise KeyboardInterrupt

    call_after(one, 20, signal)
    with pytest.raises(KeyboardInterrupt):
        wait(one)
    one.machine.abandon(Reason.parse("promote: interrupted by SIGTERM"))
    assert (one.machine.phase, str(one.machine.reason)) == (Phase.REJECTED, "promote: interrupted by SIGTERM")
    assert not one.cloud.sides[GREEN].running


def test_recover_rejects_a_run_that_died_during_the_wait(one: Deployment) -> None:
    def die() -> None:
        one.cloud.dead = True
        raise Killed("power")

    call_after(one, 20, die)
    with pytest.raises(Killed):
        wait(one)
    one.mark_dead()
    assert one.recover() is Phase.REJECTED
    assert (one.report()["verdict"], one.cloud.routes.generation) == ("rejected", 7)


# -- who may approve ---------------------------------------------------------------------------------------------------


def awaiting(one: Deployment, act: Callable[[], None]) -> None:
    """Call ``act`` while the run waits; the run then waits until its timeout."""
    call_after(one, 20, act)
    with pytest.raises(DeadlinePassed):
        wait(one)


def test_deployer_cannot_approve(one: Deployment) -> None:
    def same() -> None:
        with pytest.raises(NotPermitted, match="another principal's"):
            record_approval(one.ports, Access(), Caller(ACTOR, "123456789012"), "one", None)

    awaiting(one, same)
    assert "swap_note" not in one.cloud.names()


def test_principal_not_on_the_list_cannot_approve(one: Deployment) -> None:
    with pytest.raises(NotPermitted, match=r"may not approve.*environments\.e\.access\.approve"):
        record_approval(one.ports, LIST, Caller("arn:aws:iam::123456789012:user/guest", "123456789012"), "one", None)


def test_second_approval_is_refused(one: Deployment) -> None:
    def twice() -> None:
        record_approval(one.ports, Access(), OTHER, "one", None)
        with pytest.raises(Refused, match="has an approval already"):
            record_approval(one.ports, Access(), OTHER, "one", None)

    call_after(one, 20, twice)
    assert wait(one).by == OTHER.arn
    one.machine.promote(GATES)
    with pytest.raises(Refused, match="does not wait for an approval: its phase is BAKING"):
        record_approval(one.ports, Access(), OTHER, "one", None)


def test_approval_given_after_the_timeout_is_refused(one: Deployment) -> None:
    def late() -> None:
        one.cloud.clock.elapsed += 700
        with pytest.raises(Refused, match="does not wait any more"):
            record_approval(one.ports, Access(), OTHER, "one", None)

    awaiting(one, late)


def test_approval_of_a_deployment_that_does_not_wait_is_refused(one: Deployment) -> None:
    with pytest.raises(Refused, match=r"two is not under way; one is \(VERIFYING\)"):
        record_approval(one.ports, Access(), OTHER, "two", None)
    with pytest.raises(Refused, match="its phase is VERIFYING"):
        record_approval(one.ports, Access(), OTHER, "one", None)


def test_approval_of_a_dead_run_is_refused(one: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployment.flow.approval.owner_alive", lambda *_: False)

    def dead() -> None:
        with pytest.raises(Refused, match="died while it waited"):
            record_approval(one.ports, Access(), OTHER, "one", None)

    awaiting(one, dead)

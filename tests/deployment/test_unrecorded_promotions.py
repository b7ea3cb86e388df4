"""A promotion is final only after the lock's table has taken it: no run ends with 0 that the next run would roll back."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployment.errors import CloudDenied, CloudError, CloudUnreachable, SettingsError
from deployment.evidence.archive import close
from deployment.evidence.report import VERDICTS
from deployment.evidence.sentence import next_step, sentence
from deployment.flow.lease import open_deployment
from deployment.model import Reason
from deployment.phases import EXIT_CODES, Phase
from deployment.recovery.recover import Decision
from tests.deployment.fakes import BLUE, GREEN
from tests.deployment.harness import GATES, LIMITS, Deployment

WRITES = ("note", "renew", "release")
CALLS = (*WRITES, "check", "current", "notes", "swap_note")


def baked(one: Deployment) -> None:
    one.to_verified()
    one.machine.promote(GATES)
    one.machine.bake(lambda: None)


def fail(one: Deployment, calls: tuple[str, ...], error: CloudError | SettingsError) -> None:
    one.cloud.constant_errors |= dict.fromkeys(calls, error)


def write_report(one: Deployment) -> dict[str, object]:
    """Write the report as the coordinator does, then release the lock."""
    machine = one.machine
    reason = str(machine.reason) if machine.reason else None
    closing = {
        "verdict": VERDICTS[machine.phase],
        "exit_code": EXIT_CODES[machine.phase],
        "reason": reason,
        "finished_at": one.cloud.clock.now().isoformat(),
    }
    report = close(one.journal, one.folder, [("closed", closing)])
    machine.let_go()
    return report


def recorded(one: Deployment) -> Phase:
    found = open_deployment(one.ports)
    assert found is not None
    return found.record.phase


FAULTS = [
    pytest.param(("note",), CloudUnreachable("dynamodb UpdateItem: ThrottlingException"), id="throttled notes"),
    pytest.param(WRITES, CloudDenied("dynamodb UpdateItem: AccessDeniedException"), id="denied writes"),
    pytest.param(CALLS, CloudUnreachable("dynamodb UpdateItem: ConnectTimeoutError"), id="no answer at all"),
    pytest.param(CALLS, SettingsError("dynamodb UpdateItem: InvalidRegionError"), id="unusable settings"),
]


@pytest.mark.parametrize(("calls", "error"), FAULTS)
def test_promotion_that_cannot_be_recorded_is_no_success(
    tmp_path: Path, calls: tuple[str, ...], error: CloudError
) -> None:
    """The run ends with 11, traffic stays on the release that passed its bake, and the report says what to type."""
    one = Deployment(tmp_path)
    baked(one)
    fail(one, calls, error)
    before = one.cloud.clock.elapsed
    one.machine.complete()
    assert one.machine.phase is Phase.HALTED
    assert LIMITS.rollback_timeout <= one.cloud.clock.elapsed - before < LIMITS.rollback_timeout + 10
    report = write_report(one)
    assert (report["verdict"], report["exit_code"]) == ("rollback_failed", 11)
    assert str(report["reason"]).startswith(
        "bake: not recorded: the lock's table did not take the result; last: dynamodb"
    )
    assert str(report["reason"]).endswith("telehealth-api:1.1.0 passed its bake and stays live on green")
    assert "NOT RECORDED: telehealth-api:1.1.0 is live on green in test" in sentence(report)
    assert "run `python scripts/deploy.py recover --environment test` on this machine" in (next_step(report) or "")
    assert one.cloud.routes.live is GREEN
    assert one.cloud.names().count("set") == 1
    one.cloud.constant_errors.clear()
    assert recorded(one) is Phase.BAKING
    assert [record.data["step"] for record in one.records() if record.kind == "outcome"][-1] == "bake"
    assert "unrecorded" in one.journal_kinds()


def unrecorded(tmp_path: Path) -> Deployment:
    one = Deployment(tmp_path)
    baked(one)
    fail(one, CALLS, CloudUnreachable("no answer"))
    one.machine.complete()
    write_report(one)
    one.mark_dead()
    one.cloud.constant_errors.clear()
    return one


def test_recovery_on_this_machine_makes_the_promotion_final(tmp_path: Path) -> None:
    one = unrecorded(tmp_path)
    assert one.recover() is Phase.SUCCEEDED
    assert one.cloud.routes.live is GREEN
    assert one.promotion() is not None
    assert one.lease.holder is None
    assert (one.report()["verdict"], one.report()["reason"]) == ("promoted", None)


def test_recovery_from_another_machine_rolls_back(tmp_path: Path) -> None:
    one = unrecorded(tmp_path)
    assert one.recover(tmp_path / "fresh clone") is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE


def test_person_can_keep_the_release_from_another_machine(tmp_path: Path) -> None:
    """Its machine is gone, and with it the journal that proves the bake."""
    one = unrecorded(tmp_path)
    phase = one.recover(tmp_path / "fresh clone", Decision(keep="the bake passed, INC-7"))
    assert phase is Phase.HALTED
    assert one.cloud.routes.live is GREEN
    assert (one.lease.holder, open_deployment(one.ports)) == (None, None)


def test_lease_that_expired_in_an_outage_that_has_just_ended_costs_no_promotion(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    baked(one)
    one.expire_lease()
    one.cloud.next_errors["renew"] = [CloudUnreachable("no answer")]
    one.machine.complete()
    assert one.machine.phase is Phase.SUCCEEDED
    assert recorded(one) is Phase.SUCCEEDED


def test_recovery_that_cannot_record_the_promotion_either_halts(tmp_path: Path) -> None:
    one = unrecorded(tmp_path)
    one.cloud.constant_errors["note"] = CloudUnreachable("throttled")
    assert one.recover() is Phase.HALTED
    assert one.cloud.routes.live is GREEN
    assert "not recorded" in one.report()["reason"]


def test_outage_shorter_than_the_limit_only_delays_the_promotion(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    baked(one)
    fail(one, CALLS, CloudUnreachable("no answer"))
    ends = one.cloud.clock.elapsed + LIMITS.rollback_timeout / 2

    def answer_again() -> None:
        if one.cloud.clock.elapsed > ends:
            one.cloud.constant_errors.clear()

    one.cloud.hooks["sleep"] = answer_again
    one.machine.complete()
    assert one.machine.phase is Phase.SUCCEEDED
    assert recorded(one) is Phase.SUCCEEDED
    assert write_report(one)["exit_code"] == 0
    assert one.promotion() is not None
    assert one.journal_kinds().count("note_failed") == 1


def test_promotion_is_recorded_before_it_counts_as_final(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    baked(one)
    one.cloud.hooks["note"] = lambda: seen.append(one.machine.phase)
    seen: list[Phase] = []
    one.machine.complete()
    assert seen == [Phase.BAKING]
    assert recorded(one) is Phase.SUCCEEDED


def test_promotion_whose_lock_was_not_released_stands_on_every_machine(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    baked(one)
    one.machine.complete()
    fail(one, CALLS, CloudUnreachable("no answer"))
    assert one.machine.phase is Phase.SUCCEEDED
    assert "was not released" in (one.machine.let_go() or "")
    one.mark_dead()
    one.cloud.constant_errors.clear()
    assert one.recover(tmp_path / "fresh clone") is Phase.SUCCEEDED
    assert one.cloud.routes.live is GREEN
    assert one.promotion() is not None


def test_promotion_that_was_taken_back_without_the_table_is_not_recovered_as_promoted(tmp_path: Path) -> None:
    """The report could not be written, and neither could any note of the rollback: the record still says SUCCEEDED."""
    one = Deployment(tmp_path)
    baked(one)
    one.machine.complete()
    fail(one, WRITES, CloudUnreachable("throttled"))
    one.machine.take_back(Reason("verification.json", "No space left on device"))
    assert one.machine.phase is Phase.ROLLED_BACK
    one.machine.let_go()
    one.mark_dead()
    one.cloud.constant_errors.clear()
    assert recorded(one) is Phase.SUCCEEDED
    assert one.recover(tmp_path / "fresh clone") is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE
    assert one.report(tmp_path / "fresh clone")["verdict"] == "rolled_back"
    assert "promotion" not in one.lease.kept


def test_traffic_moved_by_hand_after_the_bake_ends_in_no_promotion(tmp_path: Path) -> None:
    one = unrecorded(tmp_path)
    one.cloud.move(BLUE, fence=0)
    assert one.recover() is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE

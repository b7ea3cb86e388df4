"""A release whose migration is irreversible: after the switch, only a person's decision rolls it back.

Failure mode 15: a shared database makes rollback impossible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployment.errors import CloudUnreachable, Refused, StepFailed
from deployment.evidence.journal import last_data
from deployment.flow.lease import open_deployment
from deployment.model import Colour, Reason
from deployment.phases import Phase
from deployment.plan import LIVE_SINCE, DeploymentRecord, LiveSince
from deployment.recovery.recover import Decision
from deployment.recovery.undo import last_promotion, refuse_irreversible
from tests.deployment.fakes import BLUE, GREEN, NEW, OLD, Killed
from tests.deployment.harness import ACTOR, GATES, Deployment


@pytest.fixture
def one_way(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of 1.1.0 to green, whose migration is irreversible."""
    deployment = Deployment(tmp_path / "reports", image=replace(NEW, irreversible=True))
    yield deployment
    deployment.stop_keeper()


def recover(one: Deployment, decision: Decision) -> Phase:
    """Recover with an operator's decision."""
    phase = one.recover(decision=decision)
    assert phase is not None
    return phase


def frozen(one: Deployment) -> Deployment:
    """Run a deployment that halts because of harm during its bake, and make its process dead."""
    assert one.run(lambda: "harm") is Phase.HALTED
    one.mark_dead()
    return one


def test_failure_after_the_switch_freezes(one_way: Deployment) -> None:
    assert one_way.run(lambda: "5 % of requests fail") is Phase.HALTED
    assert one_way.cloud.routes.live is GREEN
    assert one_way.cloud.sides[GREEN].running
    assert one_way.cloud.sides[BLUE].running
    reason = str(one_way.machine.reason)
    assert "5 % of requests fail; frozen: the migration of telehealth-api:1.1.0 is irreversible" in reason
    assert one_way.step_log()[-2:] == ["-bake", "HALTED"]
    assert "frozen" in one_way.journal_kinds()
    assert one_way.lease.holder is not None, "the lease keeps other deployments out"


def test_failed_switch_that_may_have_moved_traffic_freezes(one_way: Deployment) -> None:
    one_way.cloud.hooks["observe"] = lambda: one_way.cloud.constant_errors.update(
        {} if one_way.cloud.routes.live is BLUE else {"observe": CloudUnreachable("gone")}
    )
    assert one_way.run() is Phase.HALTED
    assert one_way.cloud.routes.live is GREEN


def test_frozen_run_journals_where_traffic_goes(one_way: Deployment) -> None:
    assert one_way.run(lambda: "harm") is Phase.HALTED
    assert last_data(one_way.records(), "frozen")["weights"] == {"green": 100}


def test_frozen_run_says_that_the_previous_colour_failed_as_well(one_way: Deployment) -> None:
    """The decision is a person's, who must know that the previous colour is no better."""
    one_way.to_verified()
    one_way.machine.promote(GATES)
    one_way.machine.abandon(Reason.parse("bake: harm"), beside=lambda: "both colours failed")
    assert one_way.machine.phase is Phase.HALTED
    assert str(one_way.machine.reason).startswith("bake: harm; both colours failed; frozen: the migration of ")


def test_recovery_of_a_switch_that_was_not_written_does_not_say_that_traffic_is_on_green(one_way: Deployment) -> None:
    """The process died between the intent and the first write."""
    one_way.to_verified()
    one_way.cloud.next_errors["set"] = [Killed()]
    with pytest.raises(Killed):
        one_way.machine.promote(GATES)
    one_way.stop_keeper()
    one_way.mark_dead()
    assert recover(one_way, Decision()) is Phase.HALTED
    assert last_data(one_way.records(), "frozen")["weights"] == {"blue": 100}


@pytest.mark.parametrize("weights", [{BLUE: 0, GREEN: 100}, {BLUE: 80, GREEN: 20}], ids=["all", "a part"])
def test_rejected_run_says_that_somebody_else_moved_traffic(one: Deployment, weights: dict[Colour, int]) -> None:
    one.to_verified()
    live = GREEN if weights[GREEN] == 100 else BLUE
    one.cloud.routes = replace(one.cloud.routes, live=live, weights=weights, generation=9)
    one.machine.abandon(Reason.parse("auth: wrong"))
    assert one.machine.phase is Phase.REJECTED
    moved = last_data(one.records(), "moved_elsewhere")
    assert moved["weights"] == {str(colour): weight for colour, weight in weights.items() if weight}


def test_rejected_run_notes_nothing_if_traffic_stayed(one: Deployment) -> None:
    one.to_verified()
    one.machine.abandon(Reason.parse("auth: wrong"))
    assert "moved_elsewhere" not in one.journal_kinds()


def test_failure_before_the_switch_rejects(one_way: Deployment) -> None:
    one_way.cloud.sides[GREEN].error = "status 500"
    one_way.to_verified()
    one_way.machine.abandon(Reason.parse("health: status 500"))
    assert one_way.machine.phase is Phase.REJECTED
    assert one_way.cloud.routes.live is BLUE


def test_reversible_release_is_rolled_back(one: Deployment) -> None:
    assert one.run(lambda: "harm") is Phase.ROLLED_BACK


def test_good_irreversible_release_is_promoted(one_way: Deployment) -> None:
    assert one_way.run() is Phase.SUCCEEDED


def test_recovery_of_a_dead_run_freezes(one_way: Deployment) -> None:
    one_way.to_verified()
    one_way.machine.promote(GATES)
    one_way.mark_dead()
    assert recover(one_way, Decision()) is Phase.HALTED
    assert one_way.cloud.routes.live is GREEN
    assert "frozen: the migration" in one_way.report()["reason"]
    assert one_way.report()["verdict"] == "rollback_failed"


def test_recovery_of_a_frozen_run_changes_nothing(one_way: Deployment) -> None:
    frozen(one_way)
    for _ in range(2):
        assert recover(one_way, Decision()) is Phase.HALTED
        one_way.mark_dead()
    assert one_way.cloud.routes.live is GREEN
    assert one_way.report()["verdict"] == "rollback_failed"


def test_decision_back_rolls_back(one_way: Deployment) -> None:
    frozen(one_way)
    assert recover(one_way, Decision(back="1.0.0 reads it, we tried")) is Phase.ROLLED_BACK
    assert one_way.cloud.routes.live is BLUE
    assert one_way.lease.holder is None
    assert [r.data["reason"] for r in one_way.records() if r.kind == "irreversible"] == ["1.0.0 reads it, we tried"]


def test_decision_back_survives_a_failed_recovery(one_way: Deployment) -> None:
    frozen(one_way)
    one_way.cloud.constant_errors["set"] = CloudUnreachable("gone")
    assert recover(one_way, Decision(back="we tried")) is Phase.HALTED
    assert DeploymentRecord.load(one_way.lease.kept["deployment"]).back_allowed
    one_way.cloud.constant_errors.clear()
    one_way.mark_dead()
    assert recover(one_way, Decision()) is Phase.ROLLED_BACK


def test_decision_keep_leaves_the_release_live(one_way: Deployment) -> None:
    frozen(one_way)
    assert recover(one_way, Decision(keep="the fix is 1.1.1")) is Phase.HALTED
    assert one_way.cloud.routes.live is GREEN
    assert one_way.lease.holder is None
    assert open_deployment(one_way.ports) is None
    assert one_way.promotion() is None
    kept = next(r.data for r in one_way.records() if r.kind == "kept")
    assert (kept["live"], kept["reason"], kept["by"]) == ("green", "the fix is 1.1.1", "recoverer")
    assert one_way.report()["recovered"] is True


@pytest.mark.parametrize("journal", ["here", "on another disk"])
def test_kept_release_is_live_since_the_switch(one_way: Deployment, journal: str) -> None:
    """`status` knows it as well as that of a promotion; without the journal, since the decision at the latest."""
    frozen(one_way)
    switched = next(record.time for record in one_way.records() if record.kind == "writing")
    one_way.cloud.clock.sleep(3600)
    if journal != "here":
        one_way.journal.path.write_bytes(b"")
    assert recover(one_way, Decision(keep="the fix is 1.1.1")) is Phase.HALTED
    since = LiveSince.load(one_way.lease.kept[LIVE_SINCE])
    assert (since.colour, since.digest, since.how, since.by) == (GREEN, NEW.digest, "promotion", ACTOR)
    if journal == "here":
        assert since.at == switched
    else:
        assert since.at > switched


@pytest.mark.parametrize("moved", [True, False])
def test_previous_release_that_is_kept_is_live_since_it_got_the_traffic(one: Deployment, moved: bool) -> None:
    """The rollback moved traffic, but could not verify it; or another writer did, of which this run knows no time."""
    one.to_verified()
    one.machine.promote(GATES)
    one.cloud.clock.sleep(60)
    if moved:
        one.journal.append("writing", colour=BLUE, generation=9, weight=100)
    one.cloud.move(BLUE, 9)
    written = one.records()[-1].time
    one.mark_dead()
    assert one.recover(decision=Decision(keep="1.0.0 stays")) is Phase.HALTED
    text = one.lease.kept.get(LIVE_SINCE)
    if not moved:
        assert text is None
        return
    since = LiveSince.load(str(text))
    assert (since.colour, since.digest, since.how, since.at) == (BLUE, OLD.digest, "rollback", written)


def test_earlier_note_of_the_kept_release_stays_without_the_journal(one_way: Deployment) -> None:
    """As after a rollback by hand that halted before it wrote the routes: the release is live since its promotion."""
    frozen(one_way)
    note = LiveSince("zero", GREEN, NEW.digest, "2026-01-01T00:00:00+00:00", ACTOR, "promotion").dump()
    one_way.lease.kept[LIVE_SINCE] = note
    one_way.journal.path.write_bytes(b"")
    assert recover(one_way, Decision(keep="the fix is 1.1.1")) is Phase.HALTED
    assert one_way.lease.kept[LIVE_SINCE] == note


@pytest.mark.parametrize("journal", ["here", "on another disk"])
@pytest.mark.parametrize("note", ["{", "[]", "null", '{"colour": "green"}'])
def test_note_that_cannot_be_read_keeps_no_lock(one_way: Deployment, note: str, journal: str) -> None:
    """Another program spoiled the note since when the release is live; it is replaced."""
    frozen(one_way)
    one_way.lease.kept[LIVE_SINCE] = note
    if journal != "here":
        one_way.journal.path.write_bytes(b"")
    assert recover(one_way, Decision(keep="the fix is 1.1.1")) is Phase.HALTED
    assert one_way.lease.holder is None
    assert open_deployment(one_way.ports) is None
    since = LiveSince.load(one_way.lease.kept[LIVE_SINCE])
    assert (since.colour, since.digest) == (GREEN, NEW.digest)


def test_decision_keep_is_refused_for_an_unhealthy_release(one_way: Deployment) -> None:
    frozen(one_way)
    recover(one_way, Decision())  # completes the report, whose journal is closed and signed from then on
    one_way.mark_dead()
    before = one_way.journal.path.read_bytes()
    one_way.cloud.sides[GREEN].error = "status 500"
    with pytest.raises(StepFailed, match="unhealthy"):
        recover(one_way, Decision(keep="we give up"))
    assert open_deployment(one_way.ports) is not None
    assert one_way.journal.path.read_bytes() == before, "a refused decision leaves the evidence as it was"


def test_decision_keep_is_refused_unless_halted(one: Deployment) -> None:
    one.to_verified()
    one.mark_dead()
    with pytest.raises(Refused, match="neither halted"):
        recover(one, Decision(keep="why not"))


def test_undo_is_refused_without_a_reason(one_way: Deployment) -> None:
    assert one_way.run() is Phase.SUCCEEDED
    promotion = last_promotion(one_way.ports)
    assert promotion.image.irreversible
    with pytest.raises(Refused, match="is irreversible"):
        refuse_irreversible(promotion, None)
    refuse_irreversible(promotion, "we tried")
    assert one_way.undo().phase is Phase.ROLLED_BACK

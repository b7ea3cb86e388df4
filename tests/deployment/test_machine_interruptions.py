"""Interrupts and kills at every call of a deployment: afterwards one healthy colour is live and the lease is free."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deployment.evidence.journal import FIRST
from deployment.model import Reason
from deployment.phases import Phase
from tests.deployment.fakes import BLUE, GREEN, Killed
from tests.deployment.harness import Deployment

Drive = Callable[[Deployment], object]
MOMENTS = ("before", "after")


def forward(one: Deployment) -> object:
    one.forward()
    return one.machine.phase


def harmed(one: Deployment) -> object:
    """Run a deployment that is rolled back during its bake."""
    return one.run(lambda: "users see errors")


def undone(one: Deployment) -> object:
    """Promote a release and undo the promotion."""
    one.forward()
    return one.undo()


def length(drive: Drive) -> int:
    """Return how many calls a drive makes."""
    with tempfile.TemporaryDirectory() as folder:
        one = Deployment(Path(folder))
        drive(one)
        return len(one.cloud.calls)


FORWARD, HARMED = range(length(forward)), range(length(harmed))
UNDONE = range(length(forward), length(undone))


def assert_safe(one: Deployment) -> None:
    """Assert that one colour takes all traffic and is healthy."""
    assert one.cloud.routes.weights[one.cloud.routes.live] == 100
    assert one.cloud.serving().running
    assert not one.front.examine()


def killed(one: Deployment, drive: Drive, number: int, moment: str) -> None:
    one.cloud.trap = (number, moment, Killed)
    with pytest.raises(Killed):
        drive(one)
    one.mark_dead()


def step_outcomes(one: Deployment, kind: str) -> dict[str, str]:
    return {str(r.data["step"]): str(r.data.get("outcome")) for r in one.records() if r.kind == kind}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", FORWARD)
def test_interrupt_then_abandon(one: Deployment, number: int, moment: str) -> None:
    one.cloud.trap = (number, moment, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        one.forward()
    succeeded = one.machine.phase is Phase.SUCCEEDED
    one.machine.abandon(Reason.parse("verify: interrupted by SIGINT"))
    one.machine.let_go()
    assert one.machine.ended
    assert one.machine.phase is not Phase.HALTED
    assert one.cloud.routes.live is (GREEN if succeeded else BLUE)
    assert_safe(one)
    answer_lost = moment == "after" and one.cloud.names()[number] == "acquire"
    if not answer_lost:  # otherwise the process does not know its lease, which expires by itself
        assert one.lease.holder is None
    assert "deployment" not in one.lease.kept
    if not succeeded:
        assert not one.cloud.sides[GREEN].running


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", FORWARD)
def test_kill_then_recover(one: Deployment, number: int, moment: str) -> None:
    killed(one, forward, number, moment)
    baked = step_outcomes(one, "outcome").get("bake") == "passed"
    intended = "promote" in step_outcomes(one, "intent")
    unknown = "deployment" not in one.lease.kept
    phase = one.recover()
    assert_safe(one)
    if unknown:
        assert phase is None
        assert one.cloud.routes.live is (GREEN if baked else BLUE)
        return
    assert phase is (Phase.SUCCEEDED if baked else Phase.ROLLED_BACK if intended else Phase.REJECTED)
    assert one.cloud.routes.live is (GREEN if baked else BLUE)
    assert one.cloud.sides[GREEN].running is baked
    assert one.lease.holder is None
    assert "deployment" not in one.lease.kept
    assert (one.promotion() is not None) is baked
    assert_recovered(one, phase)


def assert_recovered(one: Deployment, phase: Phase) -> None:
    report = one.report()
    assert (report["recovered"], report["exit_code"]) == (True, None)
    verdicts = {Phase.SUCCEEDED: "promoted", Phase.ROLLED_BACK: "rolled_back", Phase.REJECTED: "rejected"}
    assert report["verdict"] == verdicts[phase]
    assert (report["reason"] is None) is (phase is Phase.SUCCEEDED)
    names = [step["name"] for step in report["steps"]]
    assert len(names) == len(set(names))
    assert one.records()[-1].kind == "closed"
    step_log = one.step_log()
    assert one.recover() is None
    assert one.step_log() == step_log


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", HARMED)
def test_kill_during_rollback_then_recover(one: Deployment, number: int, moment: str) -> None:
    one.cloud.trap = (number, moment, Killed)
    with pytest.raises(Killed):
        harmed(one)
    one.mark_dead()
    phase = one.recover()
    assert phase in (None, Phase.ROLLED_BACK, Phase.REJECTED)
    assert_safe(one)
    assert one.cloud.routes.live is BLUE
    assert one.promotion() is None
    if phase is not None:
        assert one.lease.holder is None
        assert_recovered(one, phase)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", UNDONE)
def test_kill_during_undo_then_recover(one: Deployment, number: int, moment: str) -> None:
    killed(one, undone, number, moment)
    begun = "deployment" in one.lease.kept
    phase = one.recover()
    assert_safe(one)
    assert phase is (Phase.ROLLED_BACK if begun else None)
    if begun:
        assert one.cloud.routes.live is BLUE
        assert one.lease.holder is None
        assert one.promotion() is None


@pytest.mark.parametrize("number", [n for n in FORWARD if n % 3 == 0])
def test_kill_then_recover_on_another_machine(one: Deployment, tmp_path: Path, number: int) -> None:
    killed(one, forward, number, "after")
    phase = one.recover(tmp_path / "fresh clone")
    assert_safe(one)
    if phase is None:
        return
    report = one.report(tmp_path / "fresh clone")
    assert (report["deployment_id"], report["recovered"], report["exit_code"]) == ("one", True, None)
    assert report["digest"] == one.machine.plan.image.digest
    assert one.cloud.routes.live is (GREEN if phase is Phase.SUCCEEDED else BLUE)


@pytest.mark.parametrize("number", [n for n in FORWARD if n % 3 == 0])
def test_kill_that_tears_the_last_journal_line(one: Deployment, number: int) -> None:
    killed(one, forward, number, "after")
    with one.journal.path.open("a") as file:
        file.write('{"seq": 99, "ti')
    phase = one.recover()
    assert_safe(one)
    assert one.records()[0].prev == FIRST
    assert phase is None or one.records()[-1].kind == "closed"

"""Failure modes of other deployers that the machine alone decides; docs/guarantees.md lists all fifteen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from deployment.errors import CloudUnreachable, Refused, StepFailed
from deployment.model import Answer, Reason
from deployment.phases import Phase
from tests.deployment.fakes import BLUE, GREEN, NEW, image
from tests.deployment.harness import GATES, LIMITS, Deployment

SLACK = 30.0  # seconds of the fake clock: the last pause before a limit and the calls around it


def promoted(one: Deployment) -> None:
    one.to_verified()
    one.machine.promote(GATES)


def test_mode_1_a_new_release_never_inherits_another_s_verdict(one: Deployment) -> None:
    """Failure mode 1: a new revision skips the analysis. Digest B appears between verification and switch."""
    one.to_verified()
    one.cloud.sides[GREEN].image = image("1.2.0")
    with pytest.raises(StepFailed, match=f"{NEW.digest} was verified"):
        one.machine.promote(GATES)
    one.machine.abandon(Reason.parse("verify: another digest"))
    one.machine.let_go()
    assert (one.machine.phase, one.cloud.routes.live) == (Phase.REJECTED, BLUE)
    assert "verified" not in one.lease.kept, "no verdict is stored that a later run could read"


def test_mode_1_old_evidence_does_not_promote(one: Deployment) -> None:
    """Failure mode 1: evidence older than ``evidence_max_age`` does not promote."""
    one.to_verified()
    one.cloud.clock.elapsed += LIMITS.evidence_max_age + 1
    with pytest.raises(StepFailed, match="evidence is too old"):
        one.machine.promote(GATES)
    assert "set" not in one.cloud.names()


def test_mode_1_changed_configuration_does_not_promote(one: Deployment) -> None:
    """Failure mode 1: the same digest with other variables is another release."""
    one.to_verified()
    one.cloud.sides[GREEN].configuration = "changed since"
    with pytest.raises(StepFailed, match="configuration of green was changed"):
        one.machine.promote(GATES)
    assert "set" not in one.cloud.names()


def test_mode_3_the_first_failure_stays_in_the_record(one: Deployment) -> None:
    """Failure mode 3: a failed verdict is lost. A later reason does not replace the first one."""
    one.to_verified()
    one.machine.abandon(Reason.parse("auth: test_login: status 500"))
    one.machine.abandon(Reason.parse("verify: all well"))
    one.machine.let_go()
    assert one.machine.phase is Phase.REJECTED
    assert str(one.machine.reason) == "auth: test_login: status 500"
    with pytest.raises(AssertionError, match="in phase REJECTED"):
        one.machine.promote(GATES)
    assert one.cloud.routes.live is BLUE


def test_mode_6_running_service_that_does_not_answer(one: Deployment) -> None:
    """Failure mode 6: the verified copy is not the serving copy. The status of the platform alone is not trusted."""
    one.to_verified()
    one.cloud.sides[GREEN].error = "connection refused"
    assert one.platform.describe(GREEN).running
    with pytest.raises(StepFailed, match="connection refused"):
        one.machine.promote(GATES)
    assert "set" not in one.cloud.names()


@pytest.mark.parametrize("gone", ["scaled to zero", "its image replaced"])
def test_mode_7_no_promotion_without_a_rollback_target(one: Deployment, gone: str) -> None:
    """Failure mode 7: the rollback target is gone. If this is seen before the switch, the promotion fails."""
    one.to_verified()
    blue = one.cloud.sides[BLUE]
    one.cloud.sides[BLUE] = replace(blue, running=False) if gone == "scaled to zero" else replace(blue, image=NEW)
    assert one.cloud.routes.live is BLUE
    with pytest.raises(StepFailed, match="a rollback would be impossible"):
        one.machine.promote(GATES)
    assert "set" not in one.cloud.names()


def test_mode_7_no_rollback_to_a_stopped_colour(one: Deployment) -> None:
    """Failure mode 7: the rollback target stops during the bake. The run halts and traffic stays on the live colour."""
    promoted(one)
    one.cloud.sides[BLUE].running = False
    one.machine.abandon(Reason.parse("bake: users see errors"))
    one.machine.let_go()
    assert one.machine.phase is Phase.HALTED
    assert one.cloud.routes.live is GREEN
    assert "previous colour blue cannot take the traffic back" in str(one.machine.reason)


def test_mode_8_rollback_that_users_do_not_see_halts(one: Deployment) -> None:
    """Failure mode 8: a rollback reports success but traffic did not move. The routes name blue, users get green."""
    promoted(one)
    one.cloud.hooks["ask"] = lambda: one.front.script.extend([Answer(True, "green", 8, NEW.version)] * 5)
    one.machine.abandon(Reason.parse("bake: users see errors"))
    one.machine.let_go()
    assert one.machine.phase is Phase.HALTED
    assert one.cloud.sides[GREEN].running, "the colour that users still reach keeps running"


def test_mode_8_rollback_without_a_promotion_is_refused(one: Deployment) -> None:
    """Failure mode 8: traffic moves twice. A rollback without a promotion, or after a rollback, moves nothing."""
    with pytest.raises(Refused, match="no promotion can be undone"):
        one.undo()
    one.forward()
    assert one.undo().phase is Phase.ROLLED_BACK
    moved = one.cloud.routes
    with pytest.raises(Refused, match="no promotion can be undone"):
        one.undo()
    assert one.cloud.routes == moved


def never_comes_up(one: Deployment) -> None:
    one.cloud.hooks["progress"] = lambda: setattr(one.cloud.sides[GREEN], "polls", 0)


def never_spreads(one: Deployment) -> None:
    one.cloud.spreads = 10**9


def aws_is_gone(one: Deployment) -> None:
    one.cloud.hooks["set"] = lambda: one.cloud.constant_errors.update(
        dict.fromkeys(("set", "observe"), CloudUnreachable("gone"))
    )


def never_answers(one: Deployment) -> None:
    silence = Answer(False, problem="timed out")
    one.cloud.hooks["set"] = lambda: one.cloud.hooks.update(ask=lambda: one.front.script.extend([silence] * 5))


def never_stops(one: Deployment) -> None:
    one.cloud.hooks["stopped"] = lambda: setattr(one.cloud.sides[GREEN], "running", True)


@pytest.mark.parametrize(
    ("hang", "ends", "seconds"),
    [
        (never_comes_up, Phase.REJECTED, LIMITS.provision_timeout),
        (never_spreads, Phase.HALTED, LIMITS.promote_timeout + LIMITS.rollback_timeout),
        (aws_is_gone, Phase.HALTED, LIMITS.promote_timeout + LIMITS.rollback_timeout),
        (never_answers, Phase.HALTED, LIMITS.promote_timeout + LIMITS.rollback_timeout),
        (never_stops, Phase.ROLLED_BACK, LIMITS.rollback_timeout + LIMITS.retire_timeout),
    ],
)
def test_mode_9_each_phase_has_its_limit(
    one: Deployment, hang: Callable[[Deployment], None], ends: Phase, seconds: float
) -> None:
    """Failure mode 9: a rollback never begins, or never ends. If a phase hangs, it ends at its deadline."""
    hang(one)
    assert one.run(lambda: "users see errors") is ends
    assert one.cloud.clock.elapsed <= seconds + SLACK

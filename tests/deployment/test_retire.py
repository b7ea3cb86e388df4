"""The previous colour after a promotion: it runs as the rollback target until its retirement is due."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from deployment.errors import CloudDenied, Refused, StepFailed
from deployment.evidence.journal import Journal, read
from deployment.model import Caller
from deployment.phases import Phase
from deployment.plan import Promotion
from deployment.ports import Registry
from deployment.recovery.retire import due, due_at, retire_previous
from deployment.recovery.undo import last_promotion
from deployment.settings import Settings
from infrastructure.compose import Environment
from scripts.commands import retire as command
from tests.checkout import CHECKOUT
from tests.deployment.fakes import BLUE, GREEN
from tests.deployment.harness import ACTOR, LIMITS, Deployment

KEEP_S = 3600.0


def promoted(folder: Path, retire_after: float | str = KEEP_S) -> Deployment:
    one = Deployment(folder, replace(LIMITS, retire_after=retire_after))
    one.forward()
    return one


def retire(one: Deployment, promotion: Promotion) -> str:
    journal = Journal(one.reports / "retire" / "audit.jsonl", ACTOR, one.cloud.clock)
    return retire_previous(promotion, "retire", one.operation(), journal, one.events.append)


def test_previous_colour_runs_until_its_retirement_is_due(tmp_path: Path) -> None:
    one = promoted(tmp_path)
    assert one.cloud.sides[BLUE].running
    with pytest.raises(Refused, match="blue keeps running until 20"):
        due(one.ports, now=False)
    assert one.cloud.sides[BLUE].running
    one.cloud.clock.sleep(KEEP_S)
    promotion = due(one.ports, now=False)
    assert promotion is not None
    assert "blue is stopped; going back to 1.0.0 needs a deployment now" in retire(one, promotion)
    assert (one.cloud.sides[BLUE].running, one.cloud.sides[GREEN].running) == (False, True)
    assert (one.cloud.routes.live, one.lease.holder) == (GREEN, None)


def test_retirement_removes_the_rollback_target(tmp_path: Path) -> None:
    one = promoted(tmp_path, 1)
    one.cloud.clock.sleep(1)
    retire(one, last_promotion(one.ports))
    for again in (lambda: due(one.ports, now=True), one.undo):
        with pytest.raises(Refused, match="no promotion can be undone"):
            again()


def test_only_now_overrides_retire_after_never(tmp_path: Path) -> None:
    one = promoted(tmp_path, "never")
    one.cloud.clock.sleep(10**8)
    with pytest.raises(Refused, match="promoted without retire_after"):
        due(one.ports, now=False)
    promotion = due(one.ports, now=True)
    assert promotion is not None
    assert due_at(promotion) is None
    retire(one, promotion)
    assert not one.cloud.sides[BLUE].running


def test_stopped_colour_needs_no_retirement(tmp_path: Path) -> None:
    one = promoted(tmp_path)
    one.cloud.sides[BLUE].running = False
    assert due(one.ports, now=False) is None


def test_colour_that_is_live_again_is_not_stopped(tmp_path: Path) -> None:
    """Traffic was moved back by hand between the check and the lock."""
    one = promoted(tmp_path)
    promotion = last_promotion(one.ports)
    one.cloud.hooks["acquire"] = lambda: one.cloud.move(BLUE, 9)
    with pytest.raises(Refused, match="is not live any more"):
        retire(one, promotion)
    assert one.cloud.sides[BLUE].running
    assert one.lease.holder is None


def test_colour_that_gets_traffic_at_the_last_moment_is_not_stopped(tmp_path: Path) -> None:
    one = promoted(tmp_path)
    promotion = last_promotion(one.ports)
    one.cloud.hooks["stopped"] = lambda: one.cloud.move(BLUE, 9)
    with pytest.raises(StepFailed, match="blue was not stopped"):
        retire(one, promotion)
    assert one.cloud.sides[BLUE].running
    assert one.lease.holder is None


def test_colour_that_could_not_be_stopped_stays_the_rollback_target(tmp_path: Path) -> None:
    one = promoted(tmp_path)
    one.cloud.constant_errors["retire"] = CloudDenied("ecs UpdateService: AccessDenied")
    with pytest.raises(StepFailed, match="blue was not stopped"):
        retire(one, last_promotion(one.ports))
    del one.cloud.constant_errors["retire"]
    assert one.undo().phase is Phase.ROLLED_BACK


def test_promotion_without_retire_after_is_never_due(tmp_path: Path) -> None:
    """The note was written by an older version of this tool."""
    one = promoted(tmp_path)
    text = one.lease.kept["promotion"].replace(', "retire_after": 3600.0', "")
    assert "retire_after" not in text
    assert due_at(Promotion.load(text)) is None


def test_retire_command_prints_the_result_and_writes_a_journal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = promoted(tmp_path / "runs")
    environment = Environment(
        "test", "https://live.test", one.ports, cast(Registry, None), Caller(ACTOR, "123456789012"), (), ()
    )
    settings = Settings("test", one.limits, {}, {"provider": "aws"}, project=CHECKOUT)
    with pytest.raises(Refused, match="keeps running until"):
        command.retire(settings, environment, tmp_path / "reports", now=False)
    assert not (tmp_path / "reports").exists(), "nothing was touched"
    assert command.retire(settings, environment, tmp_path / "reports", now=True) == 0
    assert "blue is stopped; going back to 1.0.0 needs a deployment now" in capsys.readouterr().out
    (journal,) = (tmp_path / "reports").glob("*-retire-*/audit.jsonl")
    assert [record.kind for record in read(journal)] == ["opened", "intent", "outcome", "intent", "outcome", "logs"]
    assert not one.cloud.sides[BLUE].running

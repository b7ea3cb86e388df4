"""Strategies: their syntax, and how the machine shifts the traffic share by share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deployment.errors import SettingsError
from deployment.flow.canary import ENOUGH_REQUESTS
from deployment.model import Colour, Reason
from deployment.phases import Phase
from deployment.strategy import Shift, Strategy, parse
from tests.deployment.fakes import BLUE, GREEN, Killed
from tests.deployment.harness import GATES, LIMITS, Deployment

CANARY = parse("canary:10%,2s,50%,1s").shifts


@pytest.mark.parametrize(
    ("text", "shifts"),
    [
        ("all-at-once", ()),
        ("canary:10%,60s", (Shift(10, 60),)),
        ("canary:5%,30s,25%,1.5m,99%,0.5s", (Shift(5, 30), Shift(25, 90), Shift(99, 0.5))),
        ("linear:20%,30s", tuple(Shift(weight, 30) for weight in (20, 40, 60, 80))),
        ("linear:30%,1s", tuple(Shift(weight, 1) for weight in (30, 60, 90))),
        ("linear:99%,1s", (Shift(99, 1),)),
    ],
)
def test_valid_strategy(text: str, shifts: tuple[Shift, ...]) -> None:
    assert parse(text) == Strategy(text, shifts)


@pytest.mark.parametrize(
    "text",
    [
        *("", "canary", "canary:", "canary:10%", "canary:10,60s", "canary:0%,60s", "canary:100%,60s", "canary:10%,0s"),
        *("canary:10%,60", "canary:10%,60h", "canary:-5%,60s", "canary:10%,60s,", "canary:10%,60s,10%,60s"),
        *("canary:20%,60s,10%,60s", "canary:1e1%,9s", "canary:10%,99999s", "canary:nan%,1s", "blue-green"),
        *("linear:20%,30s,40%,30s", "linear:1%,30s"),
    ],
)
def test_invalid_strategy_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="strategy") as caught:
        parse(text)
    assert caught.value.hint is not None
    assert "canary:10%,60s" in caught.value.hint


def test_strategy_as_text() -> None:
    assert str(parse("canary:10%,60s")) == "10 % for 60 s, then all of it"
    assert str(Strategy()) == "all of it"


class FakeShare:
    """The candidate answers ``each`` requests per poll; a test sets the harm that is reported."""

    def __init__(self, each: int = ENOUGH_REQUESTS, harm: Callable[[], str | None] = lambda: None) -> None:
        self.each, self.report_harm = each, harm
        self.begun: list[tuple[int, int]] = []
        self.count = 0

    def begin(self, shift: Shift, generation: int, since: float) -> None:
        assert since > 0
        self.begun.append((shift.weight, generation))
        self.count = 0

    def harm(self) -> str | None:
        self.count += self.each
        return self.report_harm()

    @property
    def seen(self) -> tuple[int, int]:
        return self.count, 0


def promoted(folder: Path, share: FakeShare, shifts: tuple[Shift, ...] = CANARY) -> Deployment:
    """Run a deployment up to the end of its promotion; abandon it if the promotion fails."""
    one = Deployment(folder, replace(LIMITS, promote_timeout=5.0))
    one.to_verified()
    try:
        one.machine.promote(GATES, shifts, share)
    except Exception as error:
        one.machine.abandon(Reason.parse(f"promote: {error}"))
    return one


def weights(one: Deployment) -> list[int]:
    return [record.data["weight"] for record in one.records() if record.kind == "writing"]


def test_traffic_shifts_step_by_step(tmp_path: Path) -> None:
    share = FakeShare()
    one = promoted(tmp_path, share)
    assert one.machine.phase is Phase.BAKING
    assert share.begun == [(10, 8), (50, 9)]
    assert weights(one) == [10, 50, 100]
    assert one.cloud.routes.weights == {GREEN: 100, BLUE: 0}
    assert one.machine.promoted_generation == one.cloud.routes.generation == 10
    shifted = [record.data for record in one.records() if record.kind == "shifted"]
    assert [(step["weight"], step["requests"] >= ENOUGH_REQUESTS, step["seconds"]) for step in shifted] == [
        (10, True, 2.0),
        (50, True, 1.0),
    ]
    one.machine.bake(lambda: None)
    one.machine.complete()
    assert one.journal_kinds()[-1] == "phase"
    assert one.step_log()[-1] == "SUCCEEDED"


def test_harm_during_a_step_rolls_back(tmp_path: Path) -> None:
    share = FakeShare()
    share.report_harm = lambda: "3 of the last 3 requests failed" if len(share.begun) == 2 else None
    one = promoted(tmp_path, share)
    assert one.machine.phase is Phase.ROLLED_BACK
    assert one.cloud.routes.weights == {BLUE: 100, GREEN: 0}
    assert weights(one) == [10, 50, 0 + 100]
    assert str(one.machine.reason) == "promote: with 50 % of the traffic: 3 of the last 3 requests failed"


def test_step_waits_for_enough_requests_and_fails_without_them(tmp_path: Path) -> None:
    patient = promoted(tmp_path / "one", FakeShare(each=1), (Shift(10, 1),))
    assert patient.machine.phase is Phase.BAKING
    [held] = [record.data for record in patient.records() if record.kind == "shifted"]
    assert (held["seconds"] > 2, held["requests"]) == (True, ENOUGH_REQUESTS)
    idle = promoted(tmp_path / "two", FakeShare(each=0), (Shift(10, 1),))
    assert idle.machine.phase is Phase.ROLLED_BACK
    assert "the candidate answered only 0 requests in 6 s, 30 are needed" in str(idle.machine.reason)


def test_routes_written_by_another_process_fail_the_step(tmp_path: Path) -> None:
    share = FakeShare()
    one = Deployment(tmp_path)

    def write_routes() -> None:
        if len(share.begun) == 1 and share.count == ENOUGH_REQUESTS:
            one.cloud.move(BLUE, 0)

    share.report_harm = write_routes
    one.to_verified()
    with pytest.raises(Exception, match="the routes were changed by another writer"):
        one.machine.promote(GATES, CANARY, share)


@pytest.mark.parametrize("number", [1, 2])
def test_run_that_died_in_a_step_is_rolled_back(tmp_path: Path, number: int) -> None:
    """``recover`` never completes a promotion."""
    one, share = Deployment(tmp_path), FakeShare()

    def die() -> None:
        if len(share.begun) == number:
            one.cloud.dead = True

    share.report_harm = die
    one.to_verified()
    with pytest.raises(Killed):
        one.machine.promote(GATES, CANARY, share)
    assert one.cloud.routes.weights[Colour.GREEN] == (10, 50)[number - 1]
    one.mark_dead()
    assert one.recover() is Phase.ROLLED_BACK
    assert one.cloud.routes.weights == {BLUE: 100, GREEN: 0}
    assert one.report()["verdict"] == "rolled_back"

"""A front door whose locations obey a switch one after the other, as CloudFront's do within seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from deployment.errors import StepFailed
from deployment.flow.canary import ENOUGH_REQUESTS
from deployment.model import Answer, Reason
from deployment.phases import Phase
from deployment.strategy import Shift, parse
from tests.deployment.fakes import BLUE, GREEN, NEW, Edges
from tests.deployment.harness import GATES, LIMITS, Deployment

PROMOTIONS = 5
HARM = Reason("bake", "users see errors")


class AskingShare:
    """Watches a share by requests through the live domain; wrong answers of the candidate are harm."""

    def __init__(self, one: Deployment) -> None:
        self.one, self.generation, self.count = one, 0, 0
        self.stale = 0

    def begin(self, shift: Shift, generation: int, since: float) -> None:  # noqa: ARG002  # the protocol's signature
        self.generation, self.count = generation, 0

    def harm(self) -> str | None:
        for answer in self.one.front.ask(ENOUGH_REQUESTS):
            self.stale += answer.generation != self.generation
            self.count += (answer.colour, answer.generation) == (GREEN, self.generation)
            if not answer.ok:
                return answer.problem
        return None

    @property
    def seen(self) -> tuple[int, int]:
        return self.count, 0


def converging(folder: Path, longest_s: float, seed: int = 0) -> Deployment:
    """Return a deployment whose candidate is verified and whose front door converges within ``longest_s`` seconds."""
    one = Deployment(folder / str(seed), replace(LIMITS, confirmations=20))
    one.front.edges = Edges(one.cloud, longest_s, seed)
    one.to_verified()
    return one


def promote(one: Deployment, strategy: str) -> AskingShare:
    share = AskingShare(one)
    shifts: Sequence[Shift] = parse(strategy).shifts
    one.machine.promote(GATES, shifts, share if shifts else None)
    return share


@pytest.mark.parametrize("longest_s", [3.0, 20.0])
@pytest.mark.parametrize("strategy", ["all-at-once", "canary:50%,60s", "canary:10%,60s", "linear:20%,5s"])
def test_good_release_is_promoted(tmp_path: Path, strategy: str, longest_s: float) -> None:
    """The candidate's answers under the routes before the last write are late, and no fault of the candidate."""
    stale = 0
    for seed in range(PROMOTIONS):
        one = converging(tmp_path, longest_s, seed)
        stale += promote(one, strategy).stale
        one.stop_keeper()
        assert one.machine.phase is Phase.BAKING
        assert one.cloud.routes.weights == {GREEN: 100, BLUE: 0}
    assert stale or strategy == "all-at-once", "a location was late in some step"


@pytest.mark.parametrize("green", [{"error": "status 500"}, {"version": "1.0.9"}])
def test_wrong_answers_under_earlier_routes_fail_the_switch(tmp_path: Path, green: dict[str, object]) -> None:
    """The last write has reached no location yet, and the candidate has begun to fail its share of the traffic."""
    one = converging(tmp_path, 100.0)
    one.cloud.hooks["set"] = lambda: spoil() if one.cloud.routes.weights[GREEN] == 50 else None

    def spoil() -> None:
        for name, value in green.items():
            setattr(one.cloud.sides[GREEN], name, value)

    began = one.cloud.clock.elapsed
    problem = "status 500" if "error" in green else "version '1.0.9', not '1.1.0'"
    with pytest.raises(StepFailed, match=f"green gives wrong answers: {problem}"):
        promote(one, "canary:50%,200s")
    assert one.cloud.clock.elapsed - began < 205, "three wrong answers are enough"
    one.stop_keeper()


def test_switch_that_reaches_no_location_fails_at_its_deadline(tmp_path: Path) -> None:
    one = converging(tmp_path, 1.0)
    late = Answer(True, GREEN, 8, NEW.version)
    one.cloud.hooks["ask"] = lambda: one.front.script.extend([late] * 5) if one.cloud.routes.generation == 9 else None
    with pytest.raises(StepFailed, match="last: answered by generation 8, not 9"):
        promote(one, "canary:50%,2s")
    one.stop_keeper()


@pytest.mark.parametrize("longest_s", [3.0, 20.0])
@pytest.mark.parametrize("strategy", ["all-at-once", "canary:10%,30s,50%,30s"])
def test_rollback_is_confirmed(tmp_path: Path, strategy: str, longest_s: float) -> None:
    """Late answers, healthy or not, of both colours only delay the rollback; it counts after the late ones have ended."""
    for seed in range(PROMOTIONS):
        one = converging(tmp_path, longest_s, seed)
        promote(one, strategy)
        one.cloud.sides[GREEN].error = "status 500" if seed % 2 else None
        one.machine.abandon(HARM)
        one.machine.let_go()
        assert (one.machine.phase, one.machine.reason) == (Phase.ROLLED_BACK, HARM)
        assert one.cloud.routes.weights == {BLUE: 100, GREEN: 0}


@pytest.mark.parametrize("longest_s", [3.0, 20.0])
def test_failed_step_is_rolled_back(tmp_path: Path, longest_s: float) -> None:
    """Blue answers under three generations at the same time: before the step, in the step and after the rollback."""
    one = converging(tmp_path, longest_s)
    with pytest.raises(StepFailed, match="with 50 % of the traffic: status 500"):
        one.machine.promote(GATES, parse("canary:50%,60s").shifts, Failing(one))
    one.machine.abandon(HARM)
    one.machine.let_go()
    assert one.machine.phase is Phase.ROLLED_BACK


class Failing(AskingShare):
    """The candidate begins to fail once it has its share."""

    def begin(self, shift: Shift, generation: int, since: float) -> None:
        super().begin(shift, generation, since)
        self.one.cloud.sides[GREEN].error = "status 500"


@pytest.mark.parametrize("longest_s", [3.0, 20.0])
def test_undo_is_confirmed(tmp_path: Path, longest_s: float) -> None:
    for seed in range(2):
        one = converging(tmp_path, longest_s, seed)
        promote(one, "canary:50%,60s")
        one.machine.bake(lambda: None)
        one.machine.complete()
        one.machine.let_go()
        assert one.undo().phase is Phase.ROLLED_BACK
        assert one.cloud.routes.live is BLUE

"""Before the switch every instance of the candidate must be healthy; the switch counts after it has spread."""

from __future__ import annotations

import pytest

from deployment.errors import CloudUnreachable, StepFailed
from deployment.model import Reason
from deployment.phases import Phase
from tests.deployment.fakes import BLUE, GREEN
from tests.deployment.harness import GATES, Deployment


def test_unhealthy_instance_prevents_the_switch(one: Deployment) -> None:
    one.to_verified()
    one.cloud.sides[GREEN].unhealthy = "3 of 4 targets are healthy"
    with pytest.raises(StepFailed, match=r"not every instance of green is healthy.*; last: 3 of 4 targets are healthy"):
        one.machine.promote(GATES)
    assert "set" not in one.cloud.names()


def test_candidate_is_scaled_before_the_switch(one: Deployment) -> None:
    """The machine scales the candidate and then waits for its instances as in the provisioning."""
    one.to_verified()
    side = one.cloud.sides[GREEN]
    one.cloud.hooks["scale"] = lambda: setattr(side, "unhealthy", "2 of 4 targets are registered and healthy")
    one.cloud.hooks["describe"] = lambda: setattr(side, "unhealthy", None) if one.cloud.clock.elapsed > 300 else None
    one.machine.promote(GATES)
    names = one.cloud.names()
    assert names.index("scale") < names.index("set")
    assert one.cloud.clock.elapsed > 300


def test_switch_waits_for_the_replacement_of_an_instance(one: Deployment) -> None:
    one.to_verified()
    side = one.cloud.sides[GREEN]
    side.unhealthy = "3 of 4 targets are healthy"
    one.cloud.hooks["describe"] = lambda: setattr(side, "unhealthy", None) if one.cloud.clock.elapsed > 20 else None
    one.machine.promote(GATES)
    assert one.cloud.routes.live is GREEN


def test_switch_is_confirmed_after_it_has_spread(one: Deployment) -> None:
    """If DNS routes the traffic, the answers that this process gets show the view of one place only."""
    one.to_verified()
    one.cloud.spreads = 5
    one.machine.promote(GATES)
    assert one.cloud.names().count("spread") == 6


def test_switch_that_does_not_spread_is_rolled_back(one: Deployment) -> None:
    one.to_verified()
    one.cloud.spreads = 1000
    with pytest.raises(StepFailed, match="last: a resolver to answer with green"):
        one.machine.promote(GATES)
    one.cloud.spreads = 0
    one.machine.abandon(Reason.parse("promote: it did not spread"))
    assert (one.machine.phase, one.cloud.routes.live) == (Phase.ROLLED_BACK, BLUE)


def test_unreachable_router_is_asked_again_for_the_spread(one: Deployment) -> None:
    one.to_verified()
    one.cloud.next_errors["spread"] = [CloudUnreachable("throttled")] * 3
    one.machine.promote(GATES)
    assert one.cloud.routes.live is GREEN

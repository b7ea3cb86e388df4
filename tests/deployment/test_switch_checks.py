"""Before the switch every instance of the candidate must be healthy; the switch counts after it has spread."""

from __future__ import annotations

import pytest

from deployment.errors import CloudDenied, CloudError, CloudUnreachable, LeaseLost, StepFailed
from deployment.model import Reason
from deployment.phases import Phase
from tests.deployment.fakes import BLUE, GREEN, OLD
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


@pytest.mark.parametrize("change", ["the candidate shrinks", "the live colour grows"])
def test_candidate_is_scaled_until_it_is_large_enough(one: Deployment, change: str) -> None:
    """Its size may change while the machine waits for its instances, so one call is not enough."""
    one.to_verified()
    candidate, live = one.cloud.sides[GREEN], one.cloud.sides[BLUE]
    candidate.wanted = live.wanted = 4
    changes = iter(range(2))

    def looked() -> None:
        if next(changes, None) is not None:
            if change == "the candidate shrinks":
                candidate.wanted = 2
            else:
                live.wanted = 8
        candidate.unhealthy = f"{candidate.wanted} of {live.wanted}" if candidate.wanted < live.wanted else None

    one.cloud.hooks["describe"] = looked
    one.machine.promote(GATES)
    names = one.cloud.names()
    assert candidate.wanted == live.wanted
    assert names[: names.index("set")].count("scale") > 1


@pytest.mark.parametrize("change", ["image", "configuration"])
def test_another_candidate_is_not_waited_for(one: Deployment, change: str) -> None:
    """A release that somebody else puts there while the machine waits is scaled once at most."""
    one.to_verified()
    side = one.cloud.sides[GREEN]
    side.unhealthy = "3 of 4 targets are healthy"

    def replaced() -> None:
        if one.cloud.clock.elapsed > 20 and change == "image":
            side.image = OLD
        elif one.cloud.clock.elapsed > 20:
            side.configuration = "changed since"

    one.cloud.hooks["scale"] = replaced
    with pytest.raises(StepFailed, match="verified"):
        one.machine.promote(GATES)
    assert one.cloud.clock.elapsed < 40
    assert "set" not in one.cloud.names()


@pytest.mark.parametrize("call", ["scale", "describe"])
@pytest.mark.parametrize("error", [CloudError("ThrottlingException"), CloudUnreachable("no answer")])
def test_refused_call_of_one_look_refuses_no_release(one: Deployment, call: str, error: CloudError) -> None:
    """The machine looks again; of the two calls of ``describe`` before the switch, the second belongs to a look."""
    one.to_verified()
    one.cloud.next_errors[call] = [error] if call == "scale" else [None, error]
    one.machine.promote(GATES)
    assert one.cloud.routes.live is GREEN


def test_scaling_that_stays_refused_prevents_the_switch_with_its_reason(one: Deployment) -> None:
    one.to_verified()
    one.cloud.constant_errors["scale"] = CloudError("ecs UpdateService: ServerException")
    with pytest.raises(StepFailed, match=r"not every instance of green is healthy.*; last: ecs UpdateService"):
        one.machine.promote(GATES)
    assert one.cloud.clock.elapsed >= one.limits.provision_timeout
    assert "set" not in one.cloud.names()


@pytest.mark.parametrize("call", ["scale", "describe"])
def test_missing_right_is_not_waited_for(one: Deployment, call: str) -> None:
    one.to_verified()
    began = one.cloud.clock.elapsed
    denied = CloudDenied("ecs UpdateService: AccessDeniedException")
    one.cloud.next_errors[call] = [denied] if call == "scale" else [None, denied]
    with pytest.raises(CloudDenied):
        one.machine.promote(GATES)
    assert one.cloud.clock.elapsed - began < 5
    assert "set" not in one.cloud.names()


def test_lost_lease_is_not_waited_for(one: Deployment) -> None:
    one.to_verified()
    one.cloud.hooks["scale"] = lambda: setattr(one.lease, "holder", None)
    one.cloud.next_errors["scale"] = [CloudError("ThrottlingException")]
    with pytest.raises(LeaseLost):
        one.machine.promote(GATES)
    assert "set" not in one.cloud.names()


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

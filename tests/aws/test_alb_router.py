"""The router against a load balancer without compare-and-set, with other writers and lost answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from deployment.errors import CloudDenied, CloudError, LeaseLost, RouteConflict, SwitchFailed
from deployment.model import Colour, Readiness, Routes
from infrastructure.aws.load_balancer.router import TAG, AlbRouter
from infrastructure.aws.routes import percentages
from infrastructure.aws.session import Clients
from tests.aws.cluster import GROUPS
from tests.aws.conftest import SteppedClock
from tests.aws.load_balancer import Balancer, forward

TO_GREEN, TO_BLUE = {Colour.BLUE: 0, Colour.GREEN: 100}, {Colour.BLUE: 100, Colour.GREEN: 0}
RULE, LISTENER = (
    "arn:aws:elasticloadbalancing:x:1:listener-rule/app/l/1/2/3",
    "arn:aws:elasticloadbalancing:x:1:listener/app/l/1/2",
)


@pytest.fixture
def balancer() -> Balancer:
    return Balancer()


@pytest.fixture
def router(balancer: Balancer, clock: SteppedClock) -> AlbRouter:
    return AlbRouter(cast(Clients, balancer), RULE, GROUPS, clock)


def raising(error: Exception) -> Callable[[], None]:
    def happen() -> None:
        raise error

    return happen


LOST = raising(ReadTimeoutError(endpoint_url="https://elb"))


def refused(code: str) -> Callable[[], None]:
    return raising(ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "x"))


def test_estate_before_its_first_deployment(router: AlbRouter) -> None:
    found = router.observe()
    assert (found.live, found.weights, found.generation, found.fence) == (Colour.BLUE, TO_BLUE, 0, 0)


@pytest.mark.parametrize("arn", [RULE, LISTENER])
def test_switch_is_written_and_read_back(balancer: Balancer, clock: SteppedClock, arn: str) -> None:
    router = AlbRouter(cast(Clients, balancer), arn, GROUPS, clock)
    written = router.set(router.observe(), TO_GREEN, {Colour.GREEN: "ignored"}, token=4)
    assert written == router.observe()
    assert (written.live, written.weights, written.generation, written.fence) == (Colour.GREEN, TO_GREEN, 1, 4)
    assert ("ModifyRule" in balancer.calls, "ModifyListener" in balancer.calls) == (arn == RULE, arn == LISTENER)
    assert router.spread(Colour.GREEN, 1).readiness is Readiness.READY


def test_switch_sends_the_whole_action(balancer: Balancer, router: AlbRouter) -> None:
    """AWS removes actions that a modification omits: without its sign-in action a listener would admit every client."""
    places = {f"{name}Endpoint": "https://i/x" for name in ("Authorization", "Token", "UserInfo")}
    config = {"Issuer": "https://i", "ClientId": "c", **places}
    balancer.actions = [
        {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": config},
        {**forward(100, 0), "Order": 2},
    ]
    router.set(router.observe(), TO_GREEN, {}, token=4)
    # AWS does not return the secret; it keeps the existing one if the request asks for that.
    assert balancer.actions[0]["AuthenticateOidcConfig"] == {**config, "UseExistingClientSecret": True}
    assert (balancer.actions[1]["Type"], balancer.actions[1]["Order"]) == ("forward", 2)


STICKY = {"TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 600}}
NOT_STICKY = {"TargetGroupStickinessConfig": {"Enabled": False}}
SPLIT = {Colour.BLUE: 90, Colour.GREEN: 10}


def only(colour: Colour, **config: Any) -> dict[str, Any]:
    return {
        "Type": "forward",
        "Order": 1,
        "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUPS[colour], "Weight": 100}], **config},
    }


@pytest.mark.parametrize(("end", "colour"), [(TO_GREEN, Colour.GREEN), (TO_BLUE, Colour.BLUE)])
@pytest.mark.parametrize("sticky_targets", [False, True])
def test_sticky_clients_stay_during_a_split_and_move_with_the_switch(
    balancer: Balancer, router: AlbRouter, end: dict[Colour, int], colour: Colour, sticky_targets: bool
) -> None:
    """A sticky client stays with a target group even at weight 0: a group without weight is not in the rule."""
    balancer.actions, balancer.sticky_targets = [forward(100, 0, **STICKY)], sticky_targets
    seen = router.set(router.observe(), SPLIT, {}, token=4)
    assert (balancer.actions, seen.live, seen.weights) == ([forward(90, 10, **STICKY)], Colour.BLUE, SPLIT)
    seen = router.set(seen, end, {}, token=4)
    assert (balancer.actions, seen.live, seen.weights) == ([only(colour, **STICKY)], colour, end)
    router.set(seen, SPLIT, {}, token=4)
    assert balancer.actions == [forward(90, 10, **STICKY)]  # the next canary is as sticky as the first one was


@pytest.mark.parametrize("end", [TO_GREEN, TO_BLUE])
def test_traffic_goes_back_although_only_the_target_groups_are_sticky(
    balancer: Balancer, router: AlbRouter, end: dict[Colour, int]
) -> None:
    """AWS refuses two target groups in a rule that is not sticky if one of them is."""
    balancer.actions, balancer.sticky_targets = [only(Colour.BLUE)], True
    seen = router.set(router.observe(), SPLIT, {}, token=4)
    assert balancer.actions[0]["ForwardConfig"]["TargetGroupStickinessConfig"]["Enabled"] is True
    assert router.set(seen, end, {}, token=4).weights == end
    assert len(balancer.actions[0]["ForwardConfig"]["TargetGroups"]) == 1


def test_switch_at_once_between_sticky_target_groups(balancer: Balancer, router: AlbRouter) -> None:
    balancer.actions, balancer.sticky_targets = [only(Colour.BLUE)], True
    seen = router.set(router.observe(), TO_GREEN, {}, token=4)
    assert router.set(seen, TO_BLUE, {}, token=4).live is Colour.BLUE


def test_rule_that_is_not_sticky_keeps_both_target_groups(balancer: Balancer, router: AlbRouter) -> None:
    seen = router.set(router.observe(), SPLIT, {}, token=4)
    router.set(seen, TO_GREEN, {}, token=4)
    assert balancer.actions == [forward(0, 100, **NOT_STICKY)]


def test_sticky_switch_that_aws_refuses_is_written_without_stickiness(balancer: Balancer, router: AlbRouter) -> None:
    balancer.actions = [forward(90, 10, **STICKY)]
    balancer.before["ModifyRule"] = refused("ValidationError")
    assert router.set(router.observe(), TO_BLUE, {}, token=4).weights == TO_BLUE
    assert balancer.actions == [forward(100, 0, **NOT_STICKY)]


@pytest.mark.parametrize("code", ["AccessDenied", "TargetGroupNotFound", "TooManyTargets"])
def test_another_refusal_is_not_answered_with_another_request(balancer: Balancer, router: AlbRouter, code: str) -> None:
    balancer.before["ModifyRule"] = refused(code)
    with pytest.raises(CloudError, match=code):
        router.set(router.observe(), TO_GREEN, {}, token=4)
    assert balancer.calls.count("ModifyRule") == 1


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([], "its actions are nothing"),
        ([{"Type": "fixed-response"}], "its actions are fixed-response"),
        ([forward(0, 0)], "neither colour"),
        ([{"Type": "forward", "TargetGroupArn": "arn:tg/other"}], "arn:tg/other, which is neither colour's"),
    ],
)
def test_rule_without_a_colour_is_an_error(
    balancer: Balancer, router: AlbRouter, actions: list[dict[str, Any]], message: str
) -> None:
    balancer.actions = actions
    with pytest.raises(SwitchFailed, match=message):
        router.observe()


def test_one_target_group_alone_has_all_traffic(balancer: Balancer, router: AlbRouter) -> None:
    balancer.actions = [{"Type": "forward", "TargetGroupArn": GROUPS[Colour.GREEN]}]
    assert router.observe().live is Colour.GREEN


def test_malformed_tag_is_an_error(balancer: Balancer, router: AlbRouter) -> None:
    balancer.tags[f"{TAG}7"] = "green, I think"
    with pytest.raises(SwitchFailed, match="does not name the generation"):
        router.observe()


@pytest.mark.parametrize("states", [[], ["unhealthy", "initial"], ["draining"]])
def test_traffic_is_not_sent_to_a_colour_without_a_healthy_target(
    balancer: Balancer, router: AlbRouter, states: list[str]
) -> None:
    balancer.health[GROUPS[Colour.GREEN]] = states
    with pytest.raises(CloudError, match="green has no healthy target"):
        router.set(router.observe(), TO_GREEN, {}, token=4)
    assert (list(balancer.tags), router.observe().live) == (["Color"], Colour.BLUE)


def test_one_unhealthy_target_does_not_prevent_a_rollback(balancer: Balancer, router: AlbRouter) -> None:
    seen = router.set(router.observe(), TO_GREEN, {}, token=4)
    balancer.health[GROUPS[Colour.BLUE]] = ["unhealthy", "healthy"]
    assert router.set(seen, TO_BLUE, {}, token=4).live is Colour.BLUE


def test_changed_routes_conflict(balancer: Balancer, router: AlbRouter) -> None:
    seen = router.observe()
    balancer.actions = [forward(50, 50)]  # by hand
    with pytest.raises(RouteConflict, match="no longer at 0"):
        router.set(seen, TO_GREEN, {}, token=4)
    assert balancer.actions == [forward(50, 50)]


def test_later_token_wins(balancer: Balancer, router: AlbRouter) -> None:
    seen = router.observe()
    later = router.set(seen, TO_GREEN, {}, token=9)
    for stale in (seen, later):
        with pytest.raises(LeaseLost, match="9"):
            router.set(stale, TO_BLUE, {}, token=8)
    assert router.observe() == later


@pytest.mark.parametrize("moment", ["AddTags", "ModifyRule"])
def test_overtaken_writer_undoes_its_own_write(
    balancer: Balancer, router: AlbRouter, clock: SteppedClock, moment: str
) -> None:
    """It slept between its last read and its write; another run took the lease and moved traffic in between."""
    seen = router.observe()
    other = AlbRouter(cast(Clients, balancer), RULE, GROUPS, clock)
    rival: list[Routes] = []

    def overtake() -> None:
        rival.append(other.set(other.observe(), TO_BLUE, {}, token=5))

    balancer.before[moment] = overtake
    with pytest.raises(LeaseLost, match="fencing token 5"):
        router.set(seen, TO_GREEN, {}, token=4)
    assert router.observe() == rival[0]
    # A writer that notices this before its own switch moves no traffic.
    assert balancer.calls.count("ModifyRule") == (1 if moment == "AddTags" else 3)


def test_tags_of_earlier_tokens_are_removed(balancer: Balancer, router: AlbRouter) -> None:
    seen = router.observe()
    for token in (4, 4, 5, 8):
        seen = router.set(seen, TO_BLUE if seen.live is Colour.GREEN else TO_GREEN, {}, token)
    assert sorted(balancer.tags) == ["Color", f"{TAG}8"]
    balancer.before["RemoveTags"] = refused("AccessDenied")
    router.set(seen, TO_GREEN, {}, token=9)
    assert router.observe().fence == 9


@pytest.mark.parametrize("operation", ["AddTags", "ModifyRule"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_lost_answers_are_resolved_by_reading_back(
    balancer: Balancer, router: AlbRouter, operation: str, moment: str
) -> None:
    getattr(balancer, moment)[operation] = LOST
    written = router.set(router.observe(), TO_GREEN, {}, token=4)
    assert (written.live, written.generation, written.fence) == (Colour.GREEN, 1, 4)
    assert written == router.observe()


def test_switch_without_any_answer_fails(balancer: Balancer, router: AlbRouter) -> None:
    def again() -> None:
        balancer.before["ModifyRule"] = again
        LOST()

    balancer.before["ModifyRule"] = again
    with pytest.raises(SwitchFailed, match="no usable answer 2 times"):
        router.set(router.observe(), TO_GREEN, {}, token=4)
    assert balancer.calls.count("ModifyRule") == 2


def test_refused_write_leaves_no_trace(balancer: Balancer, router: AlbRouter) -> None:
    seen = router.observe()
    balancer.before["ModifyRule"] = refused("AccessDenied")
    with pytest.raises(CloudDenied):
        router.set(seen, TO_GREEN, {}, token=4)
    now = router.observe()
    assert (now.live, now.generation, now.fence) == (seen.live, seen.generation, seen.fence)


def test_write_that_another_program_overwrites_fails(balancer: Balancer, router: AlbRouter) -> None:
    """Another program without a lease writes, too: a person by hand, or a `terraform apply` that does not ignore traffic."""
    seen = router.observe()

    def undo() -> None:
        balancer.actions = [forward(100, 0)]

    balancer.after["ModifyRule"] = undo
    with pytest.raises(SwitchFailed, match="another program writes them"):
        router.set(seen, TO_GREEN, {}, token=4)


def test_same_write_twice_is_made_once(balancer: Balancer, router: AlbRouter) -> None:
    seen = router.observe()
    written = router.set(seen, TO_GREEN, {}, token=4)
    assert router.set(seen, TO_GREEN, {}, token=4) == written
    assert balancer.calls.count("ModifyRule") == 1


@pytest.mark.parametrize("weights", [{Colour.GREEN: 99}, {Colour.BLUE: -1, Colour.GREEN: 101}, {}])
def test_weights_must_be_percentages(balancer: Balancer, router: AlbRouter, weights: dict[Colour, int]) -> None:
    with pytest.raises(SwitchFailed, match="sum 100"):
        router.set(router.observe(), weights, {}, token=3)
    assert list(balancer.tags) == ["Color"]


def test_reading_restarts_after_another_write(balancer: Balancer, router: AlbRouter) -> None:
    def overtake() -> None:
        balancer.tags[f"{TAG}2"] = "live=green blue=0 green=100 generation=3 fence=2"
        balancer.actions = [forward(0, 100)]

    balancer.before["DescribeRules"] = overtake
    assert (router.observe().generation, router.observe().live) == (3, Colour.GREEN)


@pytest.mark.parametrize(
    ("blue", "green", "shares"),
    [(999, 4, (99, 1)), (1, 255, (1, 99)), (100, 0, (100, 0)), (0, 3, (0, 100)), (2, 1, (67, 33))],
)
def test_share_of_few_users_is_not_read_as_none(blue: int, green: int, shares: tuple[int, int]) -> None:
    """An unverified candidate would be started on a colour that has users."""
    found = percentages({Colour.BLUE: blue, Colour.GREEN: green}, "the rule")
    assert (found[Colour.BLUE], found[Colour.GREEN]) == shares

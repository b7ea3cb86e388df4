"""The rules of a load balancer, judged for blue/green, and the services that cannot have a second colour: no AWS is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from deployment.errors import Refused
from infrastructure.aws.adoption import ecs
from infrastructure.aws.adoption.reader import Reader
from infrastructure.aws.adoption.routes import Route, priority_before, routes_of
from tests.adoption.bakery import forward, host, path
from tests.aws.shapes import checked

BLUE, GREEN, OTHER = "arn:blue", "arn:green", "arn:other"
PORTS = (8443, 8444)


def route(port: int, priority: int | None, *groups: str, conditions: Sequence[Mapping[str, Any]] = ()) -> Route:
    listener = {"ListenerArn": f"arn:listener/{port}", "Port": port, "Protocol": "HTTPS"}
    rule = {
        "RuleArn": f"arn:rule/{port}/{priority}",
        "Priority": "default" if priority is None else str(priority),
        "IsDefault": priority is None,
        "Conditions": list(conditions),
        "Actions": forward(*groups),
    }
    return Route(listener, rule)


SHOP = [host("shop.example")]
FIRST = route(443, 100, BLUE, conditions=SHOP)


@pytest.mark.parametrize(
    ("priorities", "expected"),
    [((100,), 99), ((99, 100), None), ((90, 100), 99), ((1, 100), 99), ((100, 200), 99), ((98, 99, 100), None)],
)
def test_a_new_rule_stands_right_before_the_old_one(priorities: Sequence[int], expected: int | None) -> None:
    """A rule between them would lose its requests to a new rule further ahead."""
    assert priority_before(FIRST, [route(443, one, OTHER) for one in priorities]) == expected


def test_the_place_of_a_default_action_is_behind_all_rules() -> None:
    default = route(443, None, BLUE)
    assert priority_before(default, [route(443, 7, OTHER), route(443, 900, OTHER), default]) == 901
    assert priority_before(default, [default]) == 1
    assert priority_before(default, [route(443, 50_000, OTHER), default]) is None


def test_first_rule_of_all_has_no_place_before_it() -> None:
    assert priority_before(route(443, 1, BLUE), [route(443, 1, BLUE)]) is None


def test_overtaken_rule_is_not_beside_the_new_one() -> None:
    weighted = route(443, 99, BLUE, GREEN, conditions=SHOP)
    plain = route(80, None, BLUE)
    found = routes_of([weighted, FIRST, plain, route(443, 110, OTHER)], BLUE, GREEN, PORTS)
    assert found.weighted is weighted
    assert found.beside(weighted) == [plain]
    further = route(443, 98, BLUE, conditions=[host("shop.example"), path("/a*")])
    found = routes_of([further, weighted, FIRST], BLUE, GREEN, PORTS)
    assert found.beside(weighted) == [further]


def sticky(one: Route) -> Route:
    """Return the route with a sticky action."""
    config = {"Enabled": True, "DurationSeconds": 600}
    actions = [
        {"Type": "forward", "ForwardConfig": {"TargetGroups": groups, "TargetGroupStickinessConfig": config}}
        for groups in ([{"TargetGroupArn": arn} for arn in one.groups],)
    ]
    return Route(one.listener, {**one.rule, "Actions": actions})


@pytest.mark.parametrize("live", [BLUE, GREEN])
def test_sticky_rule_is_the_weighted_one_although_a_switch_left_it_one_target_group(live: str) -> None:
    weighted, test = sticky(route(443, 99, live, conditions=SHOP)), sticky(route(8443, None, live))
    assert routes_of([weighted, FIRST, test], BLUE, GREEN, PORTS).weighted is weighted


def test_sticky_rule_of_a_service_without_a_second_target_group_is_not_weighted() -> None:
    assert routes_of([sticky(FIRST)], BLUE, None, PORTS).weighted is None
    assert routes_of([sticky(route(443, 1, OTHER)), FIRST], BLUE, GREEN, PORTS).weighted is None


def test_rule_for_everything_overtakes_the_default_action() -> None:
    weighted, default = route(443, 111, BLUE, GREEN, conditions=[path("*")]), route(443, None, BLUE)
    found = routes_of([weighted, default], BLUE, GREEN, PORTS)
    assert found.beside(found.weighted or default) == []


def test_tests_are_listeners_on_their_ports_or_a_host_for_each_colour() -> None:
    weighted = route(443, 99, BLUE, GREEN, conditions=SHOP)
    ports = [route(8443, None, BLUE), route(8444, None, GREEN)]
    assert routes_of([weighted, FIRST, *ports], BLUE, GREEN, PORTS).tests == {BLUE: ports[0], GREEN: ports[1]}
    hosts = [
        route(9443, number, group, conditions=[host(f"{number}.shop.example")])
        for number, group in enumerate((BLUE, GREEN), 1)
    ]
    assert routes_of([weighted, FIRST, *hosts], BLUE, GREEN, PORTS).tests == {BLUE: hosts[0], GREEN: hosts[1]}
    assert routes_of([weighted, FIRST, hosts[0]], BLUE, GREEN, PORTS).tests == {}, "one host alone serves users"


def test_pattern_is_no_host() -> None:
    assert route(443, 1, BLUE, conditions=[host("*.shop.example", "shop.example", "s?op.example")]).hosts == (
        "shop.example",
    )


def test_urls_omit_the_usual_port() -> None:
    assert route(443, None, BLUE).url("a.example") == "https://a.example"
    assert route(8443, None, BLUE).url("a.example") == "https://a.example:8443"


# -- services that cannot have a second colour ---------------------------------------------------------------------------


class Answers(Reader):
    """Answers with fixed documents."""

    def __init__(self, service: Mapping[str, Any], balancer: Mapping[str, Any]) -> None:
        group = {"TargetGroupArn": BLUE, "TargetGroupName": "blue", "LoadBalancerArns": balancer.get("arns", ["arn:b"])}
        self._answers: Mapping[str, Mapping[str, Any]] = {
            "DescribeServices": {"services": [{"serviceName": "api", "status": "ACTIVE", "taskDefinition": "d", **service}]},
            "DescribeTaskDefinition": {"taskDefinition": {"networkMode": "bridge"}},
            "DescribeScalableTargets": {"ScalableTargets": []},
            "DescribeTargetGroups": {"TargetGroups": [group]},
            "DescribeLoadBalancers": {"LoadBalancers": [{"LoadBalancerName": "lb", "Type": "application", **balancer}]},
        }  # fmt: skip

    def call(self, service: str, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        del service, parameters
        return self._answers[operation]


BEHIND = {"loadBalancers": [{"targetGroupArn": BLUE, "containerName": "a", "containerPort": 1}]}
VPC = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}}}
CONNECT = {"deployments": [{"serviceConnectConfiguration": {"enabled": True}}]}
CANNOT: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any], str]] = {
    "Service Connect only": (CONNECT, {}, "behind no load balancer: it is reached through Service Connect"),
    "nothing in front": ({}, {}, "its tasks are in no target group"),
    "a Classic Load Balancer": ({"loadBalancers": [{"loadBalancerName": "x"}]}, {}, "Classic Load Balancer"),
    "two target groups": (
        {"loadBalancers": [{"targetGroupArn": f"arn:x:targetgroup/{name}/1"} for name in "ab"]},
        {},
        r"in 2 target groups \(targetgroup/a/1, targetgroup/b/1\)",
    ),
    "another controller": (
        {"deploymentController": {"type": "EXTERNAL"}},
        {},
        "has the deployment controller EXTERNAL",
    ),
    "a service that is being deleted": (
        BEHIND | {"status": "DRAINING"},
        {},
        r"is being deleted \(its status is DRAINING\)",
    ),
    "a task on each machine": (BEHIND | {"schedulingStrategy": "DAEMON"}, {}, "has the scheduling strategy DAEMON"),
    "an Express Mode service": (BEHIND | {"resourceManagementType": "ECS"}, {}, "is an Express Mode service"),
    "a strategy of ECS": (
        BEHIND | {"deploymentConfiguration": {"strategy": "BLUE_GREEN"}},
        {},
        "has the deployment strategy BLUE_GREEN: ECS itself moves its traffic",
    ),
    "another strategy of ECS": (BEHIND | {"deploymentConfiguration": {"strategy": "CANARY"}}, {}, "strategy CANARY"),
    "no task definition": (
        BEHIND | {"taskDefinition": "", "deploymentController": {"type": "CODE_DEPLOY"}},
        {},
        r"runs no task definition \(its deployment controller is CODE_DEPLOY\)",
    ),
    "bridge mode": (BEHIND, {}, "has the network mode bridge"),
    "a network load balancer": (BEHIND | VPC, {"Type": "network"}, "lb is a network load balancer"),
    "no rule": (BEHIND | VPC, {"arns": []}, "no load balancer forwards to target group blue"),
    "two load balancers": (BEHIND | VPC, {"arns": ["arn:b", "arn:c"]}, "2 load balancers forward to target group blue"),
}


@pytest.mark.parametrize(("service", "balancer", "message"), CANNOT.values(), ids=CANNOT)
def test_service_that_cannot_have_a_second_colour_is_refused(
    service: Mapping[str, Any], balancer: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(Refused, match=message) as refused:
        ecs.read(Answers(service, balancer), "main", "api", "api-green")
    assert refused.value.hint


def test_the_service_itself_is_no_second_service() -> None:
    with pytest.raises(Refused, match="--second-service api is the service itself"):
        ecs.read(Answers({}, {}), "main", "api", "api")


def test_a_group_without_a_weight_has_one() -> None:
    """AWS answers with a weight always; a request may omit it, and then it is 1."""
    shared = route(443, 1, BLUE, GREEN)
    del shared.rule["Actions"][0]["ForwardConfig"]["TargetGroups"][1]["Weight"]
    assert shared.weights == {BLUE: 1, GREEN: 1}
    single = Route(shared.listener, {"Actions": [{"Type": "forward", "TargetGroupArn": BLUE}, {"Type": "redirect"}]})
    assert single.weights == {BLUE: 1}
    assert Route(shared.listener, {"Actions": [{"Type": "fixed-response"}]}).groups == frozenset()


# -- parts that few teams use --------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], None]


def deployment(**members: Any) -> Change:
    return lambda service: service["deployments"][0].update(members)


CONNECTED = {"enabled": True, "namespace": "n", "services": [{"portName": "http"}]}
CLIENT_ONLY = {"enabled": True, "namespace": "n"}
LATTICE = {"roleArn": "arn:r", "targetGroupArn": "arn:t", "portName": "http"}
WAYS: Mapping[str, tuple[Change, str | None, tuple[str, ...]]] = {
    "Service Connect": (deployment(serviceConnectConfiguration=CONNECTED), "Service Connect", ("service_connect_configuration",)),
    "a client of Service Connect": (deployment(serviceConnectConfiguration=CLIENT_ONLY), None, ("service_connect_configuration",)),
    "VPC Lattice": (deployment(vpcLatticeConfigurations=[LATTICE]), "VPC Lattice", ("vpc_lattice_configurations",)),
    "Cloud Map": (lambda one: one.update(serviceRegistries=[{"registryArn": "arn:r"}]), "service discovery (AWS Cloud Map)", ("service_registries",)),
    "a volume": (deployment(volumeConfigurations=[{"name": "data"}]), None, ("volume_configuration",)),
    "placement": (lambda one: one.update(placementConstraints=[{"type": "distinctInstance"}], placementStrategy=[{"type": "random"}]), None, ("placement_constraints", "ordered_placement_strategy")),
}  # fmt: skip


@pytest.mark.parametrize(("change", "way", "by_hand"), WAYS.values(), ids=WAYS)
def test_what_no_switch_moves_and_what_the_module_does_not_copy_is_known(
    change: Change, way: str | None, by_hand: tuple[str, ...]
) -> None:
    document: dict[str, Any] = {"serviceName": "api", "deployments": [{"status": "PRIMARY"}]}
    change(document)
    checked("ecs", "DescribeServices", {"services": ["api"]}, {"services": [document]})
    service = ecs.EcsService(document, {}, None)
    assert service.other_ways == (() if way is None else (way,))
    assert service.only_by_hand == by_hand

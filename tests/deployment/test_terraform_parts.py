"""A name with the idle colour proves nothing: a plan must not move traffic, or change a shared part or the live service."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import Refused
from deployment.model import Colour
from deployment.preflight.terraform_parts import owned_by
from deployment.preflight.terraform_plan import Owner, load, objections
from tests.deployment.fakes import BLUE, GREEN

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LIVE, IDLE = "production-telehealth-api-blue", "production-telehealth-api-green"
PRODUCTION = Owner("production", LIVE, "123456789012", "us-east-1", IDLE)
SERVICES = "arn:aws:ecs:us-east-1:123456789012:service/production-telehealth"
GROUP_ID, SHARED = "targetgroup/blue/1", "sg-0123456789abcdef0"
GROUP = f"arn:aws:elasticloadbalancing:us-east-1:123456789012:{GROUP_ID}"
REGISTRY = "arn:aws:servicediscovery:us-east-1:123456789012:service/srv-1"
LIVE_VALUES = {
    "service_registries": [{"registry_arn": REGISTRY}],
    "name": LIVE,
    "id": f"{SERVICES}/{LIVE}",
    "network_configuration": [{"security_groups": [SHARED]}],
    "load_balancer": [{"target_group_arn": GROUP, "container_name": "requests"}],
}
WEIGHT_0, WEIGHT_100 = ({"weighted_routing_policy": [{"weight": weight}]} for weight in (0, 100))


def entry(address: str, actions: list[str], before: Any = None, after: Any = None, **more: Any) -> dict[str, Any]:
    """Return an entry of resource_changes as Terraform writes it."""
    type_ = re.sub(r"\[[^]]*\]", "", address).split(".")[-2]
    change = {"actions": actions, "before": before, "after": after, **more}
    return {"address": address, "mode": "managed", "type": type_, "change": change}


def plan(*changes: dict[str, Any]) -> dict[str, Any]:
    live = entry('module.ecs_service["blue"].aws_ecs_service.main', ["no-op"], LIVE_VALUES, LIVE_VALUES)
    whole = {"format_version": "1.2", "complete": True, "errored": False, "timestamp": NOW.isoformat()}
    return {**whole, "resource_changes": [live, *changes]}


def found(*changes: dict[str, Any], idle: Colour = GREEN, owner: Owner | None = PRODUCTION) -> list[str]:
    return list(objections(plan(*changes), idle, NOW, 3600, owner))


@pytest.mark.parametrize(
    ("address", "actions", "before", "after"),
    [
        ('module.route53.aws_route53_record.weighted["green"]', ["update"], WEIGHT_0, WEIGHT_100),
        ('module.route53.aws_route53_record.weighted["green"]', ["delete", "create"], WEIGHT_0, WEIGHT_100),
        ('module.route53["green"].aws_route53_record.live', ["create"], None, {}),
        ("aws_lb_listener_rule.to_green", ["create"], None, {}),
        ('module.load_balancer["main"].aws_lb_listener_rule.test["green"]', ["update"], {}, {}),
        ('module.load_balancer["green"].aws_lb_listener.live', ["update"], {}, {}),
        ("aws_alb_listener_rule.green", ["create"], None, {}),
        ('aws_lb_target_group_attachment.main["green"]', ["create"], None, {}),
        ("aws_cloudfront_function.green", ["update"], {}, {}),
        ('aws_cloudfrontkeyvaluestore_key.main["green"]', ["update"], {}, {}),
        ('module.service["green"].aws_cloudfront_distribution.main', ["update"], {}, {}),
        ('aws_globalaccelerator_endpoint_group.main["green"]', ["update"], {}, {}),
        ('aws_apigatewayv2_integration.main["green"]', ["update"], {}, {}),
        ("aws_security_group.green", ["update"], {}, {}),
        ('aws_security_group.service["green"]', ["update"], {}, {}),
        ("module.green_energy_database.aws_db_instance.main", ["delete", "create"], {}, {}),
        ('module.database["green"].aws_db_instance.main', ["update"], {}, {}),
        ("aws_elasticache_replication_group.green", ["update"], {}, {}),
        ("aws_iam_role.green", ["delete"], {}, None),
        ("aws_cloudwatch_metric_alarm.evergreen", ["delete"], {}, None),
        ("aws_cloudwatch_metric_alarm.live_for_green", ["delete"], {}, None),
    ],
)
def test_name_with_the_idle_colour_is_no_proof(address: str, actions: list[str], before: Any, after: Any) -> None:
    [line] = found(entry(address, actions, before, after))
    assert line.startswith(f"{address}: {', '.join(actions)}")
    [other] = found(entry(address.replace("green", "blue"), actions, before, after), idle=BLUE)
    assert other.startswith(address.replace("green", "blue"))


@pytest.mark.parametrize(
    "change",
    [
        entry('module.ecs_service["green"].aws_ecs_service.main', ["update"], {"name": IDLE}, {"name": IDLE}),
        entry('module.ecs_service["green"].aws_ecs_service.main', ["delete", "create"], {"name": IDLE}, {"name": IDLE}),
        entry("aws_ecs_service.green", ["create"], None, {"name": IDLE, "id": None}),
        entry(
            'module.ecs_service["green"].aws_ecs_task_definition.main[0]', ["create", "delete"], {"family": IDLE}, {}
        ),
        entry('module.ecs_service["green"].aws_security_group.main[0]', ["update"], {"id": "sg-0aaaaaaaaaaaaaaaa"}, {}),
        entry('module.ecs_service["green"].aws_vpc_security_group_ingress_rule.load_balancer[0]', ["create"], None, {}),
        entry('module.ecs_service["green"].terraform_data.first_image', ["create"], None, {}),
        entry(
            'module.ecs_service["green"].aws_appautoscaling_policy.main[0]',
            ["update"],
            {"id": "requests", "resource_id": f"service/production-telehealth/{IDLE}"},
            {},
        ),
        entry('module.app_runner["green"].aws_apprunner_service.main', ["update"], {"service_name": IDLE}, {}),
        entry('module.app_runner["green"].aws_wafv2_web_acl_association.main', ["create"], None, {}),
        entry('module.monitoring.aws_cloudwatch_metric_alarm.latency["green"]', ["update"], {}, {}),
        entry('module.monitoring.aws_cloudwatch_composite_alarm.colour["green"]', ["update"], {}, {}),
        entry('module.load_balancer["main"].aws_lb_target_group.main["green"]', ["update"], {"arn": f"{GROUP}2"}, {}),
    ],
    ids=lambda change: change["address"],
)
def test_plan_that_changes_the_idle_colours_own_parts_is_clean(change: dict[str, Any]) -> None:
    assert found(change) == []
    assert found(change, idle=BLUE, owner=None), "the same plan, when green is live"


@pytest.mark.parametrize(
    "change",
    [
        entry(
            "aws_ecs_service.green", ["update"], {"name": LIVE, "desired_count": 3}, {"name": LIVE, "desired_count": 0}
        ),
        entry('module.ecs_service["green"].aws_ecs_service.main', ["delete"], {"name": LIVE}),
        entry('module.ecs_service["green"].aws_ecs_service.main', ["create"], None, {"name": LIVE}),
        entry('aws_ecs_service.this["green"]', ["update"], {"id": f"{SERVICES}/{LIVE}"}, {}),
        entry('aws_ecs_task_set.main["green"]', ["create"], None, {"service": LIVE}),
        entry('aws_ecs_task_set.main["green"]', ["create"], None, {"service": f"{SERVICES}/{LIVE}"}),
        entry(
            "aws_appautoscaling_target.green", ["update"], {"resource_id": f"service/production-telehealth/{LIVE}"}, {}
        ),
        entry('module.ecs_service["green"].aws_security_group.main[0]', ["update"], {"id": SHARED}, {}),
        entry('module.a["green"].aws_vpc_security_group_ingress_rule.b', ["delete"], {"security_group_id": SHARED}),
        entry('module.load_balancer["main"].aws_lb_target_group.main["green"]', ["update"], {"arn": GROUP}, {}),
        entry('aws_cloudwatch_metric_alarm.errors["green"]', ["delete"], {"dimensions": {"ServiceName": LIVE}}),
        entry('aws_cloudwatch_metric_alarm.errors["green"]', ["delete"], {"dimensions": {"TargetGroup": GROUP_ID}}),
        entry('aws_cloudwatch_metric_alarm.errors["green"]', ["delete"], {"alarm_name": f"{LIVE}-errors"}),
        entry('aws_cloudwatch_composite_alarm.all["green"]', ["delete"], {"alarm_name": "production-telehealth-blue"}),
        entry(
            'awscc_cloudwatch_alarm.errors["green"]',
            ["update"],
            {"metrics": [{"metric": {"dimensions": [{"name": "ServiceName", "value": LIVE}]}}]},
            {},
        ),
        entry("aws_ecs_task_definition.green", ["delete", "create"], {"family": LIVE}, {}),
        entry("awscc_ecs_task_definition.green", ["delete"], {"family": "production-api-blue"}),
        entry('aws_lb_target_group.main["green"]', ["delete"], {"name": "production-api-blue"}),
        entry('module.ecs_service["green"].aws_security_group.main[0]', ["delete"], {"name": f"{LIVE}-in"}),
        entry(
            "awscc_applicationautoscaling_scaling_policy.green",
            ["delete"],
            {"scaling_target_id": f"service/production-telehealth/{LIVE}|ecs:service:DesiredCount|ecs"},
        ),
        entry(
            "aws_appautoscaling_policy.green",
            ["delete"],
            {"arn": f"arn:aws:autoscaling:us-east-1:1:scalingPolicy:1:resource/ecs/service/main/{LIVE}:policyName/cpu"},
        ),
    ],
    ids=lambda change: change["address"],
)
def test_live_service_is_known_by_its_identity_at_any_address(change: dict[str, Any]) -> None:
    [line] = found(change)
    assert line.startswith(f"{change['address']}: ")
    assert line.endswith(f"(it is the live colour's service {LIVE}, or has a part of it)")


@pytest.mark.parametrize("joined", [GROUP, REGISTRY])
def test_idle_service_must_not_join_the_live_target_group_or_registry(joined: str) -> None:
    """Its tasks would get the traffic of users, although no route changes."""
    alone = {"name": IDLE, "load_balancer": [{"target_group_arn": f"{GROUP}2"}]}
    both = {**alone, "service_registries": [{"registry_arn": joined}]}
    assert len(found(entry("aws_ecs_service.green", ["update"], alone, both))) == 1
    assert len(found(entry("aws_ecs_service.green", ["create"], None, both))) == 1
    assert found(entry("aws_ecs_service.green", ["update"], both, alone)) == []
    assert found(entry("aws_ecs_service.green", ["update"], alone, {**alone, "desired_count": 2})) == []


def connect(name: str, namespace: str = "main", alias: str = "api") -> dict[str, Any]:
    service = {"port_name": "http", "discovery_name": name, "client_alias": [{"port": 80, "dns_name": alias}]}
    return {"name": name, "service_connect_configuration": [{"namespace": namespace, "service": [service]}]}


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (None, connect(IDLE), 1),
        (connect(IDLE, alias="api-green"), connect(IDLE), 1),
        (None, connect(IDLE, alias="api-green"), 0),
        (None, connect(IDLE, namespace="green"), 0),
        (connect(IDLE), {**connect(IDLE), "desired_count": 2}, 0),
        (connect(IDLE), connect(IDLE, alias="api-green"), 0),
    ],
)
def test_idle_service_must_not_join_the_live_alias_of_service_connect(before: Any, after: Any, lines: int) -> None:
    live = connect(LIVE)
    actions = ["update"] if before else ["create"]
    changes = [
        entry("aws_ecs_service.blue", ["no-op"], live, live),
        entry("aws_ecs_service.green", actions, before, after),
    ]
    assert len(found(*changes)) == lines


@pytest.mark.parametrize(
    ("live", "idle", "change"),
    [
        (
            LIVE,
            IDLE,
            entry('aws_cloudwatch_metric_alarm.a["green"]', ["delete"], {"alarm_name": f"{IDLE}-than-{LIVE}"}),
        ),
        (
            LIVE,
            IDLE,
            entry(
                'aws_cloudwatch_metric_alarm.slower["green"]',
                ["delete"],
                {"metric_query": [{"metric": [{"dimensions": {"ServiceName": one}} for one in (LIVE, IDLE)]}]},
            ),
        ),
        (
            "shop",
            "shop-green",
            entry('aws_cloudwatch_metric_alarm.a["green"]', ["update"], {"alarm_name": "shop-green-a"}),
        ),
        (
            "shop",
            "shop-2",
            entry('aws_cloudwatch_metric_alarm.a["green"]', ["update"], {"alarm_name": "shop-2-errors"}),
        ),
        (
            "shop",
            "shop-2",
            entry(
                'aws_cloudwatch_metric_alarm.a["green"]',
                ["delete"],
                {"alarm_name": "shop-errors", "dimensions": {"ClusterName": "shop", "ServiceName": "shop-2"}},
            ),
        ),
        ("blue-shop", "blue-shop-2", entry('aws_lb_target_group.a["green"]', ["update"], {"name": "blue-shop-tg2"})),
        ("shop", "shop-green", entry("aws_appautoscaling_policy.green", ["update"], {"name": "shop-cpu"})),
        (LIVE, IDLE, entry("aws_appautoscaling_policy.green", ["update"], {"name": "like-blue"})),
        (LIVE, IDLE, entry("aws_ecs_task_definition.green", ["create"], {"family": "production-telehealth-api"})),
        (
            LIVE,
            IDLE,
            entry(
                "aws_ecs_task_definition.green",
                ["update"],
                {"container_definitions": f'[{{"value":"http://x/service/v1/{LIVE}"}}]'},
            ),
        ),
        (
            "shop",
            "shop-green",
            entry("aws_appautoscaling_target.green", ["update"], {"resource_id": "service/shop/shop-green"}),
        ),
    ],
    ids=str,
)
def test_name_that_is_not_the_live_services_alone_is_no_objection(live: str, idle: str, change: dict[str, Any]) -> None:
    owner = Owner("production", live, "123456789012", "us-east-1", idle)
    service = entry("aws_ecs_service.blue", ["no-op"], {"name": live}, {"name": live})
    assert found(service, change, owner=owner) == []


def test_cluster_with_the_live_services_name_is_not_that_service() -> None:
    """An adopted estate may have service and cluster of one name: shop in shop, beside shop-green in shop."""
    cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/shop"
    owner = Owner("production", "shop", "123456789012", "us-east-1")
    live = entry(
        "aws_ecs_service.shop", ["no-op"], {"name": "shop", "cluster": cluster}, {"name": "shop", "cluster": cluster}
    )
    green = {
        "name": "shop-green",
        "cluster": cluster,
        "id": f"{SERVICES.replace('production-telehealth', 'shop')}/shop-green",
    }
    assert found(live, entry("aws_ecs_service.green", ["update"], green, green), owner=owner) == []


@pytest.mark.parametrize(
    "change",
    [
        entry("aws_db_instance.main", ["read"], {"a": 1}, {"a": 2}),
        entry("aws_ecs_cluster.main", ["read"]),
        {**entry("aws_db_instance.main", ["read"]), "mode": "data"},
        {**entry("data.aws_db_instance.main", ["read"]), "mode": "managed"},
        entry("aws_db_instance.main", ["no-op"], {"a": 1}, {"a": 1}, after_unknown={"a": True}),
        entry("aws_db_instance.main", ["no-op"], {"a": [1]}, {"a": [1]}, after_unknown={"a": [{"b": True}]}),
        entry("aws_db_instance.main", ["no-op"], {"a": 1}, {"a": 2}),
        {**entry("aws_db_instance.main", ["update"]), "address": "aws_ecs_service.green"},
    ],
)
def test_entry_that_terraform_does_not_write_proves_nothing(change: dict[str, Any]) -> None:
    assert len(found(change)) == 1


@pytest.mark.parametrize("unknown", [None, {}, {"a": False, "b": [], "c": [{}]}])
def test_no_op_without_an_unknown_value_changes_nothing(unknown: Any) -> None:
    assert found(entry("aws_db_instance.main", ["no-op"], {"a": 1}, {"a": 1}, after_unknown=unknown)) == []


@pytest.mark.parametrize(
    "actions",
    [
        ["no-op", "no-op"],
        ["no-op", "read"],
        ["no-op", "delete"],
        ["update", "update"],
        ["delete", "update"],
        ["read", "read"],
    ],
)
def test_list_of_actions_that_terraform_does_not_write_is_refused(actions: list[str], tmp_path: Path) -> None:
    change = entry("aws_db_instance.main", actions, {"a": 1}, {"a": 2})
    assert found(change)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan(change)))
    with pytest.raises(Refused, match=r"aws_db_instance\.main"):
        load(path)


@pytest.mark.parametrize(
    "actions", [["create"], ["delete", "create"], ["create", "delete"], ["create", "forget"], ["forget"]]
)
def test_list_of_actions_that_terraform_writes_is_read(actions: list[str], tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan(entry("aws_db_instance.main", actions))))
    assert len(objections(load(path), GREEN, NOW, 3600)) == 1


def test_type_decides_at_addresses_with_any_key() -> None:
    for address in (
        'module.a["x.aws_ecs_service.green"].aws_db_instance.main',
        'aws_db_instance.main["a.aws_ecs_service.green"]',
    ):
        assert not owned_by({"address": address, "change": {}}, address, GREEN)
    address = 'module.a["eu.west"].module.b["green"].aws_ecs_service.main["a\\"]b"]'
    assert owned_by({"address": address, "change": {}}, address, GREEN)

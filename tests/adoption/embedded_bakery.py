"""The bakery's estate in an embedded cloud, whose ECS runs real processes: its own cluster, service, target group and rule.

The embedded load balancer listens on two ports and knows rules for hosts, so the estate shares its live listener.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infrastructure.aws.session import Clients, Connection, Credentials, clients_for
from infrastructure.embedded.outputs import Outputs

CLUSTER, SERVICE, DOMAIN = "bakery", "storefront", "shop.localhost"
LIMIT_S = 60


def clients_of(outputs: Outputs) -> Clients:
    keys = Credentials(outputs.credentials.access_key_id, outputs.credentials.secret_access_key)
    return clients_for(Connection(outputs.region, outputs.account_id, None, keys, outputs.endpoints))


def make(outputs: Outputs, folder: Path) -> None:
    """Create the estate with one running task, and write the smoke users' file into ``folder``."""
    clients = clients_of(outputs)
    groups = clients.call("elbv2", "DescribeTargetGroups", TargetGroupArns=[outputs.target_groups["blue"]])
    like = groups["TargetGroups"][0]
    group = _group(clients, SERVICE, like)
    _rule(clients, live_listener(clients, outputs), DOMAIN, group)
    blue = clients.call("ecs", "DescribeServices", cluster=outputs.cluster, services=[outputs.services["blue"]])
    definition = clients.call("ecs", "DescribeTaskDefinition", taskDefinition=blue["services"][0]["taskDefinition"])[
        "taskDefinition"
    ]
    clients.call("logs", "CreateLogGroup", logGroupName=f"/ecs/{SERVICE}")
    clients.call("ecs", "CreateCluster", clusterName=CLUSTER)
    registered = clients.call("ecs", "RegisterTaskDefinition", **_definition(definition))["taskDefinition"]
    service(clients, SERVICE, str(registered["taskDefinitionArn"]), group, 1)
    _wait_until_healthy(clients, group)
    users = clients.call("secretsmanager", "GetSecretValue", SecretId=outputs.secrets["smoke_users"])["SecretString"]
    (folder / "smoke-users.json").write_text(users, encoding="utf-8")


def live_listener(clients: Clients, outputs: Outputs) -> str:
    """Return the ARN of the listener for users."""
    return outputs.listener_rule_arn.replace(":listener-rule/", ":listener/").rpartition("/")[0]


def apply(outputs: Outputs, applied: Mapping[str, Mapping[str, Any]]) -> None:
    """Create the resources that Terraform applied against a stub; ``applied`` holds their values by address.

    Instead of two listeners there are two rules: the embedded load balancer has no further port.
    """
    clients = clients_of(outputs)
    values = {address.split(".")[1]: one for address, one in applied.items() if "aws_lb" in address or "ecs" in address}
    first = clients.call("ecs", "DescribeServices", cluster=CLUSTER, services=[SERVICE])["services"][0]
    blue = str(first["loadBalancers"][0]["targetGroupArn"])
    like = clients.call("elbv2", "DescribeTargetGroups", TargetGroupArns=[blue])["TargetGroups"][0]
    green = _group(clients, str(values["green_target_group"]["name"]), like)
    listener = str(values["live_rule"]["listener_arn"])
    _rule(clients, listener, DOMAIN, blue, green, priority=int(values["live_rule"]["priority"]))
    for colour, group in (("blue", blue), ("green", green)):
        assert f"{colour}_test_listener" in values
        _rule(clients, listener, f"{colour}.{DOMAIN}", group)
    made = values["green_service"]
    service(clients, str(made["name"]), str(made["task_definition"]), green, int(made["desired_count"]))
    for address, one in applied.items():
        if ".aws_dynamodb_table." in address:
            key = [{"AttributeName": "id", "KeyType": "HASH"}]
            types = [{"AttributeName": "id", "AttributeType": "S"}]
            clients.call(
                "dynamodb",
                "CreateTable",
                TableName=one["name"],
                BillingMode="PAY_PER_REQUEST",
                KeySchema=key,
                AttributeDefinitions=types,
            )
        elif ".aws_s3_bucket.audit" in address:
            clients.call("s3", "CreateBucket", Bucket=one["bucket"], ObjectLockEnabledForBucket=True)
        elif ".aws_secretsmanager_secret." in address:
            clients.call("secretsmanager", "CreateSecret", Name=one["name"])


def service(clients: Clients, name: str, definition: str, group: str, count: int) -> None:
    """Create a service of the bakery."""
    clients.call(
        "ecs",
        "CreateService",
        cluster=CLUSTER,
        serviceName=name,
        taskDefinition=definition,
        desiredCount=count,
        launchType="FARGATE",
        networkConfiguration={
            "awsvpcConfiguration": {"subnets": ["subnet-1a"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"}
        },
        loadBalancers=[{"targetGroupArn": group, "containerName": "node", "containerPort": 3000}],
        healthCheckGracePeriodSeconds=25,
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
    )


def _definition(like: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request for the bakery's own task definition, which runs the image of ``like``."""
    (container,) = like["containerDefinitions"]
    variables = [one for one in container["environment"] if one["name"] != "DEPLOY_COLOR"]
    options = {**container["logConfiguration"]["options"], "awslogs-group": f"/ecs/{SERVICE}"}
    own = {
        **container,
        "name": "node",
        "environment": variables,
        "logConfiguration": {"logDriver": "awslogs", "options": options},
    }
    copied = ("requiresCompatibilities", "networkMode", "cpu", "memory", "executionRoleArn", "taskRoleArn")
    return {"family": SERVICE, **{key: like[key] for key in copied}, "containerDefinitions": [own]}


def _group(clients: Clients, name: str, like: Mapping[str, Any]) -> str:
    same = ("Protocol", "Port", "VpcId", "TargetType", "HealthCheckPath", "HealthCheckIntervalSeconds")
    more = ("HealthCheckTimeoutSeconds", "HealthyThresholdCount", "UnhealthyThresholdCount")
    answer = clients.call("elbv2", "CreateTargetGroup", Name=name, **{key: like[key] for key in (*same, *more)})
    group = str(answer["TargetGroups"][0]["TargetGroupArn"])
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "2"}]
    clients.call("elbv2", "ModifyTargetGroupAttributes", TargetGroupArn=group, Attributes=delay)
    return group


def _rule(clients: Clients, listener: str, host: str, *groups: str, priority: int | None = None) -> None:
    rules = clients.call("elbv2", "DescribeRules", ListenerArn=listener)["Rules"]
    taken = [int(one["Priority"]) for one in rules if not one["IsDefault"]]
    weights = [{"TargetGroupArn": one, "Weight": 0 if number else 100} for number, one in enumerate(groups)]
    clients.call(
        "elbv2",
        "CreateRule",
        ListenerArn=listener,
        Priority=priority or max(taken) + 10,
        Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": [host]}}],
        Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": weights}}],
    )


def _wait_until_healthy(clients: Clients, group: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while True:
        found = clients.call("elbv2", "DescribeTargetHealth", TargetGroupArn=group)["TargetHealthDescriptions"]
        states = [one["TargetHealth"]["State"] for one in found]
        if states == ["healthy"]:
            return
        assert time.monotonic() < deadline, json.dumps(found, default=str)
        time.sleep(0.2)

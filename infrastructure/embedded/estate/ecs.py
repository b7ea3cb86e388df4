"""The serving part of the estate on ECS: a cluster with one service per colour, behind one load balancer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infrastructure.embedded.errors import StartFailed
from infrastructure.embedded.layout import ACCOUNT_ID, REGION, Environment
from infrastructure.embedded.names import COLOURS, FIRST_COLOUR, Names

SETTLED_EVERY_S = 0.15
"""The pause between two questions whether the first release runs: each takes CPU time with which the release would start."""

CONTAINER, PORT = "api", 3000
HEALTH_CHECK = {
    "HealthCheckIntervalSeconds": 5,
    "HealthCheckTimeoutSeconds": 2,
    "HealthyThresholdCount": 2,
    "UnhealthyThresholdCount": 2,
}
"""The shortest times that a load balancer accepts."""
DEREGISTRATION_DELAY_S = 2
WARM_UP_S = 25
"""A release may answer 503 this long, as on App Runner."""
GRACE_S = (
    WARM_UP_S
    + HEALTH_CHECK["HealthyThresholdCount"] * HEALTH_CHECK["HealthCheckIntervalSeconds"]
    + HEALTH_CHECK["HealthCheckTimeoutSeconds"]
)
"""The time before ECS acts on the load balancer's health checks: the warm-up, and the checks that must pass after it."""
NETWORK = {
    "awsvpcConfiguration": {
        "subnets": ["subnet-0a000000000000001", "subnet-0b000000000000002"],
        "securityGroups": ["sg-0a000000000000001"],
        "assignPublicIp": "DISABLED",
    }
}
UNKNOWN_HOST = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain"}}]


@dataclass(frozen=True)
class Serving:
    """The part of the outputs that concerns ECS and the load balancer."""

    cluster: str = ""
    target_groups: Mapping[str, str] = field(default_factory=dict)
    colour_urls: Mapping[str, str] = field(default_factory=dict)
    listener_rule_arn: str = ""
    rehearsal_hosts: Mapping[str, str] = field(default_factory=dict)


class EcsEstate:
    """Load balancer, target groups, listeners, cluster and services of one environment; each step is safe to repeat."""

    def __init__(self, environment: Environment, client: Callable[[str], Any]) -> None:
        self._environment = environment
        self._names = environment.names
        self._client = client

    def ensure_log_groups(self) -> None:
        """Create the log groups for awslogs, which does not create them itself; moto forgets them when it ends."""
        logs = self._client("logs")
        for colour in COLOURS:
            try:
                logs.create_log_group(logGroupName=f"/ecs/{self._names.services[colour]}")
            except logs.exceptions.ResourceAlreadyExistsException:
                continue

    def ensure(self) -> Serving:
        """Create the load balancer with its listeners and rules, and the cluster; no service. Return their outputs."""
        elb = self._client("elbv2")
        subnets = NETWORK["awsvpcConfiguration"]["subnets"]
        balancer = elb.create_load_balancer(Name=self._names.prefix, Subnets=subnets)["LoadBalancers"][0][
            "LoadBalancerArn"
        ]
        groups = {colour: self._group(elb, colour) for colour in COLOURS}
        ports = self._environment.ports
        live, test = (self._listener(elb, balancer, port) for port in (ports.edge, ports.ingress))
        weights = {groups[colour]: 100 if colour == FIRST_COLOUR else 0 for colour in COLOURS}
        rule = _rule(elb, live, self._environment.live_host, weights)
        urls = {colour: self._environment.colour_url(colour) for colour in COLOURS}
        hosts = {colour: url.removeprefix("http://").partition(":")[0] for colour, url in urls.items()}
        rehearsal_hosts = {colour: f"rehearsal.{host}" for colour, host in hosts.items()}
        for colour, group in groups.items():
            _rule(elb, test, hosts[colour], {group: 1})
            _rule(elb, test, rehearsal_hosts[colour], {group: 1}, _as_host(self._environment.live_url))
        self._client("ecs").create_cluster(clusterName=self._names.prefix)
        return Serving(self._names.prefix, groups, urls, rule, rehearsal_hosts)

    def ensure_services(
        self, serving: Serving, image: str, variables: Mapping[str, str], secrets: Mapping[str, str]
    ) -> bool:
        """On the first `up`, create both services: one task of `image` on the first colour, none on the other.

        Existing services belong to the deployer and stay unchanged. Returns whether the first colour's was created.
        """
        ecs, made = self._client("ecs"), False
        for colour in (FIRST_COLOUR, *(other for other in COLOURS if other != FIRST_COLOUR)):
            name = self._names.services[colour]
            known = ecs.describe_services(cluster=self._names.prefix, services=[name])["services"]
            if known:
                continue
            definition = _definition(self._names, colour, image, {**variables, "DEPLOY_COLOR": colour}, secrets)
            arn = ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"]
            desired = 1 if colour == FIRST_COLOUR else 0
            ecs.create_service(**_service(self._names.prefix, name, arn, serving.target_groups[colour], desired))
            made = made or colour == FIRST_COLOUR
        return made

    def settled(self, within_s: float) -> None:
        """Wait until the first colour's service is deployed; raise StartFailed with its last stopped task's reason."""
        ecs, name = self._client("ecs"), self._names.services[FIRST_COLOUR]
        deadline = time.monotonic() + within_s
        while True:
            service = ecs.describe_services(cluster=self._names.prefix, services=[name])["services"][0]
            state = service["deployments"][0]["rolloutState"]
            if state == "COMPLETED":
                return
            if state == "FAILED" or time.monotonic() >= deadline:
                raise StartFailed(name, f"its deployment is {state}: {_last_reason(service)}")
            time.sleep(SETTLED_EVERY_S)

    def _group(self, elb: Any, colour: str) -> str:
        group = elb.create_target_group(
            Name=f"{self._names.prefix}-{colour}",
            TargetType="ip",
            Protocol="HTTP",
            Port=PORT,
            VpcId="vpc-00000000000000000",
            HealthCheckPath=self._environment.served.health_path,
            **HEALTH_CHECK,
        )["TargetGroups"][0]["TargetGroupArn"]
        delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": str(DEREGISTRATION_DELAY_S)}]
        elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=delay)
        return str(group)

    def _listener(self, elb: Any, balancer: str, port: int) -> str:
        for known in elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]:
            if known["Port"] == port:
                return str(known["ListenerArn"])
        made = elb.create_listener(LoadBalancerArn=balancer, Port=port, Protocol="HTTP", DefaultActions=UNKNOWN_HOST)
        return str(made["Listeners"][0]["ListenerArn"])


def _rule(elb: Any, listener: str, host: str, weights: Mapping[str, int], *transforms: Mapping[str, Any]) -> str:
    rules = elb.describe_rules(ListenerArn=listener)["Rules"]
    for known in rules:
        if any(host in condition["Values"] for condition in known["Conditions"]):
            return str(known["RuleArn"])
    groups = [{"TargetGroupArn": group, "Weight": weight} for group, weight in weights.items()]
    made = elb.create_rule(
        ListenerArn=listener,
        Priority=len(rules) * 10,
        Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": [host]}}],
        Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}],
        **({"Transforms": list(transforms)} if transforms else {}),
    )
    return str(made["Rules"][0]["RuleArn"])


def _as_host(url: str) -> Mapping[str, Any]:
    """Return the transform that replaces the request's host by the host of `url`."""
    rewrite = {"Regex": "^.+$", "Replace": url.removeprefix("http://")}
    return {"Type": "host-header-rewrite", "HostHeaderRewriteConfig": {"Rewrites": [rewrite]}}


def _definition(
    names: Names, colour: str, image: str, variables: Mapping[str, str], secrets: Mapping[str, str]
) -> dict[str, Any]:
    """Return the RegisterTaskDefinition request for a colour."""
    options = {
        "awslogs-group": f"/ecs/{names.services[colour]}",
        "awslogs-region": REGION,
        "awslogs-stream-prefix": "task",
    }
    return {
        "family": names.services[colour],
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/{names.prefix}-execution",
        "taskRoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/{names.prefix}-task",
        "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
        "containerDefinitions": [
            {
                "name": CONTAINER,
                "image": image,
                "essential": True,
                "portMappings": [{"containerPort": PORT, "protocol": "tcp"}],
                "environment": [{"name": name, "value": value} for name, value in variables.items()],
                "secrets": [{"name": name, "valueFrom": arn} for name, arn in secrets.items()],
                "stopTimeout": 10,
                "logConfiguration": {"logDriver": "awslogs", "options": options},
            }
        ],
    }


def _service(cluster: str, name: str, definition: str, group: str, desired: int) -> dict[str, Any]:
    """Return the CreateService request."""
    return {
        "cluster": cluster,
        "serviceName": name,
        "taskDefinition": definition,
        "desiredCount": desired,
        "launchType": "FARGATE",
        "networkConfiguration": NETWORK,
        "loadBalancers": [{"targetGroupArn": group, "containerName": CONTAINER, "containerPort": PORT}],
        "healthCheckGracePeriodSeconds": GRACE_S,
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            "minimumHealthyPercent": 100,
            "maximumPercent": 200,
        },
    }


def _last_reason(service: Mapping[str, Any]) -> str:
    stopped = [event["message"] for event in service["events"] if "has stopped" in event["message"]]
    return stopped[0] if stopped else "no task started"

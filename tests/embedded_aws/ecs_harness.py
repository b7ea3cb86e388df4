"""ECS and load balancers of the real endpoint, through boto3: helpers that create and describe services."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from infrastructure.embedded.estate.ecs import HEALTH_CHECK
from tests.embedded_aws.harness import ACCOUNT, REGION, REPOSITORY, Endpoint, client, free_port, wait_for

CLUSTER = "tests"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"]}}
FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/execution"


def ecs_endpoint(folder: Path, moto: str) -> Endpoint:
    """Return an endpoint on platform ECS with the port of one listener."""
    settings = {"platform": "ecs", "listener_ports": [free_port()], "listener_dir": str(folder / "listeners")}
    return Endpoint(folder, moto, settings)


@dataclass
class Cluster:
    """A cluster behind one load balancer; each test uses its own names for groups and services."""

    endpoint: Endpoint
    listener: str = ""
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ecs = client("ecs", self.endpoint.url)
        self.elb = client("elbv2", self.endpoint.url)
        self.ecs.create_cluster(clusterName=CLUSTER)
        balancer = self.elb.create_load_balancer(Name="tests", Subnets=["subnet-1", "subnet-2"])["LoadBalancers"][0]
        self.balancer = balancer["LoadBalancerArn"]
        known = self.elb.describe_listeners(LoadBalancerArn=self.balancer)["Listeners"]
        if not known:
            port = self.endpoint.settings["listener_ports"][0]
            known = self.elb.create_listener(
                LoadBalancerArn=self.balancer, Port=port, Protocol="HTTP", DefaultActions=FIXED
            )["Listeners"]
        self.listener = known[0]["ListenerArn"]

    def group(self, name: str, delay_s: int = 0) -> str:
        """Create a target group and add it to the last groups that the listener's default action forwards to."""
        made = self.elb.create_target_group(
            Name=name,
            TargetType="ip",
            Protocol="HTTP",
            Port=3000,
            VpcId="vpc-1",
            HealthCheckPath="/health",
            **HEALTH_CHECK,
        )
        arn: str = made["TargetGroups"][0]["TargetGroupArn"]
        self.elb.modify_target_group_attributes(
            TargetGroupArn=arn,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay_s)}],
        )
        self.made = [*(one for one in self.made if one != arn), arn][-5:]
        self.elb.modify_listener(ListenerArn=self.listener, DefaultActions=[forward(*self.made)])
        return arn

    def definition(self, family: str, image: str, **changes: Any) -> str:
        """Register a task definition and return its ARN."""
        answer = self.ecs.register_task_definition(**definition(family, image, **changes))
        arn: str = answer["taskDefinition"]["taskDefinitionArn"]
        return arn

    def service(self, name: str, image: str, count: int = 1, group: str | None = None, **changes: Any) -> str:
        """Create a service, a task definition of the same name and, unless given, a target group; return the group."""
        group = group or self.group(name)
        self.ecs.create_service(
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition=self.definition(name, image, **changes),
            desiredCount=count,
            launchType="FARGATE",
            networkConfiguration=NETWORK,
            loadBalancers=[{"targetGroupArn": group, "containerName": "api", "containerPort": 3000}],
            deploymentConfiguration=BREAKER,
        )
        return group

    def update(self, name: str, **changes: Any) -> dict[str, Any]:
        """Call UpdateService and return the service."""
        answer: dict[str, Any] = self.ecs.update_service(cluster=CLUSTER, service=name, **changes)["service"]
        return answer

    def describe(self, name: str) -> dict[str, Any]:
        """Return DescribeServices' answer for one service."""
        answer: dict[str, Any] = self.ecs.describe_services(cluster=CLUSTER, services=[name])["services"][0]
        return answer

    def deployed(self, name: str, within_s: float = 20.0) -> dict[str, Any]:
        """Wait until the service has one deployment, which is COMPLETED, and all tasks run; return the service."""

        def done() -> dict[str, Any] | None:
            service = self.describe(name)
            states = [one["rolloutState"] for one in service["deployments"]]
            settled = service["runningCount"] == service["desiredCount"] and service["pendingCount"] == 0
            return service if states == ["COMPLETED"] and settled else None

        service = wait_for(done, within_s)
        assert service is not None
        return service

    def tasks(self, name: str, status: str = "RUNNING") -> list[dict[str, Any]]:
        """Return a service's tasks with that desired status."""
        arns = self.ecs.list_tasks(cluster=CLUSTER, serviceName=name, desiredStatus=status)["taskArns"]
        described: list[dict[str, Any]] = self.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
        return described

    def targets(self, group: str) -> dict[str, str]:
        """Return the state of each target of a group, by its address."""
        shown = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {f"{one['Target']['Id']}:{one['Target']['Port']}": one["TargetHealth"]["State"] for one in shown}

    def ask(self, address: str, path: str = "/") -> dict[str, Any]:
        """Send a request to a target and return its answer."""
        answer: dict[str, Any] = httpx.get(f"http://{address}{path}", trust_env=False).json()
        return answer


def forward(*groups: str) -> dict[str, Any]:
    """Return a forward action over target groups, each with the weight 1."""
    weighted = [{"TargetGroupArn": group, "Weight": 1} for group in groups]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": weighted}}


def definition(family: str, image: str, secrets: dict[str, str] | None = None, **container: Any) -> dict[str, Any]:
    """Return RegisterTaskDefinition's members for a healthy release; `container` changes members of its container."""
    variables = container.pop("variables", {})
    own: dict[str, Any] = {
        "name": "api",
        "image": f"{REPOSITORY}@{image}" if image.startswith("sha256:") else image,
        "portMappings": [{"containerPort": 3000}],
        "environment": [{"name": name, "value": value} for name, value in variables.items()],
        "secrets": [{"name": name, "valueFrom": arn} for name, arn in (secrets or {}).items()],
        "stopTimeout": 2,
    }
    return {
        "family": family,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": ROLE,
        "containerDefinitions": [own | container],
    }


def awslogs(group: str) -> dict[str, Any]:
    """Return a logConfiguration for awslogs."""
    options = {"awslogs-group": group, "awslogs-region": REGION, "awslogs-stream-prefix": "task"}
    return {"logDriver": "awslogs", "options": options}

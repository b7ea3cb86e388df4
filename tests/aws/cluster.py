"""A fake of ECS for rolling deployments, in this process; the test decides when tasks start, fail, and get requests."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from deployment.model import Colour
from infrastructure.aws.errors import aws_errors
from tests.aws.conftest import SteppedClock
from tests.aws.shapes import checked

ACCOUNT, REGION = "123456789012", "us-east-1"
ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
ELB = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
GROUPS = {colour: f"{ELB}:targetgroup/api-{colour}/{number:016x}" for number, colour in enumerate(Colour)}
NAMES = {colour: f"api-{colour}" for colour in Colour}


def uri(digest: str) -> str:
    return f"{HOST}/telehealth-api@{digest}"


@dataclass
class Made:
    """One service: its deployments, newest first, and the definition of each running task."""

    colour: Colour
    definition: str
    desired: int
    deployments: list[dict[str, Any]] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    ended: list[dict[str, Any]] = field(default_factory=list)
    breaker: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    """Its service deployments, oldest first."""


class Cluster:
    """Answers as Clients does. Nothing happens by itself: ``settle`` and ``break_down`` do what ECS does over time."""

    def __init__(self, clock: SteppedClock) -> None:
        self.clock = clock
        self.definitions: dict[str, dict[str, Any]] = {}
        self.services: dict[str, Made] = {}
        self.health: dict[str, list[str]] = {arn: [] for arn in GROUPS.values()}
        self.bounds: dict[str, tuple[int, int]] = {}
        self.requests: dict[str, list[tuple[datetime, float]]] = {arn: [] for arn in GROUPS.values()}
        self.delay_s = 30
        self.runs: dict[str, str | None] = {}
        """By configured digest: the digest that ECS reports for its tasks, if it differs (None: not reported yet)."""
        self.index: dict[str, Sequence[str]] = {}
        self.wrote: list[str] = []
        self.settings: dict[str, dict[str, Any]] = {}
        """Fields of a service that replace its own, by the service's name; None: ECS leaves the field out."""
        self.no_history = ""
        """The code of ECS's refusal to list service deployments; empty if it lists them."""
        self._number = 0

    def create(self, colour: Colour, digest: str, tasks: int = 2, **more: Any) -> Made:
        """Create a service as Terraform leaves it, with its tasks running."""
        container = {
            "name": "api",
            "image": uri(digest),
            "environment": [{"name": "DEPLOY_COLOR", "value": str(colour)}],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "/ecs/api", "awslogs-stream-prefix": str(colour)},
            },
        }
        arn = self._register({"family": NAMES[colour], "containerDefinitions": [container], "cpu": "256", **more})
        made = self.services[NAMES[colour]] = Made(colour, arn, 0)
        self._deploy(made, arn, tasks)
        self.settle(colour)
        return made

    def settle(self, colour: Colour) -> None:
        """Start and register every task of the deployment, pass its health checks, and remove the former tasks."""
        made = self.services[NAMES[colour]]
        made.tasks = [made.definition] * made.desired
        self.health[GROUPS[colour]] = ["healthy"] * made.desired
        made.deployments = made.deployments[:1]
        made.deployments[0] |= {"rolloutState": "COMPLETED", "runningCount": made.desired}
        now = made.history[-1]
        now["status"] = "ROLLBACK_SUCCESSFUL" if now["status"].startswith("ROLLBACK") else "SUCCESSFUL"
        self._event(made, f"(service {NAMES[colour]}) has reached a steady state.")

    def break_down(self, colour: Colour) -> None:
        """Act as the circuit breaker: the deployment fails, and ECS deploys the definition before it again."""
        made = self.services[NAMES[colour]]
        failed, former = made.deployments[0], made.deployments[1]["taskDefinition"]
        failed |= {
            "rolloutState": "FAILED",
            "failedTasks": 3,
            "rolloutStateReason": "ECS deployment circuit breaker: tasks failed to start.",
        }
        made.history[-1] |= {"status": "ROLLBACK_IN_PROGRESS", "rollback": {"reason": "Circuit breaker triggered."}}
        self._deploy(made, former, made.desired, recorded=False)
        self._event(made, f"(service {NAMES[colour]}) rolling back to deployment.")

    def call(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
        """Answer one call to any service that the platform uses."""
        with aws_errors(service, operation):
            answer = copy.deepcopy(self._answer(service, operation, given))
            return checked(service, operation, given, answer)

    def pages(self, service: str, operation: str, key: str, /, *, marker: str, **given: Any) -> list[Any]:
        """Return the only page."""
        assert marker == "nextToken"
        return list(self.call(service, operation, **given)[key])

    def _answer(self, service: str, operation: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation in ("RegisterTaskDefinition", "UpdateService", "RegisterScalableTarget"):
            self.wrote.append(operation)
        answers: dict[str, Any] = {
            "DescribeServices": lambda: self._described(given["services"]),
            "DescribeTaskDefinition": lambda: self._definition(given["taskDefinition"]),
            "RegisterTaskDefinition": lambda: {"taskDefinition": self.definitions[self._register(given)]},
            "UpdateService": lambda: self._update(given),
            "ListTasks": lambda: {"taskArns": self._listed(given["serviceName"], given["desiredStatus"])},
            "ListServiceDeployments": lambda: {"serviceDeployments": self._history(given["service"])},
            "DescribeServiceDeployments": lambda: {
                "serviceDeployments": [
                    one
                    for made in self.services.values()
                    for one in made.history
                    if one["serviceDeploymentArn"] in given["serviceDeploymentArns"]
                ]
            },
            "DescribeTasks": lambda: {"tasks": [self._task(arn) for arn in given["tasks"]]},
            "DescribeTargetHealth": lambda: {
                "TargetHealthDescriptions": [
                    {"TargetHealth": {"State": state, "Reason": "Target.FailedHealthChecks"}}
                    for state in self.health[given["TargetGroupArn"]]
                ]
            },
            "DescribeTargetGroups": lambda: {"TargetGroups": [{"LoadBalancerArns": [f"{ELB}:loadbalancer/app/lb/1"]}]},
            "DescribeTargetGroupAttributes": lambda: {
                "Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": str(self.delay_s)}]
            },
            "GetMetricData": lambda: self._figures(given),
            "DescribeScalableTargets": lambda: {
                "ScalableTargets": [self._target(one) for one in given["ResourceIds"] if one in self.bounds]
            },
            "RegisterScalableTarget": lambda: (
                self.bounds.update({given["ResourceId"]: (given["MinCapacity"], given["MaxCapacity"])}) or {}
            ),
            "BatchGetImage": lambda: self._image(given["imageIds"][0]["imageDigest"]),
        }
        assert service in ("ecs", "elbv2", "cloudwatch", "application-autoscaling", "ecr"), service
        found: Mapping[str, Any] = answers[operation]()
        return found

    def _described(self, names: Sequence[str]) -> Mapping[str, Any]:
        return {"services": [self._service(self.services[name]) for name in names if name in self.services]}

    def _service(self, made: Made) -> Mapping[str, Any]:
        name = NAMES[made.colour]
        own = {
            "serviceName": name,
            "serviceArn": f"{ARN}:service/main/{name}",
            "status": "ACTIVE",
            "taskDefinition": made.definition,
            "desiredCount": made.desired,
            "runningCount": len(made.tasks),
            "pendingCount": 0,
            "launchType": "FARGATE",
            "deployments": made.deployments,
            "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": made.breaker, "rollback": made.breaker}},
            "events": made.events,
            "loadBalancers": [{"targetGroupArn": GROUPS[made.colour], "containerName": "api", "containerPort": 8080}],
        }
        return {key: value for key, value in (own | self.settings.get(name, {})).items() if value is not None}

    def _update(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        made = self.services[given["service"]]
        wanted = given.get("taskDefinition", made.definition)
        if wanted != made.definition or given.get("forceNewDeployment"):
            self._deploy(made, wanted, given["desiredCount"])
        made.desired = made.deployments[0]["desiredCount"] = given["desiredCount"]
        return {"service": self._service(made)}

    def _history(self, name: str) -> list[dict[str, Any]]:
        if self.no_history:
            raise ClientError({"Error": {"Code": self.no_history}}, "ListServiceDeployments")
        known = ("serviceDeploymentArn", "createdAt", "status")
        return [{key: one[key] for key in known} for one in reversed(self.services[name].history)]

    def _deploy(self, made: Made, definition: str, desired: int, *, recorded: bool = True) -> None:
        self._number += 1
        self.clock.sleep(1)
        for former in made.deployments:
            former["status"] = "ACTIVE"
        made.definition, made.desired = definition, desired
        deployment = {
            "id": f"ecs-svc/{self._number}",
            "status": "PRIMARY",
            "taskDefinition": definition,
            "desiredCount": desired,
            "runningCount": 0,
            "rolloutState": "IN_PROGRESS",
            "createdAt": self.clock.now(),
        }
        made.deployments.insert(0, deployment)
        if recorded:
            made.history[-1:] = [
                one | {"status": "STOPPED"} if one["status"] == "IN_PROGRESS" else one for one in made.history[-1:]
            ]
            arn = f"{ARN}:service-deployment/main/{NAMES[made.colour]}/{self._number}"
            made.history.append({"serviceDeploymentArn": arn, "createdAt": self.clock.now(), "status": "IN_PROGRESS"})

    def _register(self, given: Mapping[str, Any]) -> str:
        revision = 1 + sum(one["family"] == given["family"] for one in self.definitions.values())
        arn = f"{ARN}:task-definition/{given['family']}:{revision}"
        own = {key: value for key, value in given.items() if key != "tags"}
        self.definitions[arn] = {**own, "taskDefinitionArn": arn, "revision": revision, "status": "ACTIVE"}
        return arn

    def _definition(self, name: str) -> Mapping[str, Any]:
        if name in self.definitions:
            return {"taskDefinition": self.definitions[name]}
        newest = [arn for arn in self.definitions if f":task-definition/{name}:" in arn]
        if not newest:
            raise ClientError({"Error": {"Code": "ClientException"}}, "DescribeTaskDefinition")
        tags = [
            {"key": "Color", "value": name.rpartition("-")[2]},
            {"key": "aws:cloudformation:stack-name", "value": "x"},
        ]
        return {"taskDefinition": self.definitions[newest[-1]], "tags": tags}

    def end(self, colour: Colour, **said: Any) -> None:
        """Start and end a task of the newest deployment."""
        made = self.services[NAMES[colour]]
        self.clock.sleep(1)
        told = {"stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited"}
        own = {"startedBy": made.deployments[0]["id"], "lastStatus": "STOPPED", "stoppedAt": self.clock.now()}
        container = {"name": "api", "exitCode": 1}
        made.ended.append({"taskDefinitionArn": made.definition, "containers": [container], **told, **own, **said})

    def _listed(self, name: str, desired: str) -> list[str]:
        made = self.services[name]
        if desired == "STOPPED":
            return [f"{name}/ended-{number}" for number, _ in enumerate(made.ended)]
        return [f"{name}/{number}" for number, _ in enumerate(made.tasks)]

    def _task(self, arn: str) -> Mapping[str, Any]:
        name, _, number = arn.partition("/")
        if number.startswith("ended-"):
            return {"taskArn": arn, **self.services[name].ended[int(number.removeprefix("ended-"))]}
        definition = self.services[name].tasks[int(number)]
        configured = self.definitions[definition]["containerDefinitions"][0]["image"].partition("@")[2]
        container = {"name": "api", "lastStatus": "RUNNING"}
        if (running := self.runs.get(configured, configured)) is not None:
            container["imageDigest"] = running
        return {"taskArn": arn, "taskDefinitionArn": definition, "lastStatus": "RUNNING", "containers": [container]}

    def _figures(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        metric = given["MetricDataQueries"][0]["MetricStat"]["Metric"]
        group = next(one["Value"] for one in metric["Dimensions"] if one["Name"] == "TargetGroup")
        found = next(asked for arn, asked in self.requests.items() if arn.endswith(group))
        values = [count for at, count in found if given["StartTime"] <= at < given["EndTime"]]
        return {"MetricDataResults": [{"Id": "requests", "Values": values}]}

    def _target(self, resource: str) -> Mapping[str, Any]:
        least, most = self.bounds[resource]
        return {
            "ServiceNamespace": "ecs",
            "ResourceId": resource,
            "ScalableDimension": "ecs:service:DesiredCount",
            "MinCapacity": least,
            "MaxCapacity": most,
            "RoleARN": "arn:aws:iam::123456789012:role/x",
            "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
        }

    def _image(self, digest: str) -> Mapping[str, Any]:
        entries = ",".join(f'{{"digest": "{one}"}}' for one in self.index.get(digest, ()))
        return {"images": [{"imageManifest": f'{{"manifests": [{entries}]}}' if entries else "{}"}]}

    def _event(self, made: Made, text: str) -> None:
        made.events.insert(
            0, {"id": str(len(made.events)), "createdAt": self.clock.now() + timedelta(0), "message": text}
        )

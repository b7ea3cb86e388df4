"""Requests to ECS, and the meaning of its deployments: pure functions, so that a test of a rule takes one line."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployment.errors import ProvisionFailed
from deployment.model import Progress, Readiness
from infrastructure.aws.ecs.service_deployments import NONE_BEFORE

_COPIED = (
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "volumes",
    "placementConstraints",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "inferenceAccelerators",
    "ephemeralStorage",
    "runtimePlatform",
    "enableFaultInjection",
)
"""The fields of DescribeTaskDefinition that RegisterTaskDefinition accepts, besides the containers and the tags."""


_UNKNOWN = "?"

History = Callable[[], Sequence[Mapping[str, Any]] | None]
"""Returns the service deployments from the followed one on, the oldest first; None if ECS does not say."""


@dataclass(frozen=True)
class Followed:
    """The content of a rollout's ``operation``: the task definition that must run, and the deployment that starts it.

    ``before`` is the ARN of the service deployment before that one; None if it is unknown.
    """

    definition: str
    deployment: str
    before: str | None

    @classmethod
    def parse(cls, text: str) -> Followed:
        """Read the text that ``__str__`` wrote. Earlier versions wrote a time in place of ``before``: it says nothing."""
        definition, deployment, before = text.split(" ")
        return cls(definition, deployment, before if before.startswith(("arn:", NONE_BEFORE)) else None)

    def __str__(self) -> str:
        return f"{self.definition} {self.deployment} {self.before or _UNKNOWN}"


def followed(deployment: Mapping[str, Any], before: str | None) -> Followed:
    """Return the values by which a rollout follows one of a service's deployments."""
    return Followed(str(deployment.get("taskDefinition", "-")), str(deployment.get("id", "-")), before)


def foreign_deployer(service: Mapping[str, Any]) -> str | None:
    """Return why an update of the service would not be a rolling deployment by ECS alone; None if it would.

    With another controller UpdateService is refused, or starts nothing. With another strategy ECS shifts traffic by itself,
    before any gate has run.
    """
    controller = service.get("deploymentController", {}).get("type", "ECS")
    if controller != "ECS":
        return (
            f"its deployment controller is {controller}, which deploys instead of ECS; set it to ECS (`aws ecs update-service "
            "--deployment-controller type=ECS`), or create the service again"
        )
    strategy = service.get("deploymentConfiguration", {}).get("strategy", "ROLLING")
    if strategy != "ROLLING":
        return (
            f"its deployment strategy is {strategy}: ECS would shift traffic by itself, before any gate; set it to ROLLING "
            "(`aws ecs update-service --deployment-configuration strategy=ROLLING`)"
        )
    return None


def main_container(service: Mapping[str, Any], group: str) -> str:
    """Return the container that gets the target group's traffic. Raises ProvisionFailed if the service is not behind it."""
    for one in service.get("loadBalancers", ()):
        if one.get("targetGroupArn") == group:
            return str(one["containerName"])
    raise ProvisionFailed(
        f"{service['serviceName']} registers no tasks with {group.rpartition(':')[2]}",
        hint="Compare target_groups in deployment.toml with the services: the two colours may be swapped.",
    )


def image_of(definition: Mapping[str, Any], container: str) -> str:
    """Return the image of one container; empty if the definition has no such container."""
    found = (one["image"] for one in definition.get("containerDefinitions", ()) if one["name"] == container)
    return str(next(found, ""))


def digest_of(image: str) -> str | None:
    """Return the digest in an image's name; None if the image is named by a tag."""
    return image.partition("@")[2] or None


def repository_of(image: str) -> str:
    """Return the ``HOST/NAME`` part of an image's name."""
    name = image.partition("@")[0]
    return name if ":" not in name.rpartition("/")[2] else name.rpartition(":")[0]


def register_request(
    definition: Mapping[str, Any], tags: Sequence[Mapping[str, str]], container: str, uri: str
) -> dict[str, Any]:
    """Return the RegisterTaskDefinition request for a new image; everything else stays.

    Other containers whose image is of the same repository (migrations) get the new image, too.
    """
    request = {key: copy.deepcopy(definition[key]) for key in _COPIED if definition.get(key)}
    request["containerDefinitions"] = [
        {**copy.deepcopy(dict(one)), "image": uri}
        if one["name"] == container or repository_of(one["image"]) == repository_of(uri)
        else copy.deepcopy(dict(one))
        for one in definition["containerDefinitions"]
    ]
    own = [{"key": tag["key"], "value": tag["value"]} for tag in tags if not tag["key"].startswith("aws:")]
    if own:
        request["tags"] = own
    return request


def configuration_hash(service: Mapping[str, Any], definition: Mapping[str, Any], repository: str) -> str:
    """Return a hash over the configuration except the release's image and the number of its tasks."""
    containers = [
        {key: value for key, value in one.items() if key != "image" or repository_of(value) != repository}
        for one in definition.get("containerDefinitions", ())
    ]
    configured = {
        "containers": containers,
        **{key: definition.get(key) or None for key in _COPIED if key != "family"},
        **{key: service.get(key) for key in ("launchType", "capacityProviderStrategy", "platformVersion")},
        **{key: service.get(key) for key in ("networkConfiguration", "healthCheckGracePeriodSeconds")},
    }
    return hashlib.sha256(json.dumps(configured, sort_keys=True, default=str).encode()).hexdigest()


def primary(service: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the deployment that the service is to have; empty if it never had one."""
    found = (one for one in service.get("deployments", ()) if one.get("status") == "PRIMARY")
    return next(found, {})


def under_way(service: Mapping[str, Any]) -> bool:
    """Return whether ECS is replacing tasks."""
    return primary(service).get("rolloutState") == "IN_PROGRESS" or len(service.get("deployments", ())) > 1


def gives_up(service: Mapping[str, Any]) -> bool:
    """Return whether ECS itself ends a deployment whose tasks fail, by its circuit breaker."""
    return bool(service.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker", {}).get("enable"))


def most_failures(service: Mapping[str, Any]) -> int:
    """Return at how many failed tasks AWS's own circuit breaker ends a deployment: half of the desired ones, from 3 to 200.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
    """
    return min(max(math.ceil(int(service["desiredCount"]) / 2), 3), 200)


def judge(service: Mapping[str, Any], ours: Followed, history: History) -> Progress | None:
    """Return the state of the followed deployment; None if ECS reports it as complete.

    After a circuit breaker's rollback the service is as stable as any other. So if the service has another deployment than
    the followed one, its history decides.
    """
    name, now = service["serviceName"], primary(service)
    own = next((one for one in service.get("deployments", ()) if one.get("id") == ours.deployment), None)
    if own is not None and own.get("rolloutState") == "FAILED":
        why = own.get("rolloutStateReason") or "the deployment failed"
        return Progress(Readiness.STUCK, f"{name}: {why}; the release did not come up, its logs say why")
    if now.get("id") != ours.deployment:
        decided = _replaced(service, ours, history())
        if decided is not None:
            return decided
    return _unfinished(service)


def _unfinished(service: Mapping[str, Any]) -> Progress | None:
    """Return how far the newest deployment is; None if it is complete."""
    now = primary(service)
    if now.get("rolloutState") == "COMPLETED":
        return None
    counts = f"{now.get('runningCount', 0)} of {now.get('desiredCount', 0)} tasks run"
    failed = f", {now['failedTasks']} failed to start" if now.get("failedTasks") else ""
    # The state first: a terminal cuts the end of the line.
    return Progress(Readiness.NOT_YET, f"{counts}{failed}: {service['serviceName']}; {_newest_event(service)}")


def _replaced(
    service: Mapping[str, Any], ours: Followed, history: Sequence[Mapping[str, Any]] | None
) -> Progress | None:
    """Return why the service shows another deployment than the followed one; None if a later one starts the same release."""
    name, now = service["serviceName"], primary(service)
    if history is None:
        return Progress(
            Readiness.NOT_YET,
            f"unknown: {name} has deployment {now.get('id', '-')}, and ECS does not say what became of {ours.deployment}",
        )
    own, later, same = next(iter(history), None), history[1:], now.get("taskDefinition") == ours.definition
    if later and same:
        return None
    shown = f"{name}: ECS deploys {_short(now.get('taskDefinition'))}, not {_short(ours.definition)}"
    status = str((own or {}).get("status"))
    if own is not None and (status.startswith("ROLLBACK_") or (status.startswith("STOP") and not later)):
        why = own.get("rollback", {}).get("reason") or own.get("statusReason") or status
        back = "it stopped the deployment" if status.startswith("STOP") else "it rolled the deployment back"
        return Progress(Readiness.STUCK, f"{shown}: {back} ({why})")
    if later:
        return Progress(Readiness.STUCK, f"{shown}: another user deployed")
    return Progress(Readiness.NOT_YET, f"not listed yet: deployment {ours.deployment} of {name}")


def _newest_event(service: Mapping[str, Any]) -> str:
    events = service.get("events", ())
    return str(events[0].get("message", "")) if events else "no event yet"


def _short(arn: object) -> str:
    return str(arn).rpartition("/")[2]

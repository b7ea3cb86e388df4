"""What is sent to ECS, and what its deployments mean: pure functions, so that each rule can be tried in a line."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deployment.errors import ProvisionFailed
from deployment.model import Progress, Readiness

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
"""What RegisterTaskDefinition takes of what DescribeTaskDefinition gives; the containers and the tags come besides."""


@dataclass(frozen=True)
class Followed:
    """What a rollout's ``operation`` says: the task definition that has to run, the deployment that brings it up, its start.

    ``began`` is in seconds since the epoch, by ECS's clock.
    """

    definition: str
    deployment: str
    began: float

    @classmethod
    def parse(cls, text: str) -> Followed:
        """Reads what ``__str__`` wrote."""
        definition, deployment, began = text.split(" ")
        return cls(definition, deployment, float(began))

    def __str__(self) -> str:
        return f"{self.definition} {self.deployment} {self.began:.3f}"


def followed(deployment: Mapping[str, Any]) -> Followed:
    """One entry of a service's deployments as what is to be followed."""
    began = deployment.get("createdAt")
    return Followed(
        str(deployment.get("taskDefinition", "-")),
        str(deployment.get("id", "-")),
        began.timestamp() if isinstance(began, datetime) else 0.0,
    )


def main_container(service: Mapping[str, Any], group: str) -> str:
    """The container that the target group's traffic goes to. Raises ProvisionFailed where the service is not behind it."""
    for one in service.get("loadBalancers", ()):
        if one.get("targetGroupArn") == group:
            return str(one["containerName"])
    raise ProvisionFailed(
        f"{service['serviceName']} registers no tasks with {group.rpartition(':')[2]}",
        hint="Compare target_groups in deployment.toml with the services: is a colour's target group the other one's?",
    )


def image_of(definition: Mapping[str, Any], container: str) -> str:
    """The image of one container, empty where there is no such container."""
    found = (one["image"] for one in definition.get("containerDefinitions", ()) if one["name"] == container)
    return str(next(found, ""))


def digest_of(image: str) -> str | None:
    """The digest that an image is named by, None where it is named by a tag."""
    return image.partition("@")[2] or None


def repository_of(image: str) -> str:
    """``HOST/NAME`` of an image."""
    name = image.partition("@")[0]
    return name if ":" not in name.rpartition("/")[2] else name.rpartition(":")[0]


def register_request(
    definition: Mapping[str, Any], tags: Sequence[Mapping[str, str]], container: str, uri: str
) -> dict[str, Any]:
    """RegisterTaskDefinition for a new image: all else as it is, containers of the same repository (migrations) along."""
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
    """A hash over all that is configured but the release's image, and how many tasks of it run."""
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
    """The deployment that the service is to have; empty where it never had one."""
    found = (one for one in service.get("deployments", ()) if one.get("status") == "PRIMARY")
    return next(found, {})


def under_way(service: Mapping[str, Any]) -> bool:
    """Whether tasks are being exchanged."""
    return primary(service).get("rolloutState") == "IN_PROGRESS" or len(service.get("deployments", ())) > 1


def gives_up(service: Mapping[str, Any]) -> bool:
    """Whether ECS itself ends a deployment whose tasks fail, by its circuit breaker."""
    return bool(service.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker", {}).get("enable"))


def most_failures(service: Mapping[str, Any]) -> int:
    """So many tasks of a deployment may fail as AWS's own circuit breaker would let: half of those wanted, 3 at the least.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
    """
    return min(max(math.ceil(int(service["desiredCount"]) / 2), 3), 200)


def judge(service: Mapping[str, Any], ours: Followed) -> Progress | None:
    """What has come of the deployment that is followed; None where ECS says that it is complete.

    A circuit breaker that rolls back ends in a service as stable as any other: only the task definition tells.
    """
    name, now = service["serviceName"], primary(service)
    own = next((one for one in service.get("deployments", ()) if one.get("id") == ours.deployment), None)
    if own is not None and own.get("rolloutState") == "FAILED":
        why = own.get("rolloutStateReason") or "the deployment failed"
        return Progress(Readiness.STUCK, f"{name}: {why}; the release did not come up, its logs say why")
    if now.get("taskDefinition") != ours.definition:
        if followed(now).began < ours.began:
            return Progress(Readiness.NOT_YET, f"{name}: {ours.deployment} is not listed yet")  # an answer of before it
        return Progress(
            Readiness.STUCK,
            f"{name} is brought to {_short(now.get('taskDefinition'))}, not to {_short(ours.definition)}: "
            "ECS rolled the deployment back, or somebody else deployed",
        )
    if now.get("rolloutState") != "COMPLETED":
        counts = f"{now.get('runningCount', 0)} of {now.get('desiredCount', 0)} tasks run"
        failed = f", {now['failedTasks']} failed to start" if now.get("failedTasks") else ""
        return Progress(Readiness.NOT_YET, f"{name}: {counts}{failed}; {_newest_event(service)}")
    if own is None and followed(now).began < ours.began:
        # The same task definition, completed before ours began: a forced deployment that is not listed yet.
        return Progress(Readiness.NOT_YET, f"{name}: {ours.deployment} is not listed yet")
    return None


def _newest_event(service: Mapping[str, Any]) -> str:
    events = service.get("events", ())
    return str(events[0].get("message", "")) if events else "no event yet"


def _short(arn: object) -> str:
    return str(arn).rpartition("/")[2]

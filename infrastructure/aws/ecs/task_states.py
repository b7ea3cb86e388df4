"""The running tasks, and whether each runs the requested image."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from deployment.errors import CloudError, NotFound
from deployment.model import Progress, Readiness
from infrastructure.aws.ecs.requests import image_of, repository_of
from infrastructure.aws.session import Clients

_MOST_TASKS = 100
"""The most tasks that one DescribeTasks call takes."""


_STOPPED_BY_ECS = "ServiceSchedulerInitiated"
_FAILED = ("EssentialContainerExited", _STOPPED_BY_ECS, "TaskFailedToStart")
"""The stopCode of a task that ended by itself, that ECS stopped, and that never started."""
_SCALED_IN = "Scaling activity initiated"
"""How the reason begins of a healthy task that ECS stopped because fewer are wanted: only the text tells it from a failed one.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
"""


class Tasks:
    """The tasks of a cluster's services."""

    def __init__(self, clients: Clients, cluster: str) -> None:
        self._clients = clients
        self._cluster = cluster
        self._digests: dict[str, frozenset[str]] = {}

    def mismatch(self, service: Mapping[str, Any], container: str, definition: str, digest: str) -> Progress | None:
        """Return why the running tasks are not the release: one is missing or wrong. None if all run it. Raises CloudError."""
        name, wanted = service["serviceName"], int(service["desiredCount"])
        tasks = [task for task in self._tasks(name, "RUNNING") if task.get("lastStatus") == "RUNNING"]
        if len(tasks) < wanted:
            return Progress(Readiness.NOT_YET, f"{len(tasks)} of {wanted} tasks run: {name}")
        if any(task["taskDefinitionArn"] != definition for task in tasks):
            return Progress(Readiness.NOT_YET, f"a task of the former deployment is still ending: {name}")
        accepted = self._digests_of(definition, container, digest)
        for task in tasks:
            found = next((one.get("imageDigest") for one in task["containers"] if one["name"] == container), None)
            if found is None:
                return Progress(Readiness.NOT_YET, f"ECS does not report yet which image a task runs: {name}")
            if found not in accepted:
                return Progress(Readiness.STUCK, f"{name}: a task runs {found}, not {digest}")
        return None

    def failing(self, service: Mapping[str, Any], deployment: str, most: int) -> Progress | None:
        """Return STUCK, with the last task's reason, if too many tasks of a deployment have ended; otherwise None.

        Without a circuit breaker ECS starts one task after the other and never gives up. Raises CloudError.
        """
        ended = self._ended(service["serviceName"], deployment)
        if len(ended) < most:
            return None
        return Progress(
            Readiness.STUCK,
            f"{service['serviceName']}: {len(ended)} tasks of this deployment have ended, {most} are too many; "
            f"the last one: {_why(ended[-1])}; the release did not come up, its logs say why",
        )

    def failure_reason(self, service: Mapping[str, Any], deployment: str) -> str | None:
        """Return why a deployment's tasks ended; None if none ended, or ECS does not answer. Never raises CloudError.

        It is the reason of the last task that ended by itself, or else of the first that ECS stopped: the later ones
        stopped with the deployment.
        """
        try:
            ended = self._ended(service["serviceName"], deployment)
        except CloudError:
            return None  # the release is refused without this reason, too
        by_themselves = [task for task in ended if task["stopCode"] != _STOPPED_BY_ECS]
        return _why(by_themselves[-1] if by_themselves else ended[0]) if ended else None

    def _ended(self, name: str, deployment: str) -> Sequence[Mapping[str, Any]]:
        """Return the failed tasks of a deployment, in the order in which they stopped."""
        found = [task for task in self._tasks(name, "STOPPED") if task.get("startedBy") == deployment and _failed(task)]
        return sorted(found, key=lambda task: _seconds(task.get("stoppedAt")))

    def _tasks(self, name: str, desired: str) -> Sequence[Mapping[str, Any]]:
        arns = self._clients.pages(
            "ecs",
            "ListTasks",
            "taskArns",
            marker="nextToken",
            cluster=self._cluster,
            serviceName=name,
            desiredStatus=desired,
        )
        found: list[Mapping[str, Any]] = []
        for begin in range(0, len(arns), _MOST_TASKS):
            some = arns[begin : begin + _MOST_TASKS]
            found += self._clients.call("ecs", "DescribeTasks", cluster=self._cluster, tasks=some)["tasks"]
        return found

    def _digests_of(self, definition: str, container: str, digest: str) -> frozenset[str]:
        """Return the digests of this image: its own and, if it is an index of several platforms, its manifests' digests."""
        if digest not in self._digests:
            found = self._clients.call("ecs", "DescribeTaskDefinition", taskDefinition=definition)["taskDefinition"]
            self._digests[digest] = frozenset({digest, *self._manifests(image_of(found, container), digest)})
        return self._digests[digest]

    def _manifests(self, image: str, digest: str) -> Sequence[str]:
        host, _, repository = repository_of(image).partition("/")
        try:
            answer = self._clients.call(
                "ecr",
                "BatchGetImage",
                registryId=host.partition(".")[0],
                repositoryName=repository,
                imageIds=[{"imageDigest": digest}],
            )
        except NotFound:
            return ()
        return [
            str(entry["digest"])
            for one in answer.get("images", ())
            for entry in json.loads(one["imageManifest"]).get("manifests", ())
        ]


def _failed(task: Mapping[str, Any]) -> bool:
    """Return whether a task's end is a failure of its release, and not a scale-in."""
    scaled_in = str(task.get("stoppedReason", "")).startswith(_SCALED_IN)
    return task.get("stopCode") in _FAILED and not (task["stopCode"] == _STOPPED_BY_ECS and scaled_in)


def _why(task: Mapping[str, Any]) -> str:
    """Return ECS's account of a task's end: its reason, and the exit code and reason of each container that has one."""
    containers = []
    for one in task.get("containers", ()):
        code = f"exit code {one['exitCode']}" if "exitCode" in one else ""
        if said := ", ".join(filter(None, (code, one.get("reason")))):
            containers.append(f"{one['name']}: {said}")
    reason = str(task.get("stoppedReason") or "ECS gives no reason").rstrip(".")
    return f"{reason} ({'; '.join(containers)})" if containers else reason


def _seconds(moment: object) -> float:
    return moment.timestamp() if isinstance(moment, datetime) else 0.0

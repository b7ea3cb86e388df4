"""The tasks that run, and whether each runs the image that was asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deployment.errors import NotFound
from deployment.model import Progress, Readiness
from infrastructure.aws.ecs_requests import image_of, repository_of
from infrastructure.aws.session import Clients

_MOST_TASKS = 100
"""DescribeTasks takes no more at once."""


class Tasks:
    """The tasks of a cluster's services."""

    def __init__(self, clients: Clients, cluster: str) -> None:
        self._clients = clients
        self._cluster = cluster
        self._meant: dict[str, frozenset[str]] = {}

    def strange(self, service: Mapping[str, Any], container: str, definition: str, digest: str) -> Progress | None:
        """A running task that is not the release, or is missing; None where each is there and runs it. Raises CloudError."""
        name, wanted = service["serviceName"], int(service["desiredCount"])
        tasks = [task for task in self._running(name) if task.get("lastStatus") == "RUNNING"]
        if len(tasks) < wanted:
            return Progress(Readiness.NOT_YET, f"{name}: {len(tasks)} of {wanted} tasks run")
        if any(task["taskDefinitionArn"] != definition for task in tasks):
            return Progress(Readiness.NOT_YET, f"{name}: a task of the former deployment is still ending")
        meant = self._meaning(definition, container, digest)
        for task in tasks:
            found = next((one.get("imageDigest") for one in task["containers"] if one["name"] == container), None)
            if found is None:
                return Progress(Readiness.NOT_YET, f"{name}: ECS does not say yet which image a task runs")
            if found not in meant:
                return Progress(Readiness.STUCK, f"{name}: a task runs {found}, not {digest}")
        return None

    def _running(self, name: str) -> Sequence[Mapping[str, Any]]:
        arns = self._clients.pages(
            "ecs",
            "ListTasks",
            "taskArns",
            marker="nextToken",
            cluster=self._cluster,
            serviceName=name,
            desiredStatus="RUNNING",
        )
        found: list[Mapping[str, Any]] = []
        for begin in range(0, len(arns), _MOST_TASKS):
            some = arns[begin : begin + _MOST_TASKS]
            found += self._clients.call("ecs", "DescribeTasks", cluster=self._cluster, tasks=some)["tasks"]
        return found

    def _meaning(self, definition: str, container: str, digest: str) -> frozenset[str]:
        """The digests that mean this image: its own and, where it is an index of several platforms, its manifests'."""
        if digest not in self._meant:
            found = self._clients.call("ecs", "DescribeTaskDefinition", taskDefinition=definition)["taskDefinition"]
            self._meant[digest] = frozenset({digest, *self._manifests(image_of(found, container), digest)})
        return self._meant[digest]

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

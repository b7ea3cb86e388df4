"""The API of tasks: it lists, describes and stops them; only services start tasks here."""

from __future__ import annotations

from collections.abc import Callable

from infrastructure.embedded.aws.ecs.documents import task_document
from infrastructure.embedded.aws.ecs.errors import invalid, service_not_found
from infrastructure.embedded.aws.ecs.records import Cluster, Document, Task
from infrastructure.embedded.aws.ecs.runner import Runner
from infrastructure.embedded.aws.ecs.services import Services
from infrastructure.embedded.aws.ecs.store import Store

DESCRIBED_AT_ONCE = 100


class Tasks:
    """The API of tasks."""

    def __init__(self, store: Store, services: Services, runner: Runner) -> None:
        self._store = store
        self._services = services
        self._runner = runner

    def handlers(self) -> dict[str, Callable[[Document], Document]]:
        """Return the handler of each operation, by its name."""
        return {"ListTasks": self.list_tasks, "DescribeTasks": self.describe, "StopTask": self.stop}

    def list_tasks(self, request: Document) -> Document:
        """Answer ListTasks of a cluster, a service or a family, by desired status (default RUNNING)."""
        cluster = self._services.cluster(request)
        unknown = request.keys() - {
            "cluster",
            "serviceName",
            "family",
            "desiredStatus",
            "maxResults",
            "launchType",
            "startedBy",
        }
        if unknown:
            raise invalid(f"Not supported by the embedded ECS: {', '.join(sorted(unknown))}")
        tasks = self._of(cluster)
        if "serviceName" in request:
            service = self._services.find(cluster, request["serviceName"])
            if service is None:
                raise service_not_found()
            tasks = [task for task in tasks if task.service == service.arn]
        if "family" in request:
            tasks = [
                task for task in tasks if task.task_definition.rpartition("/")[2].partition(":")[0] == request["family"]
            ]
        if "startedBy" in request:
            tasks = [task for task in tasks if task.deployment == request["startedBy"]]
        wanted = request.get("desiredStatus", "RUNNING")
        shown = [task.arn for task in tasks if task.desired == wanted]
        return {"taskArns": shown[: request.get("maxResults", 100)]}

    def describe(self, request: Document) -> Document:
        """Answer DescribeTasks; tasks that are unknown or no longer kept are listed as failures."""
        cluster = self._services.cluster(request)
        if not 1 <= len(request["tasks"]) <= DESCRIBED_AT_ONCE:
            raise invalid(f"Tasks: 1 to {DESCRIBED_AT_ONCE} tasks can be described at once.")
        found, failures = [], []
        for name in request["tasks"]:
            task = self._find(cluster, name)
            if task is None:
                failures.append({"arn": name, "reason": "MISSING"})
            else:
                found.append(task_document(task, cluster.arn, self._store.definition(task.task_definition)))
        return {"tasks": found, "failures": failures}

    def stop(self, request: Document) -> Document:
        """Answer StopTask: drain and stop the task; its service starts another one."""
        cluster = self._services.cluster(request)
        task = self._find(cluster, request["task"])
        if task is None:
            raise invalid("The referenced task was not found.")
        self._runner.stop(task, "UserInitiated", request.get("reason", "Task stopped by user"))
        known = self._store.tasks.find(task.key) or task
        return {"task": task_document(known, cluster.arn, self._store.definition(task.task_definition))}

    def _of(self, cluster: Cluster) -> list[Task]:
        stem = cluster.arn.replace(":cluster/", ":task/") + "/"
        return sorted(
            (one for one in self._store.tasks.all() if one.arn.startswith(stem)), key=lambda one: one.created_at
        )

    def _find(self, cluster: Cluster, name: str) -> Task | None:
        task = self._store.tasks.find(name.rpartition("/")[2])
        known = task is not None and task in self._of(cluster) and (not name.startswith("arn:") or task.arn == name)
        return task if known else None

"""The scheduler of ECS: it brings each service to its desired state, task by task, and replaces tasks that die."""

from __future__ import annotations

import logging
import time
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event, Thread

from infrastructure.embedded.aws.ecs.deployments import completed, failed_task, without_ended
from infrastructure.embedded.aws.ecs.records import Service, Task
from infrastructure.embedded.aws.ecs.rolling import Decision, Member, Percent, Throttle, decide
from infrastructure.embedded.aws.ecs.runner import Runner
from infrastructure.embedded.aws.ecs.store import Store
from infrastructure.embedded.aws.elbv2.groups import TargetGroups
from infrastructure.embedded.aws.runtime.instances import listens
from infrastructure.embedded.aws.runtime.parts import Parts

CHECK_INTERVAL_S = 0.1
STOPPED_KEPT = 20
"""Number of a service's stopped tasks that can still be described; on AWS they stay for about an hour."""
EXITED = "Essential container in task exited"

_log = logging.getLogger(__name__)


class Scheduler:
    """A thread that checks all services; it decides under the store's lock, and the runner carries decisions out."""

    def __init__(self, parts: Parts, store: Store, groups: TargetGroups, runner: Runner, changed: Event) -> None:
        self._config = parts.config
        self._store = store
        self._processes = parts.processes
        self._groups = groups
        self._runner = runner
        self._stopping = parts.stopping
        self._changed = changed
        self._throttles: dict[str, Throttle] = defaultdict(Throttle)
        self._proven: set[str] = set()
        """Keys of the tasks whose own process was seen listening on their port."""
        self._thread = Thread(target=self._watch, name="scheduler", daemon=True)
        runner.ended = self._ended

    def recover(self) -> None:
        """Settle the previous process's tasks: keep those that run, continue half-done steps, finish the others."""
        kept = set()
        for task in self._store.tasks.all():
            if task.over:
                continue
            if task.instance is None or not self._processes.alive(task.instance):
                reason = EXITED if task.instance else "Task was interrupted before its container started"
                gone = self._store.tasks.change(task.key, lambda now: replace(now, desired="STOPPED"))
                self._runner.finish(gone, gone.stop_code or "ServiceSchedulerInitiated", gone.reason or reason)
                continue
            kept.add(task.instance.pid)
            if not task.wanted:
                self._runner.resume_stop(task)
            elif task.last == "ACTIVATING":
                self._runner.activate(task)
        strays = self._processes.kill_strays(self._runner.folder, kept)
        if strays:
            _log.warning("killed processes that belong to no task: pids %s", strays)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Stop every task's process; services keep their desired state."""
        self._changed.set()
        self._thread.join(grace_s)
        self._runner.join(grace_s)
        instances = [task.instance for task in self._store.tasks.all() if task.instance and not task.over]
        with ThreadPoolExecutor(max_workers=max(len(instances), 1)) as pool:
            list(pool.map(lambda instance: self._processes.stop(instance, grace_s), instances))

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self._changed.wait(CHECK_INTERVAL_S)
            self._changed.clear()
            for service in self._store.services.all():
                try:
                    if service.status != "INACTIVE" and not self._stopping.is_set():
                        self._check(service.key)
                except Exception:
                    _log.exception("the check of %s failed", service.arn)

    def _check(self, key: str) -> None:
        self._finish_exited(key)
        with self._store.locked():
            service = self._store.services.find(key)
            if service is None:
                return
            self._stop_unhealthy(service, self._store.tasks_of(service.arn))
            service, tasks = self._store.services.find(key) or service, self._store.tasks_of(service.arn)
            decision = self._decide(service, tasks)
            for _ in range(decision.start):
                self._begin(service)
            for task in tasks:
                if task.key in decision.stop:
                    reason = f"Scaling activity initiated by (deployment {service.primary.id})"
                    self._runner.stop(task, "ServiceSchedulerInitiated", reason)
            self._settle(service.key)
            self._prune(tasks)

    def _finish_exited(self, key: str) -> None:
        """Finish the tasks whose process has ended unexpectedly."""
        service = self._store.services.find(key)
        for task in self._store.tasks_of(service.arn) if service else []:
            if task.last == "RUNNING" and task.wanted and task.instance:
                code = self._processes.exit_code(task.instance.pid)
                if not self._processes.alive(task.instance):
                    self._runner.finish(task, "EssentialContainerExited", EXITED, code)

    def _ended(self, task: Task) -> None:
        """Count an unexpected end of a task against its deployment; the next starts of its tasks get growing pauses."""
        now = time.time()
        self._throttles[task.deployment].failed(now, now - task.created_at)

        def counted(known: Service) -> Service:
            text = f"has stopped 1 running tasks: (task {task.key}): {self._reason(task)}"
            return failed_task(known, task.deployment).with_event(str(uuid.uuid4()), now, text)

        self._store.services.change(task.service_key, counted)
        self._changed.set()

    def _reason(self, task: Task) -> str:
        known = self._store.tasks.find(task.key)
        exited = "" if known is None or known.exit_code is None else f" (exit code {known.exit_code})"
        return f"{known.reason if known else ''}{exited}"

    def _stop_unhealthy(self, service: Service, tasks: list[Task]) -> None:
        """Stop tasks that are unhealthy after the grace period, or on whose port another process listens."""
        grace = service.settings.get("healthCheckGracePeriodSeconds", 0)
        for task in tasks:
            address = self._runner.address(task)
            if task.last != "RUNNING" or not task.wanted or address is None or task.started_at is None:
                continue
            state = self._groups.state(address)
            if state == "unhealthy" and time.time() - task.started_at >= grace:
                self._give_up(task, f"Task failed ELB health checks in (target-group {service.group_arn})")
            elif state == "healthy" and task.key not in self._proven and task.instance is not None:
                if listens(task.instance.pid, task.instance.port):
                    self._proven.add(task.key)
                else:
                    self._give_up(task, "Another process listens on the task's port")

    def _give_up(self, task: Task, reason: str) -> None:
        self._runner.stop(task, "ServiceSchedulerInitiated", reason)
        self._ended(task)

    def _decide(self, service: Service, tasks: list[Task]) -> Decision:
        primary = service.primary
        members = [
            Member(task.key, task.deployment == primary.id, self._ready(task))
            for task in tasks
            if task.wanted and not task.over
        ]
        configured = service.settings["deploymentConfiguration"]
        percent = Percent(configured["minimumHealthyPercent"], configured["maximumPercent"])
        decision = decide(service.desired, percent, members)
        # A FAILED deployment stalls: no task is started until the service is updated.
        starts = primary.state != "FAILED" and self._throttles[primary.id].due(time.time())
        return decision if starts else replace(decision, start=0)

    def _ready(self, task: Task) -> bool:
        address = self._runner.address(task)
        return task.last == "RUNNING" and (
            address is None or (task.key in self._proven and self._groups.state(address) == "healthy")
        )

    def _begin(self, service: Service) -> None:
        key = uuid.uuid4().hex
        cluster = service.cluster.rpartition("/")[2]
        task = Task(
            key=key,
            arn=self._config.arn(f"task/{cluster}/{key}", "ecs"),
            service=service.arn,
            deployment=service.primary.id,
            task_definition=service.primary.task_definition,
            created_at=time.time(),
        )
        self._store.tasks.put(task)
        text = f"has started 1 tasks: (task {key})."
        self._store.services.change(service.key, lambda now: now.with_event(str(uuid.uuid4()), task.created_at, text))
        self._runner.start(task)

    def _settle(self, key: str) -> None:
        """Record a completed deployment; drop older ones without tasks; deactivate a deleted service without tasks."""
        service = self._store.services.find(key)
        if service is None:
            return
        tasks = [task for task in self._store.tasks_of(service.arn) if not task.over]
        own = [task for task in tasks if task.deployment == service.primary.id]
        there = len(own) == len(tasks) == service.desired and all(self._ready(task) and task.wanted for task in own)
        if there and service.primary.state == "IN_PROGRESS":
            service = completed(service)
        service = without_ended(service, {task.deployment for task in tasks})
        if service.status == "DRAINING" and not tasks:
            service = replace(service, status="INACTIVE", deployments=())
        self._store.services.change(key, lambda _: service)

    def _prune(self, tasks: list[Task]) -> None:
        over = [task for task in tasks if task.over]
        for task in over[: max(0, len(over) - STOPPED_KEPT)]:
            self._store.tasks.remove(task.key)
            self._proven.discard(task.key)

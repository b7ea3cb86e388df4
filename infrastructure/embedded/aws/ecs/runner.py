"""The life of a task as a process: pulled, released, started and registered; later drained, stopped and removed."""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.embedded.aws.ecs.documents import LOOPBACK
from infrastructure.embedded.aws.ecs.records import Service, Task
from infrastructure.embedded.aws.ecs.store import Store
from infrastructure.embedded.aws.elbv2.groups import TargetGroups
from infrastructure.embedded.aws.elbv2.records import Address
from infrastructure.embedded.aws.errors import DeploymentFailed
from infrastructure.embedded.aws.runtime.images import procfile
from infrastructure.embedded.aws.runtime.instances import Instance
from infrastructure.embedded.aws.runtime.logs import awslogs_file
from infrastructure.embedded.aws.runtime.parts import Parts
from infrastructure.embedded.aws.runtime.ports import FreshPorts
from infrastructure.embedded.aws.runtime.release import wait_for_release
from infrastructure.embedded.aws.runtime.secrets import SecretResolver

STOP_TIMEOUT_S = 30
"""ECS's default from SIGTERM to SIGKILL."""

_log = logging.getLogger(__name__)


class Unwanted(Exception):
    """The task shall stop before it has run."""


class Runner:
    """Starts and stops tasks, each in a thread of its own; every change is recorded before the next step."""

    def __init__(self, parts: Parts, store: Store, groups: TargetGroups) -> None:
        self._config = parts.config
        self._store = store
        self._processes = parts.processes
        self._images = parts.images
        self._clients = parts.clients
        self._secrets = SecretResolver(parts.clients)
        self._groups = groups
        self._stopping = parts.stopping
        self._ports = FreshPorts()
        self._releasing: dict[str, Lock] = defaultdict(Lock)
        self._threads: list[Thread] = []
        self.folder = parts.config.state_dir / "tasks"
        self.ended: Callable[[Task], None] = lambda _: None
        """Called with each task that ended unexpectedly, after its end is recorded."""

    def start(self, task: Task) -> None:
        """Start a recorded task."""
        self._thread(self._start, task)

    def stop(self, task: Task, code: str, reason: str) -> None:
        """Drain a task, then stop it; a starting task ends at its next step. Safe to repeat."""
        with self._store.locked():
            before = self._known(task)
            changed = self._change(before, lambda now: _unwanted(now, code, reason))
        if before.wanted and changed.instance is not None:
            self._thread(self._stop, changed)

    def resume_stop(self, task: Task) -> None:
        """Continue a stop that the end of the previous endpoint process interrupted."""
        self._thread(self._stop, task)

    def join(self, within_s: float) -> None:
        """Wait up to `within_s` seconds for the running threads."""
        deadline = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def finish(self, task: Task, code: str, reason: str, exit_code: int | None = None) -> None:
        """Record a task's end, and remove its target, its stray processes and its folder."""
        with self._store.locked():
            unexpected = self._known(task).wanted
            task = self._change(task, lambda now: _unwanted(now, code, reason))
        address = self.address(task)
        if address is not None:
            self._groups.drop(address)
        folder = self.folder / task.key
        self._processes.kill_strays(folder, set())
        shutil.rmtree(folder, ignore_errors=True)
        now = time.time()
        self._change(
            task, lambda known: replace(known, last="STOPPED", stopped_at=now, exit_code=_docker_exit_code(exit_code))
        )
        if unexpected:
            self.ended(task)

    def address(self, task: Task) -> Address | None:
        """Return the task's address as a target; None for a task without a process or a load balancer."""
        group = self.service(task).group_arn
        return None if group is None or task.instance is None else Address(group, LOOPBACK, task.instance.port)

    def service(self, task: Task) -> Service:
        """Return the service that a task belongs to."""
        found = self._store.services.find(task.service_key)
        if found is None:
            raise KeyError(task.service)
        return found

    def _start(self, task: Task) -> None:
        try:
            self._bring_up(task)
        except Unwanted:
            known = self._known(task)
            if not known.wanted:  # otherwise the endpoint stops, and the next one settles the task
                self.finish(known, known.stop_code or "", known.reason or "")
        except DeploymentFailed as exc:
            self.finish(self._known(task), "TaskFailedToStart", str(exc))
        except Exception as exc:
            _log.exception("start of %s failed", task.arn)
            self.finish(self._known(task), "TaskFailedToStart", f"internal error: {type(exc).__name__}")

    def _bring_up(self, task: Task) -> None:
        container = self._store.definition(task.task_definition).container
        folder = self.folder / task.key
        digest = self._pull(container["image"], folder)
        self._change(task, lambda now: replace(now, last="PENDING", digest=digest))
        environment = self._environment(container)
        log = self._log_file(task, container)
        self._release(task, folder, environment, log)
        self._raise_if_unwanted(task)
        port = self._ports.fresh()
        command = procfile(folder).web
        process = self._processes.spawn(command, folder, self._processes.environment(folder, environment, port), log)
        instance = Instance(uuid.uuid4().hex, task.deployment, process.pid, process.create_time(), port)
        task = self._change(task, lambda now: replace(now, last="ACTIVATING", instance=instance))
        if task.wanted:  # from here on a stop finds the recorded process
            self.activate(task)
        else:
            self._stop(task)

    def activate(self, task: Task) -> None:
        """Register a task that has a process as a target, and record it as RUNNING."""
        address = self.address(task)
        if address is not None:
            self._groups.register(address)
        now = time.time()
        task = self._change(
            task, lambda known: replace(known, last="RUNNING", started_at=now) if known.wanted else known
        )
        if address is not None and not task.wanted:
            self._groups.drop(address)

    def _stop(self, task: Task) -> None:
        instance, address = task.instance, self.address(task)
        if instance is None:
            return
        self._change(task, lambda now: replace(now, last="DEACTIVATING"))
        if address is not None and self._processes.alive(instance):
            self._stopping.wait(self._groups.deregister(address))
        self._change(task, lambda now: replace(now, last="STOPPING"))
        container = self._store.definition(task.task_definition).container
        code = self._processes.stop(instance, float(container.get("stopTimeout", STOP_TIMEOUT_S)))
        known = self._known(task)
        self.finish(known, known.stop_code or "", known.reason or "", code)

    def _pull(self, image: str, folder: Path) -> str:
        try:
            digest = self._images.digest(image)
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._images.unpack(digest, folder)
        except DeploymentFailed as exc:
            raise DeploymentFailed(f"CannotPullContainerError: {exc}") from exc
        return digest

    def _environment(self, container: dict[str, Any]) -> dict[str, str]:
        plain = {one["name"]: one.get("value", "") for one in container["environment"]}
        references = {one["name"]: one["valueFrom"] for one in container.get("secrets", [])}
        try:
            return plain | self._secrets.resolve(references)
        except DeploymentFailed as exc:
            raise DeploymentFailed(
                f"ResourceInitializationError: unable to pull secrets or registry auth: {exc}"
            ) from exc

    def _log_file(self, task: Task, container: dict[str, Any]) -> Path:
        """Return the file that awslogs delivers; without a log configuration, a file that is not delivered."""
        options = container.get("logConfiguration", {}).get("options")
        if options is None:
            return self._config.log_dir / "tasks" / f"{task.key}.log"
        group = options["awslogs-group"]
        if options.get("awslogs-create-group") != "true" and not self._group_exists(group):
            raise DeploymentFailed(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                f"failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group {group} does not exist."
            )
        stream = f"{options['awslogs-stream-prefix']}/{container['name']}/{task.key}"
        return awslogs_file(self._config.log_dir, group, stream)

    def _group_exists(self, group: str) -> bool:
        try:
            found = self._clients.get("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        except (ClientError, BotoCoreError):
            return True  # CloudWatch Logs does not answer: the lines in the file are delivered later
        return any(one["logGroupName"] == group for one in found)

    def _release(self, task: Task, folder: Path, environment: dict[str, str], log: Path) -> None:
        """Run the image's `release:` command unless it has run for this deployment."""
        command = procfile(folder).release
        if command is None:
            return
        with self._releasing[task.deployment]:
            deployment = self.service(task).deployment(task.deployment)
            if deployment is None or deployment.released:
                return
            self._raise_if_unwanted(task)
            own = self._processes.environment(folder, environment, self._ports.fresh())
            process = self._processes.spawn(command, folder, own, log)
            wait_for_release(
                self._processes, process, self._config.release_timeout_s, lambda: self._raise_if_unwanted(task)
            )

            def released(service: Service) -> Service:
                now = service.deployment(task.deployment)
                return service if now is None else service.with_deployment(replace(now, released=True))

            self._store.services.change(task.service_key, released)

    def _raise_if_unwanted(self, task: Task) -> None:
        if self._stopping.is_set() or not self._known(task).wanted:
            raise Unwanted

    def _known(self, task: Task) -> Task:
        return self._store.tasks.find(task.key) or task

    def _change(self, task: Task, change: Callable[[Task], Task]) -> Task:
        return self._store.tasks.change(task.key, change)

    def _thread(self, step: Callable[[Task], None], task: Task) -> None:
        thread = Thread(target=step, args=(task,), name=f"task-{task.key}", daemon=True)
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]
        thread.start()


def _unwanted(task: Task, code: str, reason: str) -> Task:
    if not task.wanted:
        return task
    return replace(task, desired="STOPPED", stopping_at=time.time(), stop_code=code, reason=reason)


def _docker_exit_code(code: int | None) -> int | None:
    """Return an exit code in Docker's format: 128 plus the signal's number after a signal; None if it is unknown."""
    return code if code is None or code >= 0 else 128 - code

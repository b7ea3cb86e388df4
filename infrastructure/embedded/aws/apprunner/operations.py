"""Operations: each runs in a thread of its own, one at a time per service, and is recorded before and after."""

from __future__ import annotations

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock, Thread

from infrastructure.embedded.aws.apprunner.ingress import Ingress
from infrastructure.embedded.aws.apprunner.launcher import Launcher
from infrastructure.embedded.aws.apprunner.records import CustomDomain, Flight, Operation, Revision, Service
from infrastructure.embedded.aws.apprunner.store import Store, with_operation, with_operation_status
from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.errors import DeploymentFailed, invalid_state
from infrastructure.embedded.aws.runtime.instances import Instance, Processes
from infrastructure.embedded.aws.runtime.logs import ServiceLogs

_log = logging.getLogger(__name__)

ALLOWED = {
    # In which status App Runner accepts an operation (its guide, manage-pause; API_Service); else InvalidState.
    "UPDATE_SERVICE": ("RUNNING", "CREATE_FAILED"),
    "START_DEPLOYMENT": ("RUNNING",),
    "PAUSE_SERVICE": ("RUNNING",),
    "RESUME_SERVICE": ("PAUSED",),
    "DELETE_SERVICE": ("RUNNING", "PAUSED", "CREATE_FAILED", "DELETE_FAILED"),
}
AFTER_SUCCESS = {
    "CREATE_SERVICE": "RUNNING",
    "UPDATE_SERVICE": "RUNNING",
    "START_DEPLOYMENT": "RUNNING",
    "PAUSE_SERVICE": "PAUSED",
    "RESUME_SERVICE": "RUNNING",
    "DELETE_SERVICE": "DELETED",
}
AFTER_FAILURE = {"CREATE_SERVICE": "CREATE_FAILED", "DELETE_SERVICE": "DELETE_FAILED"}
"""The status after a failure, if it is not the status before the operation."""
ROLLS_BACK = ("UPDATE_SERVICE", "START_DEPLOYMENT")


def refuse_unless(service: Service, allowed: tuple[str, ...], action: str) -> None:
    """Raise InvalidStateException if the service's status does not allow the action."""
    if service.status not in allowed:
        raise invalid_state(
            f"{action} is not possible while the service is in status {service.status}; it needs {' or '.join(allowed)}"
        )


class Operations:
    """Starts operations, runs them to their end and records the outcome."""

    def __init__(
        self,
        config: EndpointConfig,
        store: Store,
        processes: Processes,
        launcher: Launcher,
        ingress: Ingress,
        stopping: Event,
    ) -> None:
        self._config = config
        self._store = store
        self._processes = processes
        self._launcher = launcher
        self._ingress = ingress
        self._stopping = stopping
        self._turns: dict[str, Lock] = defaultdict(Lock)
        self._threads: list[Thread] = []
        self._steps: dict[str, Callable[[Service, str], None]] = {
            "CREATE_SERVICE": self._deploy,
            "UPDATE_SERVICE": self._deploy,
            "START_DEPLOYMENT": self._deploy,
            "PAUSE_SERVICE": self._pause,
            "RESUME_SERVICE": self._resume,
            "DELETE_SERVICE": self._delete,
        }

    def begin(self, before: Service, service: Service, kind: str) -> tuple[Service, str]:
        """Record and start a new operation from the service `before` to `service` with the requested settings.

        The caller holds the store's lock and has checked the service's status. Returns the API's answer: the service in
        status OPERATION_IN_PROGRESS, and the OperationId.
        """
        operation_id, now = str(uuid.uuid4()), time.time()
        flight = Flight(operation_id, before.status, before.settings)
        begun = replace(service, status="OPERATION_IN_PROGRESS", flight=flight, updated_at=now)
        begun = self._store.put(with_operation(begun, Operation(operation_id, kind, "PENDING", now, now)))
        thread = Thread(target=self._run, args=(service.arn, operation_id, kind), name=operation_id, daemon=True)
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]
        thread.start()
        return begun, operation_id

    def turn(self, arn: str) -> Lock:
        """Return the lock whose holder may start and stop the service's instances."""
        return self._turns[arn]

    def join(self, within_s: float) -> None:
        """Wait up to `within_s` seconds for the running operations."""
        deadline = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def logs(self, service: Service) -> ServiceLogs:
        """Return the service's log files."""
        return ServiceLogs(self._config.log_dir, service.name, service.id)

    def start_instance(self, service: Service, revision: Revision, operation_id: str | None) -> Instance:
        """Start and return a healthy instance of a revision; once spawned it is recorded as the service's candidate."""
        logs = self.logs(service)

        def path(instance_id: str) -> Path:
            return logs.instance(instance_id)

        def spawned(instance: Instance) -> None:
            self._store.change(service.arn, lambda now: replace(now, candidate=instance))
            note = f"instance {instance.id} started"
            (logs.deployment(operation_id, note) if operation_id else logs.event(note))

        return self._launcher.start(revision, path, spawned)

    def route(self, service: Service) -> None:
        """Update the ingress to match the service's record."""
        serving = service.instance if service.status in ("RUNNING", "OPERATION_IN_PROGRESS") else None
        for host in service.hosts():
            if serving is not None and service.settings.public:
                self._ingress.point(host, serving.port)
            else:
                self._ingress.remove(host)

    def withdraw_hosts(self, domain: CustomDomain) -> None:
        """Make a custom domain's hosts unknown to the ingress."""
        for host in domain.hosts():
            if "*" not in host:
                self._ingress.remove(host)

    def fail(self, arn: str, operation_id: str, reason: str) -> None:
        """Undo an operation: stop the candidate, restore settings and status. If it is committed, finish it instead."""
        service = self._store.get(arn)
        kind, flight = service.operation(operation_id).type, service.flight
        if flight is None or flight.committed:
            return self.succeed(arn, operation_id)
        rolls_back = kind in ROLLS_BACK and flight.came_from == "RUNNING"
        self.logs(service).deployment(operation_id, reason)
        self.logs(service).event(f"{kind} failed: {reason}")
        if rolls_back:
            self._store.change(arn, lambda now: with_operation_status(now, operation_id, "ROLLBACK_IN_PROGRESS"))
        if service.candidate is not None:
            self._processes.stop(service.candidate, 1.0)
        final = "ROLLBACK_SUCCEEDED" if rolls_back else "FAILED"
        status = AFTER_FAILURE.get(kind, flight.came_from)
        self._end(arn, operation_id, final, lambda now: replace(now, settings=flight.previous, status=status))
        return None

    def succeed(self, arn: str, operation_id: str) -> None:
        """End an operation whose work is done, and stop the replaced instance."""
        service = self._store.get(arn)
        kind = service.operation(operation_id).type
        if service.retiring is not None:
            self._processes.stop(service.retiring, self._config.stop_grace_s)
        status = AFTER_SUCCESS[kind]
        self.logs(service).event(f"{kind} succeeded")
        deleted_at = time.time() if status == "DELETED" else None
        self._end(arn, operation_id, "SUCCEEDED", lambda now: replace(now, status=status, deleted_at=deleted_at))

    def _end(self, arn: str, operation_id: str, outcome: str, change: Callable[[Service], Service]) -> None:
        def ended(now: Service) -> Service:
            done = with_operation_status(change(now), operation_id, outcome, ended=True)
            return replace(done, flight=None, candidate=None, retiring=None)

        self.route(self._store.change(arn, ended))

    def _run(self, arn: str, operation_id: str, kind: str) -> None:
        with self.turn(arn):
            service = self._store.change(arn, lambda now: with_operation_status(now, operation_id, "IN_PROGRESS"))
            self.logs(service).event(f"{kind} started")
            try:
                self._steps[kind](service, operation_id)
            except DeploymentFailed as exc:
                self.fail(arn, operation_id, str(exc))
            except Exception as exc:
                _log.exception("%s of %s failed", kind, arn)
                self.fail(arn, operation_id, f"internal error: {type(exc).__name__}")
            else:
                self.succeed(arn, operation_id)

    def _deploy(self, service: Service, operation_id: str) -> None:
        logs = self.logs(service)
        logs.deployment(operation_id, f"pulling {service.settings.image['ImageIdentifier']}")
        revision = self._launcher.prepare(service.settings)
        try:
            self._launcher.release(revision, logs.instance(f"release-{revision.id}"))
            instance = self.start_instance(service, revision, operation_id)
        except BaseException:
            self._launcher.discard(revision)
            raise
        logs.deployment(operation_id, f"instance {instance.id} is healthy")
        self._switch(service.arn, revision, instance)

    def _switch(self, arn: str, revision: Revision, instance: Instance) -> None:
        """Record the new revision, point the ingress at it, then drain and stop the old instance."""
        before = self._store.get(arn)

        def committed(now: Service) -> Service:
            flight = replace(now.flight, committed=True) if now.flight else None
            return replace(
                now, revision=revision, instance=instance, candidate=None, retiring=now.instance, flight=flight
            )

        self.route(self._store.change(arn, committed))
        if before.instance is not None:
            self._stopping.wait(self._config.drain_s)
            self._processes.stop(before.instance, self._config.stop_grace_s)
        if before.revision is not None and before.revision.id != revision.id:
            self._launcher.discard(before.revision)

    def _pause(self, service: Service, _: str) -> None:
        self._withdraw(service)

    def _resume(self, service: Service, operation_id: str) -> None:
        if service.revision is None:
            raise DeploymentFailed("nothing was ever deployed")
        self._switch(service.arn, service.revision, self.start_instance(service, service.revision, operation_id))

    def _delete(self, service: Service, _: str) -> None:
        self._withdraw(service)
        self._store.change(service.arn, lambda now: replace(now, revision=None))
        if service.revision is not None:
            self._launcher.discard(service.revision)

    def _withdraw(self, service: Service) -> None:
        """Make the hosts unknown, then drain and stop the instance."""
        for host in service.hosts():
            self._ingress.remove(host)
        if service.instance is not None:
            self._stopping.wait(self._config.drain_s)
            self._processes.stop(service.instance, self._config.stop_grace_s)
        if service.revision is not None:
            self._launcher.clear(service.revision)  # workers that outlived a crashed instance
        self._store.change(service.arn, lambda now: replace(now, instance=None))

"""The supervision of instances: it replaces an instance that died, and recovers the state when the endpoint starts."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event, Thread

from infrastructure.embedded.aws.apprunner.backoff import BackOff
from infrastructure.embedded.aws.apprunner.launcher import Launcher
from infrastructure.embedded.aws.apprunner.operations import Operations
from infrastructure.embedded.aws.apprunner.records import Service
from infrastructure.embedded.aws.apprunner.store import Store
from infrastructure.embedded.aws.errors import DeploymentFailed
from infrastructure.embedded.aws.runtime.instances import Processes

CHECK_INTERVAL_S = 0.2

_log = logging.getLogger(__name__)


class Supervisor:
    """A thread that checks the instances of RUNNING services and restarts dead ones, with growing pauses."""

    def __init__(
        self, store: Store, processes: Processes, launcher: Launcher, operations: Operations, stopping: Event
    ) -> None:
        self._store = store
        self._processes = processes
        self._launcher = launcher
        self._operations = operations
        self._stopping = stopping
        self._back_off: dict[str, BackOff] = defaultdict(BackOff)
        self._thread = Thread(target=self._watch, name="supervisor", daemon=True)

    def recover(self) -> None:
        """Settle the previous process's operations and the ingress, and kill stray processes; keep living instances."""
        for service in self._store.all():
            self._settle(service)
        kept = {found.pid for service in self._store.all() for found in service.instances()}
        strays = self._processes.kill_strays(self._launcher.folder, kept)
        if strays:
            _log.warning("killed processes that belong to no service: pids %s", strays)
        self._launcher.discard_unknown({service.revision.id for service in self._store.all() if service.revision})

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Stop every instance after the thread and the operations have ended; services keep their status."""
        self._thread.join(grace_s)
        self._operations.join(grace_s)
        for service in self._store.all():
            self._operations.turn(service.arn).acquire(timeout=grace_s)  # a running restart gives up by itself
        instances = [found for service in self._store.all() for found in service.instances()]
        for service in self._store.all():
            self._operations.route(replace(service, instance=None))
        with ThreadPoolExecutor(max_workers=max(len(instances), 1)) as pool:
            list(pool.map(lambda instance: self._processes.stop(instance, grace_s), instances))

    def _settle(self, service: Service) -> None:
        if service.flight is not None:
            self._operations.fail(service.arn, service.flight.operation_id, "interrupted: the endpoint was stopped")
        elif service.candidate is not None:
            self._processes.stop(service.candidate, 1.0)
            service = self._store.change(service.arn, lambda now: replace(now, candidate=None))
        self._operations.route(self._store.get(service.arn))

    def _watch(self) -> None:
        while not self._stopping.wait(CHECK_INTERVAL_S):
            for service in self._store.all():
                if service.status == "RUNNING" and self._is_dead(service):
                    self._restart_if_due(service)

    def _is_dead(self, service: Service) -> bool:
        return service.instance is None or not self._processes.alive(service.instance)

    def _restart_if_due(self, service: Service) -> None:
        due = self._back_off[service.arn].due(time.time())
        if not due or not self._operations.turn(service.arn).acquire(blocking=False):
            return
        Thread(target=self._restart, args=(service.arn,), name=f"restart-{service.name}", daemon=True).start()

    def _restart(self, arn: str) -> None:
        """Try one restart; the caller has acquired the service's lock, and this releases it."""
        try:
            service = self._store.get(arn)
            if service.status == "RUNNING" and self._is_dead(service):
                self._back_off[arn].attempted(service.instance, time.time())
                self._replace(service)
        except DeploymentFailed as exc:
            self._operations.logs(service).event(f"instance could not be replaced: {exc}")
            self._store.change(arn, lambda now: replace(now, candidate=None))
        except Exception:
            _log.exception("restart of %s failed", arn)
        finally:
            self._operations.turn(arn).release()

    def _replace(self, service: Service) -> None:
        if service.revision is None:
            return
        self._operations.logs(service).event("instance ended unexpectedly; replacing it")
        self._launcher.clear(service.revision)  # its orphaned workers hold the old port
        instance = self._operations.start_instance(service, service.revision, None)
        changed = self._store.change(service.arn, lambda now: replace(now, instance=instance, candidate=None))
        self._operations.route(changed)

"""The start of a revision: pull, release, start, health check."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from threading import Event

import psutil

from infrastructure.embedded.aws.apprunner import health
from infrastructure.embedded.aws.apprunner.records import Revision, Settings
from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.errors import DeploymentFailed
from infrastructure.embedded.aws.runtime.images import Images, procfile
from infrastructure.embedded.aws.runtime.instances import Instance, Processes, free_port, listens
from infrastructure.embedded.aws.runtime.ports import FreshPorts
from infrastructure.embedded.aws.runtime.release import wait_for_release
from infrastructure.embedded.aws.runtime.secrets import SecretResolver
from infrastructure.embedded.processes.probes import is_free


class Launcher:
    """Creates revisions and starts instances of them; every failure is a DeploymentFailed."""

    def __init__(
        self, config: EndpointConfig, processes: Processes, images: Images, secrets: SecretResolver, stopping: Event
    ) -> None:
        self._config = config
        self._processes = processes
        self._images = images
        self._secrets = secrets
        self._stopping = stopping
        self._environments: dict[str, dict[str, str]] = {}
        self._ports = FreshPorts()
        self.folder = config.state_dir / "revisions"

    def prepare(self, settings: Settings) -> Revision:
        """Pull the image into a new folder, resolve the secrets and return the revision."""
        digest = self._images.digest(settings.image["ImageIdentifier"])
        revision_id = uuid.uuid4().hex
        folder = self.folder / revision_id
        folder.parent.mkdir(parents=True, exist_ok=True)
        revision = Revision(revision_id, digest, str(folder), settings)
        self._images.unpack(digest, folder)
        self._environment(revision)
        return revision

    def release(self, revision: Revision, log: Path) -> None:
        """Run the image's `release:` command, if it has one, and wait until it has ended."""
        command = procfile(Path(revision.folder)).release
        if command is None:
            return
        process = self._spawn(command, revision, free_port(), log)
        wait_for_release(self._processes, process, self._config.release_timeout_s, self._raise_if_stopping)

    def start(self, revision: Revision, log: Callable[[str], Path], spawned: Callable[[Instance], None]) -> Instance:
        """Start `web:` and return the instance once it is healthy; call `spawned` with each instance before that.

        If another process took the port first, it tries once more with another port.
        """
        try:
            return self._start_once(revision, log, spawned)
        except _PortTaken:
            return self._start_once(revision, log, spawned)

    def clear(self, revision: Revision) -> None:
        """Kill every process that still works in the revision's folder."""
        self._processes.kill_strays(Path(revision.folder), set())

    def discard(self, revision: Revision) -> None:
        """Remove a revision that no instance runs any more."""
        self._environments.pop(revision.id, None)
        self.clear(revision)
        shutil.rmtree(revision.folder, ignore_errors=True)

    def discard_unknown(self, known: set[str]) -> None:
        """Remove the folders of revisions that no service knows; a kill of the endpoint left them behind."""
        for folder in self.folder.glob("*"):
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def _start_once(
        self, revision: Revision, log: Callable[[str], Path], spawned: Callable[[Instance], None]
    ) -> Instance:
        port, instance_id = self._ports.fresh(), uuid.uuid4().hex
        process = self._spawn(procfile(Path(revision.folder)).web, revision, port, log(instance_id))
        instance = Instance(instance_id, revision.id, process.pid, process.create_time(), port)
        spawned(instance)
        check = health.from_document(revision.settings.health_check)
        deadline = time.monotonic() + self._config.start_timeout_s
        try:
            health.wait_until_healthy(check, port, lambda: self._raise_if_dead(instance), deadline)
            if not listens(instance.pid, port):
                raise _PortTaken(f"another process answers on port {port}")
        except BaseException:
            self._processes.stop(instance, 1.0)
            raise
        return instance

    def _raise_if_dead(self, instance: Instance) -> None:
        self._raise_if_stopping()
        code = self._processes.exit_code(instance.pid)
        if code is None:
            return
        if not is_free(instance.port):
            raise _PortTaken(f"another process took port {instance.port}")
        raise DeploymentFailed(f"the container exited with {code} before it was healthy")

    def _raise_if_stopping(self) -> None:
        if self._stopping.is_set():
            raise DeploymentFailed("interrupted: the endpoint stops")

    def _spawn(self, command: str, revision: Revision, port: int, log: Path) -> psutil.Process:
        folder = Path(revision.folder)
        environment = self._processes.environment(folder, self._environment(revision), port)
        return self._processes.spawn(command, folder, environment, log)

    def _environment(self, revision: Revision) -> dict[str, str]:
        """Return variables and secrets; the secrets keep the deployment's values for the life of this process."""
        if revision.id not in self._environments:
            configuration = revision.settings.image_configuration
            secrets = self._secrets.resolve(configuration.get("RuntimeEnvironmentSecrets", {}))
            self._environments[revision.id] = configuration.get("RuntimeEnvironmentVariables", {}) | secrets
        return self._environments[revision.id]


class _PortTaken(DeploymentFailed):
    """Another process took the port between its choice and the instance's start."""

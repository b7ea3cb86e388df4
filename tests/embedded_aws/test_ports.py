"""Another process takes a port between its choice and the start of the instance."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from infrastructure.embedded.aws import config as configuration
from infrastructure.embedded.aws.apprunner import rules
from infrastructure.embedded.aws.apprunner.launcher import Launcher
from infrastructure.embedded.aws.clients import AwsClients
from infrastructure.embedded.aws.errors import DeploymentFailed
from infrastructure.embedded.aws.runtime import ports as module
from infrastructure.embedded.aws.runtime.images import Images
from infrastructure.embedded.aws.runtime.instances import Instance, Processes, free_port
from infrastructure.embedded.aws.runtime.secrets import SecretResolver
from tests.embedded_aws.harness import Endpoint, creation


@pytest.fixture
def stranger() -> Iterator[int]:
    """Return a port that another process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def images(tmp_path: Path) -> Endpoint:
    return Endpoint(tmp_path, "http://127.0.0.1:9")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path / "bin")
    yield made
    made.kill_strays(tmp_path, set())


def start(images: Endpoint, processes: Processes, web: str) -> tuple[Instance, list[int]]:
    """Start an instance; return it and the ports of all attempts."""
    config = configuration.load(images.write_config())
    clients = AwsClients(config)
    launcher = Launcher(config, processes, Images(config.images_dir, clients), SecretResolver(clients), Event())
    members = creation("ports", images.image("1.0.0", web))
    members["HealthCheckConfiguration"] = {"Protocol": "TCP", "Interval": 1}
    revision = launcher.prepare(rules.created(members, config))
    tried: list[int] = []

    def log(instance_id: str) -> Path:
        return images.folder / f"{instance_id}.log"

    return launcher.start(revision, log, lambda instance: tried.append(instance.port)), tried


def test_an_instance_is_tried_once_more_with_another_port(
    images: Endpoint, processes: Processes, stranger: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = iter([stranger, free_port()])
    monkeypatch.setattr(module, "free_port", lambda: next(ports))
    instance, tried = start(images, processes, "exec python web.py")
    assert tried == [stranger, instance.port]
    assert instance.port != stranger
    assert processes.alive(instance)
    processes.stop(instance, 2.0)
    assert not processes.alive(instance)


def test_another_process_on_the_port_is_not_the_instances_health(
    images: Endpoint, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = iter([one.getsockname()[1], other.getsockname()[1]])
        monkeypatch.setattr(module, "free_port", lambda: next(ports))
        with pytest.raises(DeploymentFailed, match="another process"):
            start(images, processes, "exec sleep 60")


MAIN_THREAD_ENDS_FIRST = """
import ctypes, os, threading, time

def work():
    time.sleep(0.3)
    os._exit(3)

threading.Thread(target=work).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_instance_whose_other_threads_still_end_is_waited_for(processes: Processes, tmp_path: Path) -> None:
    """Such a process is a zombie that cannot be waited for yet; without a wait its exit code is lost."""
    (tmp_path / "ends.py").write_text(MAIN_THREAD_ENDS_FIRST)
    environment = processes.environment(tmp_path, {}, 1)
    process = processes.spawn("exec python ends.py", tmp_path, environment, tmp_path / "log")
    instance = Instance("one", "two", process.pid, process.create_time(), 1)
    ends = time.monotonic() + 20
    while processes.alive(instance) and time.monotonic() < ends:
        time.sleep(0.01)
    assert not processes.alive(instance)
    assert processes.stop(instance, 2.0) == 3

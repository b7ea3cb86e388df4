"""The real endpoint and a real moto server as processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.embedded_aws.ecs_harness import Cluster, ecs_endpoint
from tests.embedded_aws.harness import Endpoint, client, free_port, run, stop, wait_for


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    process = run(["-m", "moto.server", "-p", str(port)], tmp_path_factory.mktemp("moto") / "moto.log")
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: httpx.get(f"{url}/moto-api/data.json", trust_env=False).status_code == 200)
        yield url
    finally:
        stop(process)


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Iterator[Endpoint]:
    """The endpoint that tests share; each makes services of its own."""
    shared = Endpoint(tmp_path_factory.mktemp("endpoint"), moto)
    try:
        yield shared.start()
    finally:
        shared.stop()


@pytest.fixture
def own_endpoint(tmp_path: Path, moto: str) -> Iterator[Endpoint]:
    """An endpoint for one test, to be killed at will; not started yet."""
    own = Endpoint(tmp_path, moto)
    try:
        yield own
    finally:
        own.stop()
        for process in own.leftovers():
            with suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Iterator[Cluster]:
    """ECS on an endpoint that tests share; each makes services of its own."""
    shared = ecs_endpoint(tmp_path_factory.mktemp("ecs"), moto)
    try:
        yield Cluster(shared.start())
    finally:
        shared.stop()


@pytest.fixture
def own_ecs(tmp_path: Path, moto: str) -> Iterator[Endpoint]:
    """An endpoint on platform ECS for one test, to be killed at will; not started yet."""
    own = ecs_endpoint(tmp_path, moto)
    try:
        yield own
    finally:
        own.stop()
        for process in own.leftovers():
            with suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture
def apprunner(endpoint: Endpoint) -> Any:
    return client("apprunner", endpoint.url)


@pytest.fixture(autouse=True)
def _no_ambient_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)

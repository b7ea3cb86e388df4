"""Fixtures: the real endpoint and a real moto server as processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded_aws.ecs_harness import Cluster, ecs_endpoint
from tests.embedded_aws.harness import Endpoint, client, moto_server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto_server(tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Iterator[Endpoint]:
    """Run the endpoint that tests share; each test creates its own services."""
    with Endpoint(tmp_path_factory.mktemp("endpoint"), moto).running() as shared:
        yield shared


@pytest.fixture
def own_endpoint(tmp_path: Path, moto: str) -> Iterator[Endpoint]:
    """Return an endpoint for one test, which may kill it; it is not started yet."""
    with Endpoint(tmp_path, moto).cleared() as own:
        yield own


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Iterator[Cluster]:
    """Run ECS on an endpoint that tests share; each test creates its own services."""
    with ecs_endpoint(tmp_path_factory.mktemp("ecs"), moto).running() as shared:
        yield Cluster(shared)


@pytest.fixture
def own_ecs(tmp_path: Path, moto: str) -> Iterator[Endpoint]:
    """Return an endpoint on platform ECS for one test, which may kill it; it is not started yet."""
    with ecs_endpoint(tmp_path, moto).cleared() as own:
        yield own


@pytest.fixture
def apprunner(endpoint: Endpoint) -> Any:
    return client("apprunner", endpoint.url)


@pytest.fixture(autouse=True)
def _no_ambient_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)

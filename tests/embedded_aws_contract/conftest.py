"""Fixtures: the embedded endpoint as a process, and the adapters that call it as they call AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from deployment.clock import SystemClock
from deployment.model import Colour, Readiness, Rollout
from infrastructure.aws.apprunner.platform import AppRunnerPlatform
from infrastructure.aws.drain import DrainWindow
from infrastructure.aws.session import Clients, Connection, Credentials, clients_for
from tests.embedded_aws.ecs_harness import Cluster, ecs_endpoint
from tests.embedded_aws.harness import ACCOUNT, REGION, Endpoint, moto_server, wait_for

NAMES = {Colour.BLUE: "contract-api-blue", Colour.GREEN: "contract-api-green"}

Settle = Callable[[Rollout], tuple[Readiness, str]]


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto_server(tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture
def endpoint(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Iterator[Endpoint]:
    with Endpoint(tmp_path_factory.mktemp("endpoint"), moto).running() as own:
        yield own


@pytest.fixture
def clients(endpoint: Endpoint, moto: str) -> Clients:
    endpoints = {"default": moto, "apprunner": endpoint.url, "cloudfront-keyvaluestore": endpoint.url}
    return clients_for(Connection(REGION, ACCOUNT, credentials=Credentials("AKIATEST", "s"), endpoints=endpoints))


@pytest.fixture
def running_cluster(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Iterator[Cluster]:
    """Run ECS and Elastic Load Balancing on a separate endpoint."""
    with ecs_endpoint(tmp_path_factory.mktemp("ecs"), moto).running() as own:
        yield Cluster(own)


@pytest.fixture
def ecs_clients(running_cluster: Cluster, moto: str) -> Clients:
    endpoints = {"default": moto, "ecs": running_cluster.endpoint.url, "elbv2": running_cluster.endpoint.url}
    return clients_for(Connection(REGION, ACCOUNT, credentials=Credentials("AKIATEST", "s"), endpoints=endpoints))


@pytest.fixture
def platform(clients: Clients) -> AppRunnerPlatform:
    return AppRunnerPlatform(clients, NAMES, DrainWindow(1.0, SystemClock()), scheme="http")


@pytest.fixture
def settle(platform: AppRunnerPlatform) -> Settle:
    """Return a function that follows a rollout until it ends."""

    def follow(rollout: Rollout) -> tuple[Readiness, str]:
        def ended() -> tuple[Readiness, str] | None:
            progress = platform.progress(rollout)
            return None if progress.readiness is Readiness.NOT_YET else (progress.readiness, progress.detail)

        found = wait_for(ended, 30)
        assert found is not None
        return found

    return follow

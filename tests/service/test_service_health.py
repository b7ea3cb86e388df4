"""Health: the version that answers, and whether it reaches PostgreSQL and Redis now."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.service.shapes import DEPENDENCY, HEALTH, expect, expect_problem
from tests.service.support import Image, Postgres, Service, free_port, serve, valkey, wait_until
from tests.service.users import ALICE, SignedIn


def test_health_reports_only_the_images_version(service: Service, images: dict[str, Image]) -> None:
    document = expect(service.client.get("/health"), 200, HEALTH)
    assert document == {"status": "ok", "version": images[service.version].version}
    assert document["version"] == service.version


@pytest.mark.parametrize("path", ["/health/database", "/health/redis"])
def test_dependencies_are_reached(service: Service, path: str) -> None:
    expect(service.client.get(path), 200, DEPENDENCY)


@pytest.fixture(params=["1.0.0", "1.1.0"])
def orphan(
    request: pytest.FixtureRequest,
    colours: dict[str, Service],
    images: dict[str, Image],
    environment: dict[str, str],
    tmp_path: Path,
) -> Iterator[tuple[Service, int]]:
    """Run a service before its Redis starts; return it and the port of that Redis."""
    port = free_port()
    with serve(images[request.param], {**environment, "REDIS_PORT": str(port)}, tmp_path / "log") as service:
        yield service, port


@pytest.mark.soak
def test_redis_down_and_back(
    orphan: tuple[Service, int], signed_in: dict[tuple[str, str], SignedIn], tmp_path: Path
) -> None:
    service, port = orphan
    token = signed_in[service.version, ALICE.email]

    def seen() -> tuple[int, int]:
        answers = [service.client.get("/health/redis"), token.request("GET", "/consults", at=service)]
        for answer in answers:
            if answer.status_code != 200:  # without Redis a token may be a revoked one, so it is not accepted
                expect_problem(answer, 503)
        return answers[0].status_code, answers[1].status_code

    assert seen() == (503, 503)
    for _ in range(2):
        with valkey(tmp_path, port):
            wait_until(lambda: seen() == (200, 200), "healed")
        wait_until(lambda: seen() == (503, 503), "noticed")
        expect(service.client.get("/health"), 200, HEALTH)
        expect(service.client.get("/health/database"), 200, DEPENDENCY)


@pytest.mark.soak
def test_database_down_and_back(
    cluster: Postgres,
    colours: dict[str, Service],
    signed_in: dict[tuple[str, str], SignedIn],
    images: dict[str, Image],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """Check both colours, and a service that starts during the outage."""
    callers = [signed_in[version, ALICE.email] for version in colours]
    cluster.stop()
    try:
        with ThreadPoolExecutor() as threads:  # each waits for its timeout of one second
            list(threads.map(_has_lost_its_database, callers))
        with serve(images["1.0.0"], environment, tmp_path / "log") as born_without:
            expect_problem(born_without.client.get("/health/database"), 503)
            cluster.start()
            for service in (born_without, *colours.values()):
                wait_until(partial(_reaches_its_database, service), "healed")
    finally:
        if not cluster.runs:
            cluster.start()
    for caller in callers:
        assert caller.request("GET", "/consults").status_code == 200
        assert "canary" not in caller.service.log.read_text()


def _has_lost_its_database(caller: SignedIn) -> None:
    expect_problem(caller.service.client.get("/health/database"), 503)
    expect_problem(caller.request("GET", "/consults"), 503)
    expect(caller.service.client.get("/health"), 200, HEALTH)
    expect(caller.service.client.get("/health/redis"), 200, DEPENDENCY)


def _reaches_its_database(service: Service) -> bool:
    return service.client.get("/health/database").status_code == 200

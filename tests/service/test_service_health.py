"""Health: who answers, and whether it reaches PostgreSQL and Redis, now."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.shapes import DEPENDENCY, HEALTH, expect, expect_problem
from tests.service.support import Image, Service, free_port, postgres, serve, valkey, wait_until
from tests.service.users import ALICE, SignedIn, log_in


def test_health_says_the_images_version_and_no_more(service: Service, images: dict[str, Image]) -> None:
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
    """A service whose Redis is not there yet, and the port where it looks for it."""
    port = free_port()
    with serve(images[request.param], {**environment, "REDIS_PORT": str(port)}, tmp_path / "log") as service:
        yield service, port


def test_redis_down_and_back(
    orphan: tuple[Service, int], signed_in: dict[tuple[str, str], SignedIn], tmp_path: Path
) -> None:
    service, port = orphan
    token = signed_in[service.version, ALICE.email]

    def seen() -> tuple[int, int]:
        answers = [service.client.get("/health/redis"), token.request("GET", "/consults", at=service)]
        for answer in answers:
            if answer.status_code != 200:  # a token that may have been revoked is not taken on trust
                expect_problem(answer, 503)
        return answers[0].status_code, answers[1].status_code

    assert seen() == (503, 503)
    for _ in range(2):
        with valkey(tmp_path, port):
            wait_until(lambda: seen() == (200, 200), "healed")
        wait_until(lambda: seen() == (503, 503), "noticed")
        expect(service.client.get("/health"), 200, HEALTH)
        expect(service.client.get("/health/database"), 200, DEPENDENCY)


def test_database_down_and_back(
    images: dict[str, Image], environment: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    """1.1.0 alone: the code is 1.0.0's, and a PostgreSQL of its own costs a second."""
    (folder / "second").mkdir()
    with postgres(folder / "second") as server:
        settings = {**environment, "DATABASE_URL": server.database("telehealth")}
        code, output = images["1.1.0"].release(settings)
        assert code == 0, output
        with serve(images["1.1.0"], settings, tmp_path / "log") as service:
            caller = log_in(service, ALICE)
            assert caller.request("GET", "/consults").status_code == 200
            server.stop()
            expect_problem(service.client.get("/health/database"), 503)
            expect_problem(caller.request("GET", "/consults"), 503)
            expect_problem(service.client.post("/auth/login", json=ALICE.as_json()), 503)
            expect(service.client.get("/health"), 200, HEALTH)
            expect(service.client.get("/health/redis"), 200, DEPENDENCY)
            server.start()
            wait_until(lambda: service.client.get("/health/database").status_code == 200, "healed")
            assert caller.request("GET", "/consults").status_code == 200
    assert "canary" not in (tmp_path / "log").read_text()


def test_starts_without_its_database(images: dict[str, Image], environment: dict[str, str], tmp_path: Path) -> None:
    url = f"postgresql://postgres:canary@127.0.0.1:{free_port()}/telehealth"
    with serve(images["1.0.0"], {**environment, "DATABASE_URL": url}, tmp_path / "log") as service:
        expect_problem(service.client.get("/health/database"), 503)
        assert service.client.get("/health/redis").status_code == 200

"""Fixtures: one PostgreSQL, one Valkey, and both releases of the reference service on them, as two colours."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.service.support import IMAGES, Image, Postgres, Service, free_port, postgres, serve, valkey
from tests.service.users import ALICE, BOB, SECRET, SignedIn, log_in

VERSIONS = ("1.0.0", "1.1.0")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Return a folder that every user can pass through, since PostgreSQL may run as another user."""
    path = Path(tempfile.mkdtemp(prefix="telehealth-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture(scope="session")
def images(folder: Path) -> dict[str, Image]:
    """Return copies of the shipped images, by version."""
    ignore = shutil.ignore_patterns("__pycache__")
    return {tag: Image(Path(shutil.copytree(IMAGES / tag, folder / tag, ignore=ignore))) for tag in VERSIONS}


@pytest.fixture(scope="session")
def cluster(folder: Path) -> Iterator[Postgres]:
    """Run PostgreSQL for the session."""
    (folder / "postgres").mkdir()
    with postgres(folder / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def redis_port(folder: Path) -> Iterator[int]:
    """Run Valkey for the session; return its port."""
    (folder / "valkey").mkdir()
    port = free_port()
    with valkey(folder / "valkey", port):
        yield port


@pytest.fixture(scope="session")
def environment(cluster: Postgres, redis_port: int) -> dict[str, str]:
    """Return a service's environment variables; its database is not migrated yet."""
    return {
        "NODE_ENV": "production",
        "DATABASE_URL": cluster.database("telehealth"),
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(redis_port),
        "JWT_SECRET": SECRET,
        "SEED_USERS": json.dumps([ALICE.as_json(), BOB.as_json()]),
        "CORS_ORIGINS": "https://app.telehealth.com, https://admin.telehealth.com",
        "COGNITO_USER_POOL_ID": "us-east-1_unused",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }


@pytest.fixture(scope="session")
def colours(images: dict[str, Image], environment: dict[str, str], folder: Path) -> Iterator[dict[str, Service]]:
    """Run both releases, by version: 1.0.0 was serving when 1.1.0 migrated their shared database."""
    with ExitStack() as running:
        services = {}
        for version, image in images.items():
            code, output = image.release(environment)
            assert code == 0, output
            services[version] = running.enter_context(serve(image, environment, folder / f"{version}.log"))
        yield services


@pytest.fixture(params=VERSIONS)
def service(request: pytest.FixtureRequest, colours: dict[str, Service]) -> Service:
    """Return each release in turn."""
    return colours[request.param]


@pytest.fixture
def other(service: Service, colours: dict[str, Service]) -> Service:
    """Return the other colour's release."""
    return next(colour for version, colour in colours.items() if version != service.version)


@pytest.fixture(scope="session")
def signed_in(colours: dict[str, Service]) -> dict[tuple[str, str], SignedIn]:
    """Return both users, signed in once on each colour, since password hashing is slow on purpose."""
    return {(tag, person.email): log_in(service, person) for tag, service in colours.items() for person in (ALICE, BOB)}


@pytest.fixture
def alice(service: Service, signed_in: dict[tuple[str, str], SignedIn]) -> Iterator[SignedIn]:
    """Return a signed-in user without consults; remove them again at the end."""
    caller = signed_in[service.version, ALICE.email]
    caller.clear()
    yield caller
    caller.clear()


@pytest.fixture
def bob(service: Service, signed_in: dict[tuple[str, str], SignedIn]) -> Iterator[SignedIn]:
    """Return another signed-in user without consults."""
    caller = signed_in[service.version, BOB.email]
    caller.clear()
    yield caller
    caller.clear()

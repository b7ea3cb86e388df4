"""Desks with environments: every process is stopped and its absence checked, whatever becomes of the tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.images import REJECTED, ROLLED_BACK, make_registry
from tests.e2e.killing import write_fast_settings
from tests.e2e.sandbox import Sandbox
from tests.e2e.user import User


@contextmanager
def open_sandbox(registry: Path, environment: str | None = None) -> Iterator[Sandbox]:
    """A sandbox that is cleared afterwards; fails where something is still running then."""
    # Not pytest's own folder: PostgreSQL's user must be able to pass through it.
    folder = Path(tempfile.mkdtemp(prefix="e2e-"))
    folder.chmod(0o755)
    sandbox = Sandbox(folder, registry, environment)
    try:
        yield sandbox
    finally:
        sandbox.close()
        left = sandbox.running()
        shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"still running: {left}"


@pytest.fixture(scope="session")
def good_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.0.0 and 1.1.0, as shipped."""
    return make_registry(tmp_path_factory.mktemp("good") / "registry")


@pytest.fixture(scope="session")
def broken_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The good ones, and every broken release."""
    return make_registry(tmp_path_factory.mktemp("broken") / "registry", (*REJECTED, *ROLLED_BACK))


@pytest.fixture
def sandbox(good_registry: Path) -> Iterator[Sandbox]:
    """A sandbox where nothing is up."""
    with open_sandbox(good_registry) as made:
        yield made


@pytest.fixture(scope="session")
def up_sandbox(broken_registry: Path) -> Iterator[Sandbox]:
    """A sandbox where 1.0.0 is live on blue; its tests leave it so."""
    with open_sandbox(broken_registry) as made:
        ran = made.script("up")
        assert ran.code == 0, ran.output
        yield made


@pytest.fixture(scope="session", params=["apprunner", pytest.param("ecs", marks=pytest.mark.soak)])
def either_sandbox(broken_registry: Path, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """The same for tests that pass on either platform."""
    if request.param == "apprunner":
        yield request.getfixturevalue("up_sandbox")
        return
    with open_sandbox(broken_registry, "embedded-ecs") as made:
        ran = made.script("up")
        assert ran.code == 0, ran.output
        yield made


@pytest.fixture
def user_of() -> Callable[[Sandbox], User]:
    """A user of the sandbox's live domain."""

    def make(sandbox: Sandbox) -> User:
        with sandbox.world() as world:
            return User(world.live_url, world.smoke_users[0])

    return make


@pytest.fixture(scope="session")
def fast_settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment.toml with as little patience as there can be: what is killed is not the gates."""
    return write_fast_settings(tmp_path_factory.mktemp("fast-settings"))

"""Sandboxes with environments; whether tests pass or fail, every process is stopped and its end is checked."""

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
    """Yield a sandbox and clear it afterwards; fail if a process is still running then."""
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
    """Return a registry with 1.0.0 and 1.1.0, as shipped."""
    return make_registry(tmp_path_factory.mktemp("good") / "registry")


@pytest.fixture(scope="session")
def broken_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a registry with the good releases and every broken one."""
    return make_registry(tmp_path_factory.mktemp("broken") / "registry", (*REJECTED, *ROLLED_BACK))


@pytest.fixture
def sandbox(good_registry: Path) -> Iterator[Sandbox]:
    """Yield a sandbox without an environment."""
    with open_sandbox(good_registry) as made:
        yield made


@pytest.fixture(scope="session")
def up_sandbox(broken_registry: Path) -> Iterator[Sandbox]:
    """Yield a sandbox with 1.0.0 live on blue; every test must leave it in this state."""
    with open_sandbox(broken_registry) as made:
        ran = made.script("up")
        assert ran.code == 0, ran.output
        yield made


@pytest.fixture(scope="session", params=["apprunner", pytest.param("ecs", marks=pytest.mark.soak)])
def either_sandbox(broken_registry: Path, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Yield such a sandbox on either platform, for tests that pass on both."""
    if request.param == "apprunner":
        yield request.getfixturevalue("up_sandbox")
        return
    with open_sandbox(broken_registry, "embedded-ecs") as made:
        ran = made.script("up")
        assert ran.code == 0, ran.output
        yield made


@pytest.fixture
def user_of() -> Callable[[Sandbox], User]:
    """Return a function that makes a user of a sandbox's live domain."""

    def make(sandbox: Sandbox) -> User:
        with sandbox.world() as world:
            return User(world.live_url, world.smoke_users[0])

    return make


@pytest.fixture(scope="session")
def fast_settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a deployment.toml with the shortest possible times: these tests kill runs, and the gates are not what they test."""
    return write_fast_settings(tmp_path_factory.mktemp("fast-settings"))


@pytest.fixture(scope="session")
def long_bake_settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return such a deployment.toml with the shipped bake of 10 s: long enough for a release that fails after 5 s."""
    return write_fast_settings(tmp_path_factory.mktemp("long-bake-settings"), bake="10")

"""`down` is refused while a living process works on the embedded environment; the refusal names it, and --force overrides."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from deployment.clock import SystemClock, process_identity
from deployment.errors import CloudUnreachable, Refused
from deployment.model import Holder
from deployment.project import CONFIGURATION, SETTINGS, VARIABLE
from infrastructure import compose
from infrastructure.embedded import cloud
from infrastructure.embedded.errors import StateOwned
from scripts import deploy
from scripts.commands import recover
from tests.deployment.fakes import dead, elsewhere


class Lease:
    """The lease of the environment, as its current holder says."""

    holder: Holder | None = None
    error: Exception | None = None

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def current(self) -> Holder | None:
        if self.error is not None:
            raise self.error
        return self.holder


def holder(host: str = socket.gethostname(), *, alive: bool = True, expires_in_s: float = 60) -> Holder:
    now = SystemClock().now()
    started = psutil.Process().create_time()
    made = Holder(
        "20261129-120000-green-abc123",
        "jane",
        host,
        os.getpid(),
        started,
        since=now,
        expires_at=now + timedelta(seconds=expires_in_s),
        doing="deploy telehealth-api:1.1.0",
        process_identity=process_identity(),
    )
    made = made if host == socket.gethostname() else elsewhere(made, host)
    return made if alive else dead(made)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return the calls that stop the environment, which is up."""
    calls: list[str] = []
    monkeypatch.setattr(cloud, "refuse_strangers", lambda _: None)
    monkeypatch.setattr(cloud, "outputs", lambda _: SimpleNamespace(lease_table="leases"))

    def stop(_: Path) -> SimpleNamespace:
        calls.append("down")
        return SimpleNamespace(processes=("caddy",))

    monkeypatch.setattr(cloud, "down", stop)
    monkeypatch.setattr(compose, "_embedded_connection", lambda _: None)
    monkeypatch.setattr(compose, "clients_for", lambda _: None)
    monkeypatch.setattr(compose, "DynamoLease", Lease)
    monkeypatch.setattr(recover, "recover_before_down", lambda *_: calls.append("recover"))
    monkeypatch.setattr(Lease, "holder", None)
    monkeypatch.setattr(Lease, "error", None)
    for file in (SETTINGS, CONFIGURATION):
        (tmp_path / file).touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return calls


def down(*options: str) -> Any:
    return CliRunner().invoke(deploy.cli, ["down", "--reports", "reports", *options])


@pytest.mark.parametrize("host", [socket.gethostname(), "another-host"], ids=["here", "elsewhere"])
def test_down_under_a_deployment_is_refused(stopped: list[str], monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    living = holder(host)
    monkeypatch.setattr(Lease, "holder", living)
    ran = down()
    assert isinstance(ran.exception, Refused)
    for word in (living.deployment_id, "jane", living.host, str(living.pid), "--force"):
        assert word in str(ran.exception)
    assert stopped == []
    assert down("--force").exit_code == 0
    assert stopped == ["recover", "down"]


def test_down_under_a_run_with_its_own_environment_is_refused(
    stopped: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has no lease yet: it has just started the environment for itself."""

    def owned(state: Path) -> None:
        raise StateOwned(state, "20261129-120000-green-abc123", 4711, "12:00")

    monkeypatch.setattr(cloud, "refuse_strangers", owned)
    ran = down()
    assert isinstance(ran.exception, Refused)
    assert "20261129-120000-green-abc123 (this host, pid 4711)" in str(ran.exception)
    assert stopped == []


@pytest.mark.parametrize(
    ("held", "error"),
    [
        (None, None),
        (holder(alive=False), None),
        (holder("another-host", expires_in_s=-1), None),
        (None, CloudUnreachable("dynamodb GetItem: no answer")),
    ],
    ids=["free", "dead", "expired", "broken"],
)
def test_environment_without_a_living_run_is_stopped(
    stopped: list[str], monkeypatch: pytest.MonkeyPatch, held: Holder | None, error: Exception | None
) -> None:
    monkeypatch.setattr(Lease, "holder", held)
    monkeypatch.setattr(Lease, "error", error)
    assert down().exit_code == 0
    assert stopped == ["recover", "down"]

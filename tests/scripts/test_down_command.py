"""`down` is refused while a living process works on the embedded environment; the refusal names it, and --force overrides."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import psutil
import pytest
from click.testing import CliRunner

from deployment.clock import SystemClock, process_identity
from deployment.errors import CloudUnreachable, LeaseHeld, Refused
from deployment.model import Holder
from deployment.project import CONFIGURATION, SETTINGS, VARIABLE
from infrastructure import stopping
from infrastructure.embedded import cloud
from infrastructure.embedded.errors import EmbeddedError, StateBusy, StateOwned
from scripts import deploy
from scripts.commands import recover
from tests.deployment.fakes import dead, elsewhere


class Lease:
    """The lease of the environment, as its current holder says."""

    holder: Holder | None = None
    next_holder: Holder | None = None
    """A run that takes the lease right before `down` does."""
    error: Exception | None = None
    calls: ClassVar[list[str]] = []

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def current(self) -> Holder | None:
        if self.error is not None:
            raise self.error
        return self.holder

    def acquire(self, holder: Holder, *, take_over: int | None = None) -> Holder:
        if self.next_holder is not None:
            raise LeaseHeld(self.next_holder)
        assert take_over == (None if self.holder is None else self.holder.token)
        self.calls.append(f"acquire to {holder.doing}")
        return holder

    def release(self, holder: Holder) -> None:
        self.calls.append(f"release {holder.doing}")


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

    def stop(_: Path, *, under_a_run: bool = True) -> SimpleNamespace:
        calls.append("down under a run" if under_a_run else "down")
        return SimpleNamespace(processes=("caddy",))

    monkeypatch.setattr(cloud, "down", stop)
    monkeypatch.setattr(stopping, "embedded_connection", lambda _: None)
    monkeypatch.setattr(stopping, "clients_for", lambda _: None)
    monkeypatch.setattr(stopping, "DynamoLease", Lease)
    caller = SimpleNamespace(arn="arn:aws:iam::123456789012:user/jane")
    monkeypatch.setattr(stopping, "StsIdentity", lambda _: SimpleNamespace(caller_and_clock=lambda: (caller, 0)))
    monkeypatch.setattr(Lease, "calls", calls)
    monkeypatch.setattr(Lease, "next_holder", None)
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
    assert stopped == ["recover", "down under a run"]


def test_down_is_refused_if_a_deployment_begins_beside_it(stopped: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The run took the lease after `down` had found it free."""
    monkeypatch.setattr(Lease, "next_holder", holder())
    ran = down()
    assert isinstance(ran.exception, Refused)
    assert "20261129-120000-green-abc123 of jane holds the lock of this environment" in str(ran.exception)
    assert stopped == ["recover"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StateBusy(Path("state"), "`up` of process 4711"), "is in use by `up` of process 4711"),
        (StateOwned(Path("state"), "20261129-120000-green-abc123", 4711, "12:00"), "(this host, pid 4711) is running"),
    ],
    ids=["busy", "a run began to start it"],
)
def test_lease_is_given_back_if_the_environment_cannot_be_stopped(
    stopped: list[str], monkeypatch: pytest.MonkeyPatch, error: EmbeddedError, words: str
) -> None:
    def fails(_: Path, **__: Any) -> None:
        raise error

    monkeypatch.setattr(cloud, "down", fails)
    ran = down()
    assert isinstance(ran.exception, Refused)
    assert words in str(ran.exception)
    assert stopped == ["recover", "acquire to stop the environment", "release stop the environment"]


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
    taken = [] if error else ["acquire to stop the environment"]
    assert stopped == ["recover", *taken, "down"]

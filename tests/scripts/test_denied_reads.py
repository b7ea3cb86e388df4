"""Commands whose role may not read the registry or a secret: a name is shown as unknown, and a way back never stops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import CloudDenied, CloudError, CloudUnreachable, NotFound
from deployment.evidence.journal import JOURNAL_FILE
from deployment.model import Caller, Image, Reads
from deployment.recovery import status
from deployment.settings import Settings
from infrastructure import named_secrets, secret_values
from infrastructure.aws.session import Connection
from infrastructure.compose import Environment
from infrastructure.description import service_of
from infrastructure.estate import Adapter, Estate
from scripts.commands import rollback
from tests.checkout import CHECKOUT
from tests.deployment.fakes import NEW, OLD, FakeRegistry
from tests.deployment.harness import LIMITS, Deployment
from tests.deployment.test_way_back import attempt
from verification.journeys.placeholders import provide_secrets

SETTINGS = Settings(
    "test",
    LIMITS,
    {},
    {"provider": "embedded"},
    project=CHECKOUT,
    service_file=CHECKOUT.root / "suites" / "service.yaml",
)
DENIED = CloudDenied("ecr DescribeImages: AccessDeniedException")
FAILURES = [
    DENIED,
    CloudUnreachable("ecr DescribeImages: ConnectTimeoutError"),
    CloudError("no image"),
    NotFound("no repository"),
]


class ClosedRegistry(FakeRegistry):
    """A registry that raises the same error for every question."""

    def __init__(self, error: CloudError) -> None:
        super().__init__(OLD, NEW)
        self._error = error

    def find(self, digest: str) -> Image | None:  # noqa: ARG002  # the port's signature
        raise self._error

    def tags(self) -> Sequence[str]:
        raise self._error


class NoTraffic:
    """A traffic monitor that sends nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def warm_up(self, longest_s: float = 0.0) -> None:
        pass

    def rollback(self, *_: Any) -> None:
        return None

    def stop(self) -> None:
        pass


@pytest.fixture
def done(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment that has promoted green."""
    made = Deployment(tmp_path)
    made.run()
    yield made
    made.stop_keeper()


def environment(one: Deployment, registry: FakeRegistry, **more: Any) -> Environment:
    caller = Caller("arn:aws:iam::123456789012:user/tester", "123456789012")
    return Environment("test", "http://live.example", one.ports, registry, caller, (), (), **more)


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_rollback_needs_no_registry(
    done: Deployment, error: CloudError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Traffic moves back, and the report names the digest instead of the image."""
    monkeypatch.setattr(rollback, "TrafficMonitor", NoTraffic)
    unread = "the smoke users could not be read (a reason)"
    world = environment(done, ClosedRegistry(error), unread=unread)
    assert rollback.rollback(SETTINGS, world, done.reports) == 0
    assert done.ports.router.observe().live.value == "blue"
    shown = capsys.readouterr().out
    assert "rolled back: blue is live again" in shown
    assert f"not checked: {unread}" in shown
    (journal,) = done.reports.glob(f"*-rollback-*/{JOURNAL_FILE}")
    assert OLD.digest in journal.read_text(encoding="utf-8")


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_status_needs_no_registry(done: Deployment, error: CloudError) -> None:
    shown = status.describe("test", "http://live.example", done.ports, ClosedRegistry(error))
    assert (shown["live"]["digest"], shown["live"]["image"]) == (NEW.digest, None)
    assert shown["rollback"]["possible"] is True


def test_redeploy_does_need_the_registry(done: Deployment) -> None:
    """The tag to deploy comes from the registry: its own error is shown, not "the registry does not have it"."""
    attempt(done, "two")
    with pytest.raises(CloudDenied):
        rollback.release_to_redeploy(SETTINGS, environment(done, ClosedRegistry(DENIED)), None)


class Vault:
    """Secrets Manager that answers for the named secrets and denies the others; ``asked`` holds every question."""

    def __init__(self, **values: str) -> None:
        self._values: Mapping[str, str] = values
        self.asked: list[str] = []

    def read(self, name: str) -> str:
        self.asked.append(name)
        if name not in self._values:
            raise CloudDenied(f"secretsmanager GetSecretValue: {name}")
        return self._values[name]


USERS = '[{"email": "a@example.com", "password": "one"}, {"email": "b@example.com", "password": "two"}]'
ESTATE = Estate(
    Connection("us-east-1", "123456789012"),
    "123456789012",
    "https://api.example.com",
    Adapter("ecs", {}),
    Adapter("alb", {}),
    "locks",
    "users",
    None,
    None,
    token_secret="token",
    database_url_secret="database",
    redis_url_secret="redis",
)


@pytest.mark.parametrize(
    ("reads", "asked"),
    [
        (Reads.NOTHING, []),
        (Reads.USERS, ["users"]),
        (Reads.USERS_IF_READABLE, ["users"]),
        (Reads.ALL, ["users", "token", "database", "redis"]),
    ],
)
def test_only_needed_secrets_are_read(reads: Reads, asked: Sequence[str]) -> None:
    vault = Vault(users=USERS, token="t", database="postgresql://u:secret@db/x", redis="redis://r")
    values = secret_values.read(vault, ESTATE, service_of(SETTINGS), reads)
    assert vault.asked == asked
    assert len(values.smoke_users) == (2 if asked else 0)
    assert set(values.texts) >= ({USERS, "one", "two"} if asked else set())
    assert (values.token_secret, values.unread) == ("t" if reads is Reads.ALL else None, None)


@pytest.mark.parametrize("vault", [Vault(), Vault(users="not JSON")], ids=["denied", "malformed"])
def test_unreadable_users_stop_a_check_but_no_way_back(vault: Vault) -> None:
    values = secret_values.read(vault, ESTATE, service_of(SETTINGS), Reads.USERS_IF_READABLE)
    assert values.smoke_users == ()
    assert "users" in (values.unread or "")
    with pytest.raises(Exception, match="users"):
        secret_values.read(vault, ESTATE, service_of(SETTINGS), Reads.USERS)


class DeniedVault:
    """A vault with one secret that may be read, and one that may not."""

    def read(self, name: str) -> str:
        """See ``deployment.ports.Secrets``."""
        if name == "prod/denied":
            raise CloudDenied("secretsmanager GetSecretValue: AccessDeniedException")
        return f"value of {name}"

    def exists(self, name: str) -> bool:
        """See ``deployment.ports.Secrets``."""
        return bool(name)


NAMED = replace(SETTINGS, estate={**SETTINGS.estate, "secrets": {"KEY": "prod/key", "OTHER": "prod/denied"}})


def test_way_back_does_without_a_secret_of_the_service() -> None:
    found = named_secrets.provide(DeniedVault(), NAMED, {}, Reads.USERS_IF_READABLE)
    assert found.texts == ("value of prod/key",)
    assert list(found.unread) == ["secret.OTHER"]
    assert "AccessDenied" in found.unread["secret.OTHER"]
    provide_secrets({})
    with pytest.raises(CloudDenied):
        named_secrets.provide(DeniedVault(), NAMED, {})
    assert named_secrets.provide(DeniedVault(), NAMED, {}, Reads.NOTHING).texts == ()


def test_journeys_that_use_an_unread_secret_are_not_played() -> None:
    service = service_of(SETTINGS)
    [first, *rest] = service.journeys
    step = first.steps[0]
    keyed = replace(step, request=replace(step.request, headers={"X-Key": "${secret.OTHER}"}))
    changed = replace(service, journeys=(replace(first, steps=(keyed, *first.steps[1:])), *rest))
    assert changed.without(["secret.OTHER"]).journeys == tuple(rest)
    assert service.without(["secret.OTHER"]) == service
    assert changed.without(["secret.ANOTHER"]) == changed

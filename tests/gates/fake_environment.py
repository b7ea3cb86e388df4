"""A pytest plugin for the runs that these tests start: it replaces the connection to the environment by facts from a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployment import project
from deployment.evidence.archive import NOWHERE, Archive
from deployment.model import Reads
from deployment.ports import NO_JOURNEY_DATA, JourneyData
from deployment.settings import Settings
from infrastructure import compose, description
from plugins.modes import environment_snapshot
from verification.journeys.accounts import SmokeUser, parse_smoke_users
from verification.stores.connections import Before, Stores

FILE = "GATES_FAKE_ENVIRONMENT"
"""The environment variable that names the facts' file: ``{"users": [{"email", "password"}, …], "token_secret": "…" or null, …}``.

``connect`` reads all of its keys but ``before``, which ``take_snapshot`` reads.
"""
SETTINGS = "GATES_SETTINGS"
"""The environment variable that names another deployment.toml."""


@dataclass(frozen=True)
class FakePorts:
    """The part of the ports that verifying an address needs."""

    data: JourneyData = NO_JOURNEY_DATA


@dataclass(frozen=True)
class FakeEnvironment:
    """The part of an ``Environment`` that verifying an address needs."""

    smoke_users: tuple[SmokeUser, ...]
    token_secret: str | None = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    stores: Stores = field(repr=False)
    live_url: str
    viewer_host: str
    rehearsal_hosts: Mapping[str, str] = field(default_factory=dict)
    ports: FakePorts = FakePorts()

    def archive(self) -> Archive:
        """Return an archive that keeps nothing."""
        return NOWHERE


def connect(_settings: Settings, _reads: Reads = Reads.ALL) -> FakeEnvironment:
    """Return the fake environment; replaces ``compose.connect``."""
    facts = json.loads(Path(os.environ[FILE]).read_text(encoding="utf-8"))
    users = parse_smoke_users(json.dumps(facts["users"]))
    secret = facts["token_secret"]
    stores = Stores(**facts["stores"])
    secrets = tuple(filter(None, (secret, *(user.password for user in users), *stores.secrets)))
    return FakeEnvironment(users, secret, secrets, stores, facts["live_url"], facts["viewer_host"])


def take_snapshot(_world: object, _settings: Settings) -> Before | None:
    """Return the snapshot from the facts, taken before the release was started; replaces ``environment_snapshot.take_snapshot``."""
    seen = json.loads(Path(os.environ[FILE]).read_text(encoding="utf-8"))["before"]
    return seen and Before(**seen)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Install the replacements before conftest.py imports the framework; importing this module alone changes nothing."""
    if SETTINGS in os.environ:
        project.SETTINGS = os.environ[SETTINGS]  # an absolute path replaces the one below the project's folder
    environment_snapshot.take_snapshot = take_snapshot  # type: ignore[assignment]  # the part of an Environment that is needed
    description.has_environment = lambda settings: settings is not None
    compose.is_up = lambda settings: settings is not None
    compose.connect = connect  # type: ignore[assignment]  # the part of an Environment that is needed

"""A pytest plugin for the runs of these tests: the environment that ``--base-url`` would reach has smoke users and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployment import settings
from deployment.evidence.archive import NOWHERE, Archive
from deployment.settings import Settings
from infrastructure import compose
from plugins.modes import environment_snapshot
from verification.accounts import SmokeUser, parse_smoke_users
from verification.stores import Before, Stores

FILE = "GATES_FAKE_ENVIRONMENT"
"""The environment variable that names a file: ``{"users": [{"email", "password"}, …], "token_secret": "…" or null, …}``: see ``reach``."""
SETTINGS = "GATES_SETTINGS"
"""The environment variable that names another deployment.toml."""


@dataclass(frozen=True)
class FakeEnvironment:
    """As much of a ``Environment`` as verifying an address takes."""

    smoke_users: tuple[SmokeUser, ...]
    token_secret: str | None = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    stores: Stores = field(repr=False)
    live_url: str
    viewer_host: str
    rehearsal_hosts: Mapping[str, str] = field(default_factory=dict)

    def archive(self) -> Archive:
        """Kept nowhere else."""
        return NOWHERE


def connect(_settings: Settings) -> FakeEnvironment:
    """In place of ``compose.connect``."""
    facts = json.loads(Path(os.environ[FILE]).read_text(encoding="utf-8"))
    users = parse_smoke_users(json.dumps(facts["users"]))
    secret = facts["token_secret"]
    stores = Stores(**facts["stores"])
    secrets = tuple(filter(None, (secret, *(user.password for user in users), *stores.secrets)))
    return FakeEnvironment(users, secret, secrets, stores, facts["live_url"], facts["viewer_host"])


def take_snapshot(_world: object, _settings: Settings) -> Before | None:
    """In place of ``environment_snapshot.take_snapshot``: what was seen before the release was brought up, which here was before this run."""
    seen = json.loads(Path(os.environ[FILE]).read_text(encoding="utf-8"))["before"]
    return seen and Before(**seen)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Puts it in place before conftest.py brings the framework in; merely importing this module changes nothing."""
    if SETTINGS in os.environ:
        settings.SETTINGS_FILE = Path(os.environ[SETTINGS])
    environment_snapshot.take_snapshot = take_snapshot  # type: ignore[assignment]  # less than an Environment, and enough
    compose.connect = connect  # type: ignore[assignment]  # less than an Environment, and enough

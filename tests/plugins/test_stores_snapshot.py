"""The stores before a deployment: connections are counted whether or not the description has a statement for rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deployment.settings import Settings, load
from plugins.modes import environment_snapshot
from plugins.modes.environment_snapshot import take_snapshot
from verification.declarative.service import load_service
from verification.journeys.accounts import SmokeUser
from verification.stores import connections
from verification.stores.connections import Before, Stores

ROOT = Path(__file__).resolve().parents[2]
ROWS = "SELECT count(*) FROM orders WHERE email = ANY(%s)"
TAKERS = (1, 2)


@dataclass(frozen=True)
class Environment:
    """The part of an environment that a snapshot needs."""

    stores: Stores
    smoke_users: tuple[SmokeUser, ...] = ()


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose stores answer with 7 connections of 100, 3 rows and 2 takers."""

    def rows(_url: str, statement: str, *_: Any) -> Sequence[tuple[Any, ...]]:
        answers: dict[str, list[tuple[Any, ...]]] = {ROWS: [(3,)], "SHOW max_connections": [("100",)]}
        return answers.get(statement, [(7,)])

    monkeypatch.setattr(connections, "rows", rows)
    monkeypatch.setattr(environment_snapshot, "takers", lambda _url: TAKERS)
    return load(ROOT / "deployment.toml")


@pytest.mark.parametrize("redis", [None, "redis://redis"])
@pytest.mark.parametrize(("statement", "rows"), [(ROWS, 3), (None, None)])
def test_connections_are_counted_with_and_without_a_statement_for_rows(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, statement: str | None, rows: int | None, redis: str | None
) -> None:
    described = load_service(ROOT / "suites" / "service.yaml", "suites/service.yaml")
    service = replace(described, stores={"database": {"rows": statement}} if statement else {})
    monkeypatch.setattr(environment_snapshot, "service_of", lambda _settings: service)
    seen = take_snapshot(Environment(Stores("postgresql://database", redis)), settings)  # type: ignore[arg-type]  # the part of an Environment that is needed
    assert seen == Before(rows, 7, TAKERS[1] if redis else None)

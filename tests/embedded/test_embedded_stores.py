"""Stores that the description does not declare are not started, and an existing environment without them says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from infrastructure.embedded import cloud
from infrastructure.embedded.errors import StateStores
from tests.embedded.conftest import SERVED


@pytest.mark.parametrize("stores", [(), pytest.param(("redis",), marks=pytest.mark.soak)])
def test_only_declared_stores_run(state: Path, registry: Path, stores: tuple[str, ...]) -> None:
    served = replace(SERVED, stores=stores)
    outputs = cloud.up(state, registry, served)
    found = cloud.inspect(state)
    assert found is not None
    assert [one.name for one in found.processes] == [*(["valkey"] if stores else []), "moto", "caddy", "endpoint"]
    assert found.healthy
    assert "database_url" not in outputs.secrets
    assert bool(outputs.redis_url) is bool(stores)
    answer = httpx.get(
        f"http://127.0.0.1:{outputs.live_url.rpartition(':')[2]}/", headers={"Host": outputs.live_url[7:]}
    )
    assert answer.json()["injected"] == ["JWT_SECRET", "SEED_USERS"]
    assert not (state / "data" / "postgres").exists()

    # Declared later: refused in words, with nothing changed; and back.
    with pytest.raises(StateStores, match=r"was started without .*database.* which suites/service\.yaml now declares"):
        cloud.up(state, registry, SERVED)
    with pytest.raises(StateStores, match="down, then up"):
        cloud.up_for("a-run", state, registry, replace(SERVED, stores=("database",)))
    assert cloud.inspect(state) == found
    assert cloud.up(state, registry, served) == outputs
    assert set(cloud.down(state).processes) >= {"moto", "caddy", "endpoint"}

"""One PostgreSQL and one Valkey, on which each release is tried in turn."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gates.verifying import Bench
from tests.service.support import free_port, postgres, valkey
from tests.service.users import ALICE, BOB, SECRET

USERS = [ALICE.as_json(), BOB.as_json()]


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """Servers for the session, migrated to 1.1.0."""
    folder = Path(tempfile.mkdtemp(prefix="gates-"))
    folder.chmod(0o755)  # PostgreSQL may run as another user
    try:
        for name in ("postgres", "valkey"):
            (folder / name).mkdir()
        port = free_port()
        with postgres(folder / "postgres") as cluster, valkey(folder / "valkey", port):
            environment = {
                "DATABASE_URL": cluster.database("telehealth"),
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(port),
                "JWT_SECRET": SECRET,
                "SEED_USERS": json.dumps(USERS),
                "CORS_ORIGINS": "https://app.telehealth.com",
            }
            stores = {"database": environment["DATABASE_URL"], "redis": f"redis://127.0.0.1:{port}/0"}
            made = Bench(folder, cluster, environment, USERS, stores)
            made.migrate(None)
            yield made
    finally:
        shutil.rmtree(folder)

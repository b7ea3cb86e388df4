"""One PostgreSQL and one Valkey, on which each release is tried in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gates.verifying import Bench, open_bench


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """Servers for the session, migrated to 1.1.0."""
    with open_bench() as made:
        yield made

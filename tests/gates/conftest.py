"""One PostgreSQL and one Valkey for all tests; each test runs its release on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gates.verifying import Bench, open_bench


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """Yield the session's servers, with the database migrated to 1.1.0."""
    with open_bench() as made:
        yield made

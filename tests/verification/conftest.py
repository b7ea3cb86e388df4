"""Fixtures of the verification tests: a real server on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.verification.contract_server import Service


@pytest.fixture
def service() -> Iterator[Service]:
    """The service's contract on a port of its own, as ``http://api.telehealth.localhost:PORT``."""
    running = Service()
    yield running
    running.stop()

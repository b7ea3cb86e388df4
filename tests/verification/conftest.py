"""Fixtures of the verification tests: a real server on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.verification.contract_server import Service


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that speaks the contract at ``http://api.telehealth.localhost:PORT``."""
    running = Service()
    yield running
    running.stop()

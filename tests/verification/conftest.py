"""Fixtures of the verification tests: a real server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.verification.contract_server import Service
from tests.verification.notes_server import Notes
from verification.declarative.service import load_service
from verification.journeys.model import Service as Described

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that speaks the contract at ``http://api.telehealth.localhost:PORT``."""
    running = Service()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def described() -> Described:
    """The shipped description of the service."""
    return load_service(ROOT / "suites" / "service.yaml", "suites/service.yaml")


@pytest.fixture
def notes() -> Iterator[Notes]:
    """A service of another kind: HTTP Basic, no dependencies."""
    running = Notes()
    yield running
    running.stop()

"""A deployment on the fake cloud; its keeper thread ends with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.harness import Deployment


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of 1.1.0 to green while blue is live on 1.0.0."""
    deployment = Deployment(tmp_path / "reports")
    yield deployment
    deployment.stop_keeper()

"""Two environments of one account may have two repositories: images, scans, pushes and permissions use the environment's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployment.settings import load
from infrastructure import compose
from infrastructure.aws.session import clients_for
from infrastructure.estate import aws_estate
from tests.checkout import SETTINGS_FILE


@pytest.mark.parametrize(
    ("own", "expected"), [({}, "telehealth-api"), ({"ecr_repository": "staging/api"}, "staging/api")]
)
def test_environment_may_have_its_own_repository(own: dict[str, str], expected: str) -> None:
    shipped = load(SETTINGS_FILE, "production")
    settings = replace(shipped, estate={**shipped.estate, **own})
    estate = aws_estate(settings)
    connection = replace(estate.connection, profile=None)
    clients = clients_for(connection)
    assert compose._registry(clients, settings, estate)._repository == expected  # type: ignore[attr-defined]  # the only class
    assert compose._permissions(clients, settings, estate)._resources.repository == expected  # type: ignore[attr-defined]

"""Checks of the settings before anything changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployment.errors import SettingsError
from deployment.settings import load
from plugins.modes.settings_checks import load_has_journeys

SERVICE = """
service: shop
health: {{request: GET /up, version: none}}
dependencies: none
sessions: none
journeys:
  order:
    weight: {weight}
    {live}
    steps:
      - {{name: order, request: POST /orders, capture: {{id: $.id}}}}
    undo:
      - {{name: cancel, request: "DELETE /orders/${{id}}"}}
"""
SETTINGS = 'service = "service.yaml"\ndefault_environment = "e"\n[environments.e]\nprovider = "embedded"\n'


@pytest.mark.parametrize(
    ("weight", "live", "possible"), [(1, "live: true", True), (0, "live: true", False), (1, "live: false", False)]
)
def test_load_needs_a_journey_that_it_may_play(tmp_path: Path, weight: int, live: str, possible: bool) -> None:
    (tmp_path / "service.yaml").write_text(SERVICE.format(weight=weight, live=live))
    (tmp_path / "deployment.toml").write_text(SETTINGS)
    settings = load(tmp_path / "deployment.toml")
    if possible:
        load_has_journeys(settings)
        return
    with pytest.raises(SettingsError, match="the load may play none of the journeys") as caught:
        load_has_journeys(settings)
    assert "weight above 0" in (caught.value.hint or "")

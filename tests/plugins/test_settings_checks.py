"""Checks of the settings before anything changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deployment.errors import Refused, SettingsError
from deployment.settings import load
from plugins.modes.settings_checks import load_has_journeys, shares_can_be_judged, with_strategy

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


@pytest.mark.parametrize(
    ("estate", "version", "judged"),
    [
        ({"router": "cloudfront", "platform": "apprunner"}, "none", True),
        ({"router": "cloudfront", "platform": "ecs"}, "none", True),
        ({"router": "alb", "platform": "ecs"}, "none", False),
        ({"router": "route53", "platform": "apprunner"}, "none", False),
        ({"router": "route53", "platform": "ecs"}, "{header: X-Version}", True),
        ({"router": "alb", "platform": "ecs"}, "$.version", True),
        ({}, "none", True),
    ],
)
def test_a_share_needs_answers_that_name_their_release(
    tmp_path: Path, estate: dict[str, str], version: str, judged: bool
) -> None:
    """CloudFront names the colour in each answer; behind a load balancer or DNS only the version in the answer can."""
    described = SERVICE.format(weight=1, live="live: true").replace("version: none", f"version: {version}")
    (tmp_path / "service.yaml").write_text(described)
    (tmp_path / "deployment.toml").write_text(SETTINGS)
    settings = load(tmp_path / "deployment.toml")
    settings = replace(settings, estate={**settings.estate, **estate})
    shares_can_be_judged(with_strategy(settings, "all-at-once"))
    for text in ("canary:10%,60s", "linear:20%,30s"):
        settings = with_strategy(settings, text)
        if judged:
            shares_can_be_judged(settings)
            continue
        with pytest.raises(Refused, match="nothing would say which answers are its own") as caught:
            shares_can_be_judged(settings)
        assert "--strategy=all-at-once" in (caught.value.hint or "")
        assert "header: X-Version" in (caught.value.hint or "")

"""The version is asked by the described request, and no answer leads the next request to the instance that gave it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from deployment.model import Colour, Image
from plugins.described.fixtures import Player
from plugins.described.health import is_the_expected_version
from plugins.fixtures import Session as Deployment
from plugins.state import Release
from verification.http.client import RecordingClient
from verification.journeys.model import Expectation, Health, Request, Service, Step
from verification.journeys.placeholders import Values

RELEASE = Release("http://api.example", Colour.GREEN, Image("api", "1.1.0", "sha256:b", "1.1.0", "r@sha256:b"))


def ask(request: Request, answer: Any) -> None:
    """Run the check against a service that gives these answers."""
    health = Health(Step("health", "GET /health", request, Expectation((200,))), "$.version")
    service = Service("api", "api", None, health)
    player = Player(cast("Deployment", SimpleNamespace(service=service, values=lambda _: Values(None, "marker"))))
    with RecordingClient(None, False, base_url="http://api.example", transport=httpx.MockTransport(answer)) as client:
        is_the_expected_version(player, client, RELEASE, {"identity": 10}, lambda *_, **__: None)


def test_sticky_cookie_hides_no_old_instance() -> None:
    instances = cycle(["1.1.0", "1.0.0"])

    def answer(request: httpx.Request) -> httpx.Response:
        version = request.headers.get("cookie", "").partition("AWSALB=")[2] or next(instances)
        return httpx.Response(200, json={"version": version}, headers={"Set-Cookie": f"AWSALB={version}; Path=/"})

    with pytest.raises(AssertionError, match=r"version 1\.0\.0 in 5 of 10 answers"):
        ask(Request("GET", "/health"), answer)


@pytest.mark.parametrize(
    ("request_", "needed"),
    [
        (Request("GET", "/health", query={"verbose": 1}), {"url": "http://api.example/health?verbose=1"}),
        (Request("GET", "/health", headers={"X-Key": "${marker}"}), {"x-key": "marker"}),
        (Request("GET", "/health"), {"accept": "application/json"}),
    ],
)
def test_described_request_is_sent(request_: Request, needed: Mapping[str, str]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        found = {"url": str(request.url), **request.headers}
        same = all(found.get(name) == value for name, value in needed.items())
        return httpx.Response(200, json={"version": "1.1.0"} if same else {"needed": needed})

    ask(request_, answer)

"""Known secrets in the paths and queries of requests, as the framework and httpx encode them."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, settings

from tests.verification.test_redaction import SECRETS
from verification.http.client import curl_for
from verification.journeys.model import Expectation, Request, Step
from verification.journeys.placeholders import Values
from verification.journeys.player import prepare
from verification.redaction.redactor import MARK, Redactor

URL = "http://a.example"


def paths_with(secret: str) -> list[str]:
    """Return the paths that messages show: of a declared request with the secret in path and query, and httpx's own."""
    request = Request("GET", "/q/${n}/?x=${n}", {"y": "${n}"})
    step = Step("a", "GET /q", request, Expectation((200,)))
    prepared = prepare(step, Values({}, "run-1", {"n": secret}), {})
    sent = httpx.Request("GET", f"{URL}{prepared.path}")
    own = httpx.Request("GET", f"{URL}/q/{secret}", params={"x": secret})
    return [prepared.path, str(sent.url), curl_for(sent), curl_for(own)]


@pytest.mark.parametrize(
    ("secret", "part"),
    [("p@ss^word!1xyz", "word"), ("a|b{c}[d]2024", "2024"), ("sp ace/sl^ash+pl=us", "ash"), ("ü^ber'2024$x", "2024")],
)
def test_known_secret_is_redacted_as_a_path_spells_it(secret: str, part: str) -> None:
    for path in paths_with(secret):
        cleaned = Redactor([secret]).clean(path)
        assert MARK in cleaned
        assert part not in cleaned


@settings(deadline=None)
@given(SECRETS.filter(lambda secret: not set("?#%") & set(secret) and "://" not in secret))
def test_each_place_of_a_path_is_redacted(secret: str) -> None:
    path, url, command, _ = paths_with(secret)
    for text in (path, url, command):
        assert Redactor([secret]).clean(text).count(MARK) >= 3

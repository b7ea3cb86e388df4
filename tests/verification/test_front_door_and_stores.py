"""Requests to a colour as its front door sends them, and the messages about wrong answers and stores."""

from __future__ import annotations

import httpx
import pytest

from verification.contract.expecting import expect
from verification.contract.openapi import ContractViolation
from verification.http.client import as_front_door, curl_for, open_client
from verification.stores.connections import OtherSchema, StoreFailed, Stores, rows, seconds_left

LIVE = "https://api.telehealth.com"
OWN = "https://green.example:8443"


def _request(header: str, ask_for: str | None = None) -> httpx.Request:
    """Return the request that the client builds; no server receives it."""
    with open_client("http://127.0.0.1:1", timeout_s=0.5, **as_front_door(LIVE, header, ask_for)) as client:
        with pytest.raises(httpx.ConnectError) as caught:
            client.get("/health")
        return caught.value.request


def test_request_behind_a_proxy_with_its_own_host() -> None:
    request = _request("x-forwarded-host")
    assert (request.headers["host"], request.headers["x-forwarded-host"]) == ("127.0.0.1:1", "api.telehealth.com")
    assert request.headers["x-forwarded-proto"] == "https"
    assert "sni_hostname" not in request.extensions


def test_request_behind_a_proxy_that_forwards_the_host() -> None:
    request = _request("host")
    assert request.headers["host"] == "api.telehealth.com"
    assert "x-forwarded-host" not in request.headers
    assert request.extensions["sni_hostname"] == "api.telehealth.com"


def test_request_behind_a_load_balancer_that_rewrites_the_host() -> None:
    """The Host header is the rule's host, address and TLS name are the colour's; no header names the live domain."""
    request = _request("x-forwarded-host", "rehearsal.green.example")
    assert request.headers["host"] == "rehearsal.green.example"
    assert "x-forwarded-host" not in request.headers
    assert "sni_hostname" not in request.extensions


def test_curl_command_has_a_host_header_if_it_differs_from_the_url() -> None:
    request = httpx.Request("GET", f"{OWN}/health", headers={"Host": "api.telehealth.com"})
    assert curl_for(request) == f"curl -i -H 'Host: api.telehealth.com' {OWN}/health"
    assert curl_for(httpx.Request("GET", f"{OWN}/health")) == f"curl -i {OWN}/health"


def _answer(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, request=httpx.Request("GET", f"{OWN}/health"))


def test_unexpected_status_names_the_request_and_the_curl_command() -> None:
    assert expect(_answer(200), 200).status_code == 200
    with pytest.raises(ContractViolation) as caught:
        expect(_answer(308, location="https://elsewhere.example/"), 200, "GET /health for the live domain")
    first, again = str(caught.value).splitlines()
    assert first == "GET /health for the live domain: status 308 to https://elsewhere.example/, expected status 200"
    assert again == f"  again: curl -i {OWN}/health"


@pytest.mark.parametrize("url", ["postgresql://me:canary-password@127.0.0.1:1/none", "no url: canary-password"])
def test_unreachable_store_shows_no_password(url: str) -> None:
    with pytest.raises(StoreFailed) as caught:
        rows(url, "SELECT 1")
    assert "canary" not in str(caught.value)
    assert not isinstance(caught.value, OtherSchema)
    with pytest.raises(StoreFailed) as caught:
        seconds_left(url.replace("postgresql", "redis"), "key")
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_urls_of_stores_are_secrets() -> None:
    stores = Stores("postgresql://me:canary-password@host/db", "redis://:canary-password@host")
    assert "canary" not in repr(stores)
    assert set(stores.secrets) == {stores.database, stores.redis, "canary-password"}
    assert Stores("no url", None).secrets == ("no url",)


def test_a_command_names_the_kind_of_credentials_and_shows_none() -> None:
    for value, shown in (("Basic Y2FuYXJ5", "Basic $CREDENTIALS"), ("Bearer canary-token", "Bearer $TOKEN")):
        command = curl_for(httpx.Request("GET", f"{OWN}/x", headers={"Authorization": value}))
        assert f'-H "Authorization: {shown}"' in command
        assert value.partition(" ")[2] not in command

"""Headers and a host that lead a request to one release at an address."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest

from tests.verification.shop_server import Shop
from verification.http.client import open_client
from verification.http.raw_http import Connection
from verification.http.route import DIRECT, Route
from verification.journeys.accounts import SmokeUser, read_accounts

ROUTE = Route.of(["X-Release: candidate", "X-Api-Key:  canary-key "], "shop.example:8443")


def test_route_is_read_and_kept() -> None:
    assert ROUTE.sent == {"X-Release": "candidate", "X-Api-Key": "canary-key", "Host": "shop.example:8443"}
    assert ROUTE.tls_name == "shop.example"
    assert Route.of([], "[::1]:80").tls_name == "::1"
    assert (DIRECT.sent, DIRECT.tls_name) == ({}, None)
    assert set(ROUTE.secrets()) == {"canary-key"}
    assert set(Route.of(["Authorization: Bearer canary"]).secrets()) == {"Bearer canary", "canary"}
    assert "canary" not in repr(ROUTE)
    assert Route.from_json(json.loads(json.dumps(asdict(ROUTE)))) == ROUTE


def test_headers_of_a_request_take_precedence() -> None:
    assert ROUTE.beside({"x-release": "live"}) == {
        "X-Api-Key": "canary-key",
        "Host": "shop.example:8443",
        "x-release": "live",
    }


@pytest.mark.parametrize(
    ("headers", "host", "words"),
    [
        (["canary"], None, "'NAME: VALUE'"),
        ([": canary"], None, "'NAME: VALUE'"),
        (["X A: canary"], None, "'NAME: VALUE'"),
        (["X-A:"], None, "X-A must be one line"),
        (["X-A: canary\r\nX-B: 1"], None, "X-A must be one line"),
        (["X-A: canär\u0000y"], None, "X-A must be one line"),
        (["Host: h"], None, "set by --host"),
        (["content-length: 3"], None, "belongs to the connection"),
        (["X-A: canary", "x-a: canary"], None, "given twice"),
        ([], "", "must be a host"),
        ([], "http://h", "must be a host"),
        ([], "h/x", "must be a host"),
        ([], "u@h", "must be a host"),
        ([], "h:0", "must be a host"),
        ([], "h:99999", "must be a host"),
        ([], "[::g]", "must be a host"),
        ([], "a b", "must be a host"),
        ([], "h\n", "must be a host"),
    ],
)
def test_malformed(headers: list[str], host: str | None, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Route.of(headers, host)
    assert "canar" not in str(caught.value)


def test_both_clients_send_it() -> None:
    shop = Shop()
    shop.only_with = ("X-Release", "candidate")
    try:
        with open_client(shop.url, timeout_s=5, route=ROUTE) as client:
            assert client.get("/up").status_code == 200
            assert client.get("/up", headers={"x-release": "live"}).status_code == 503
        connection = Connection(shop.url, None, 5, route=ROUTE)
        assert connection.ask("GET", "/up", {}, None).status == 200
        assert connection.ask("GET", "/up", {"x-release": "live"}, None).status == 503
        connection.close()
        assert shop.hosts == {"shop.example:8443"}
    finally:
        shop.stop()


def test_tls_asks_for_the_host() -> None:
    """The request of a client carries the name that TLS asks for; a wire connection passes it to the handshake."""
    asked: list[str] = []

    class Refusing(ssl.SSLContext):
        def wrap_socket(self, *_: object, server_hostname: object = None, **__: object) -> ssl.SSLSocket:
            asked.append(str(server_hostname))
            raise ssl.SSLError("no")

    shop = Shop()
    try:
        connection = Connection(shop.url.replace("http:", "https:"), Refusing(ssl.PROTOCOL_TLS_CLIENT), 5, route=ROUTE)
        with pytest.raises((OSError, http.client.HTTPException)):
            connection.ask("GET", "/up", {}, None)
        connection.close()
    finally:
        shop.stop()
    assert asked == ["shop.example"]
    with open_client("https://127.0.0.1:9", timeout_s=1, route=ROUTE) as client:
        request = client.build_request("GET", "/up")
        with pytest.raises(httpx.TransportError):
            client.send(request)
    assert request.extensions["sni_hostname"] == "shop.example"


CONTENTS = {
    "not JSON": (b'[{"password": "canary"', "is not JSON"),
    "too deep": (b"[" * 100_000, "is not JSON"),
    "no UTF-8": (b'["canary \xff"]', "is not UTF-8"),
    "no list": (b'{"email": "anna", "password": "canary"}', "is not a list of"),
    "empty": (b"[]", "is not a list of"),
    "no password": (b'[{"email": "anna"}]', "entry 0 of --accounts"),
    "a number": (b'[{"email": "anna", "password": "canary"}, 2]', "entry 1 of --accounts"),
    "large": (b" " * 1_000_001, "is larger than 1000000 bytes"),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_accounts_that_are_none(case: str, tmp_path: Path) -> None:
    content, words = CONTENTS[case]
    file = tmp_path / "accounts.json"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(ValueError, match=words) as caught:
        read_accounts(file, "--accounts")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_accounts_that_others_can_use(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    file.write_text('[{"email": "anna", "password": "canary"}]')
    file.chmod(mode)
    with pytest.raises(ValueError, match=f"mode {mode:04o}, expected 0600"):
        read_accounts(file, "--accounts")
    file.chmod(0o400)
    assert read_accounts(file, "--accounts") == (SmokeUser("anna", "canary"),)


def test_accounts_that_are_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("pipe", "is not a regular file"), (".", "is not a regular file"), ("none", "No such file")):
        with pytest.raises(ValueError, match=words):
            read_accounts(tmp_path / name, "--accounts")

"""The HTTP client: connections, recorded exchanges, curl commands, and sign-in."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.signing_in import SignInFailed, sign_in
from tests.verification.contract_server import USER, Service
from verification.http.client import Exchange, curl_for, open_client
from verification.journeys.accounts import SmokeUser, parse_smoke_users

ROOT = Path(__file__).resolve().parents[2]


def test_localhost_name_is_reached_on_loopback_with_its_host_header(service: Service) -> None:
    with open_client(service.url, timeout_s=5) as client:
        response = client.get("/health")
    assert response.json()["status"] == "ok"
    assert service.hosts == {f"api.telehealth.localhost:{service.port}"}
    assert response.request.url.host == "api.telehealth.localhost"


@pytest.mark.parametrize(("keep_alive", "connections"), [(True, 1), (False, 3)])
def test_connections_are_kept_only_with_keep_alive(service: Service, keep_alive: bool, connections: int) -> None:
    with open_client(service.url, timeout_s=5, keep_alive=keep_alive) as client:
        for _ in range(3):
            client.get("/health")
    assert len(set(service.ports)) == connections


def test_each_exchange_is_recorded_even_without_an_answer(service: Service) -> None:
    seen: list[Exchange] = []
    with open_client(service.url, timeout_s=5, on_exchange=seen.append) as client:
        client.get("/health")
        service.raw = b""
        with pytest.raises(httpx.TransportError):
            client.get("/consults")
    assert [(e.method, e.path, e.status) for e in seen] == [("GET", "/health", 200), ("GET", "/consults", None)]
    assert seen[0].problem is None
    assert "RemoteProtocolError" in str(seen[1].problem)


def test_the_environments_proxy_is_not_used_and_redirects_are_not_followed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    service.fail["health"] = 302
    service.headers["Location"] = "/consults"
    with open_client(service.url, timeout_s=5) as client:
        assert client.get("/health").status_code == 302
    assert service.seen == ["health"]


def test_the_curl_command_shows_the_request_and_no_secret(service: Service) -> None:
    with open_client(service.url, timeout_s=5, headers={"Authorization": "Bearer canary-token"}) as client:
        body = {"email": "a@b.example", "password": "canary$word", "note": 'it\'s `5$` "now"'}
        command = curl_for(client.build_request("POST", "/auth/login", json=body))
    assert "canary" not in command
    argv = shlex.split(command)
    assert argv[-1] == f"{service.url}/auth/login"
    assert "Authorization: Bearer $TOKEN" in argv
    shown = subprocess.run(
        ["sh", "-c", command.replace("curl", "printf '%s\\n'", 1)],
        env={"TOKEN": "t0", "PASSWORD": "p0", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert '"password": "p0"' in shown
    assert "Authorization: Bearer t0" in shown
    assert '"it\'s `5$` \\"now\\""' in shown


def test_smoke_users_sign_in_and_hide_their_password(service: Service) -> None:
    (user,) = parse_smoke_users(f'[{{"email": "{USER["email"]}", "password": "{USER["password"]}"}}]')
    assert USER["password"] not in repr(user)
    with open_client(service.url, timeout_s=5) as client:
        assert sign_in(client, user) in service.tokens
        with pytest.raises(SignInFailed, match="status 401, expected 200") as caught:
            sign_in(client, SmokeUser(user.email, "canary-wrong"))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("secret", ["canary", "{}", "[]", '[{"email": "canary"}]', '[{"email": "a", "password": ""}]'])
def test_malformed_smoke_users_are_refused_and_not_quoted(secret: str) -> None:
    with pytest.raises(ValueError, match="secret") as caught:
        parse_smoke_users(secret)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_importing_verification_patches_nothing() -> None:
    found = [path for path in (ROOT / "verification").rglob("*.py") if "locusts" not in path.parts]
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found if path.stem != "__init__"]
    program = "import sys, importlib, socket, threading; before = socket.socket, threading.Thread\n"
    program += f"for name in {modules!r}: importlib.import_module(name)\n"
    program += "assert not {'locust', 'gevent'} & set(sys.modules); assert before == (socket.socket, threading.Thread)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "verification.load.run" in modules


def test_curl_command_of_a_form() -> None:
    """A user can send it again; fields with a secret name are variables of the shell."""
    fields = {"tag": "a b&c", "password": "canary-Form:word", "text": "$HOME `id`"}
    command = curl_for(httpx.Request("POST", "http://a.example/x", data=fields))
    assert command.endswith('--data "tag=a+b%26c&password=$PASSWORD&text=%24HOME+%60id%60" http://a.example/x')
    command = curl_for(httpx.Request("POST", "http://a.example/x", data={"tag": "a"}))
    assert command.endswith("--data tag=a http://a.example/x")
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert "(2 bytes that are not a form)" in curl_for(
        httpx.Request("POST", "http://a.example/x", headers=kind, content=b"\xff=")
    )
    assert "(3 bytes that are not a form)" in curl_for(
        httpx.Request("POST", "http://a.example/x", headers=kind, content=b"abc")
    )
    assert "bytes of a form)" in curl_for(httpx.Request("POST", "http://a.example/x", data={"a": "b" * 9999}))

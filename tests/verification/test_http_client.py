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
from verification.http.client import Exchange, UnusableLocation, curl_for, open_client
from verification.http.raw_http import number_of
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


def raw(status: str, *headers: bytes) -> bytes:
    """Return an answer as the server sends it, with headers that no library would write."""
    lines = [b"HTTP/1.1 " + status.encode(), *headers, b"Connection: close", b"Content-Length: 2"]
    return b"\r\n".join([*lines, b"", b"{}"])


UNUSABLE = [
    *(b"urn:ietf:wg:oauth:2.0:oob?code=x", b"mailto:a@b.c", b"javascript:alert(1)", b"tel:+1", b"about:blank"),
    *(b"http://xn--a/", b"http://[::1", b"http://a:x/", b"http://a:" + b"9" * 5000, b"/" + b"x" * 70_000, b"/a\tb"),
]


@pytest.mark.parametrize("location", UNUSABLE, ids=lambda location: repr(location[:30]))
def test_a_location_that_is_no_url_is_an_answer_and_cannot_be_followed(service: Service, location: bytes) -> None:
    service.raw = raw("302 Found", b"Location: " + location)
    seen: list[Exchange] = []
    with open_client(service.url, timeout_s=5, on_exchange=seen.append) as client:
        response = client.get("/health")
        assert (response.status_code, response.headers["location"]) == (302, location.decode())
        assert response.next_request is None
        with pytest.raises(UnusableLocation, match=r"GET /health: the Location .* cannot be followed"):
            client.get("/health", follow_redirects=True)
    assert [(e.status, e.problem) for e in seen[:1]] == [(302, None)]


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        *((b"/x", "/x"), (b"x?y=1#z", "/x?y=1#z"), (b"", "/health"), (b"?y=1", "/health?y=1"), (b"../..", "/")),
        *((b"https://other.example/x", "https://other.example/x"), (b"//other.example/x", "http://other.example/x")),
        *(
            ("https://bücher.example/".encode(), "https://xn--bcher-kva.example/"),
            (b"app://back?code=x", "app://back?code=x"),
        ),
        *((b"http://a:99999/", "http://a:99999/"), (b"/\xff", "/%C3%BF")),
    ],
)
def test_a_location_that_is_a_url_is_the_next_request(service: Service, location: bytes, leads_to: str) -> None:
    service.raw = raw("302 Found", b"Location: " + location)
    with open_client(service.url, timeout_s=5) as client:
        followed = client.get("/health").next_request
    assert followed is not None
    assert str(followed.url) == (service.url + leads_to if leads_to.startswith("/") else leads_to)


def test_a_redirect_is_followed_for_a_check_that_asks_for_it(service: Service) -> None:
    service.fail["health"] = 302
    service.headers["Location"] = "/consults"
    with open_client(service.url, timeout_s=5) as client:
        assert client.get("/health", follow_redirects=True).history[0].status_code == 302
    assert service.seen == ["health", "listConsults"]


@pytest.mark.parametrize(
    "attributes",
    [
        *(b"; expires=Thu, 01 Jan " + b"9" * 5000 + b" 00:00:00 GMT", b"; expires=Thu, 01 Dez 2099 00:00:00 GMT"),
        *(b"; Expires=Fri, 31 Dec 10000 23:59:59 GMT", b"; Max-Age", b"; Max-Age=" + b"9" * 4000, b"; expires=soon"),
        *(b"; Expires=Thu, 01-Jan-2099 00:00:00 GMT; Path=/; HttpOnly; SameSite=Lax", b"; max-age=60", b""),
        *(b"; expires=Thu, 01 Jan 2099 00:00:00 GMT", b"; Expires=Thursday, 01-Jan-37 00:00:00 GMT", b"; Partitioned"),
    ],
    ids=lambda attributes: repr(attributes[:30]),
)
def test_a_cookie_is_kept_whatever_its_date(service: Service, attributes: bytes) -> None:
    service.raw = raw("200 OK", b"Set-Cookie: a=b" + attributes, b"Set-Cookie: c=d")
    with open_client(service.url, timeout_s=5) as client:  # the tests make an error of a warning
        response = client.get("/health")
        assert dict(response.cookies) == dict(client.cookies) == {"a": "b", "c": "d"}
        assert client.get("/health").request.headers["cookie"] == "a=b; c=d"


def test_a_cookie_beyond_ascii_is_read_and_not_sent(service: Service) -> None:
    service.raw = raw("200 OK", "Set-Cookie: a=ä; Path=/".encode(), b"Set-Cookie: c=d")
    with open_client(service.url, timeout_s=5) as client:
        assert dict(client.get("/health").cookies) == {"a": "ä", "c": "d"}
        assert client.get("/health").request.headers["cookie"] == "c=d"


@pytest.mark.parametrize("date", [b"Thu, 01 Jan 1970 00:00:00 GMT", b"Mon, 01-Jan-90 00:00:00 GMT"])
def test_a_cookie_of_the_past_is_removed(service: Service, date: bytes) -> None:
    with open_client(service.url, timeout_s=5) as client:
        for attributes in (b"", b"; expires=" + date):
            service.raw = raw("200 OK", b"Set-Cookie: a=b" + attributes)
            response = client.get("/health")
        assert not response.cookies
        assert not client.cookies


@pytest.mark.parametrize(
    "header",
    [
        *(b"Retry-After: " + b"9" * 5000, b"Date: x", b"WWW-Authenticate: \xff=,,", b"Link: <", b"X-A: \xff\xfe\x80"),
        *(
            b"Location: /x",
            b"Content-Encoding: identity, ",
            b"Age: -1",
            b"Set-Cookie: \xff",
            b"Set-Cookie2: x; Version=x",
        ),
    ],
)
def test_an_odd_header_does_not_hide_the_answer(service: Service, header: bytes) -> None:
    service.raw = raw("200 OK", header)
    with open_client(service.url, timeout_s=5) as client:
        response = client.get("/health")
    assert (response.status_code, response.json()) == (200, {})
    assert header.partition(b":")[0].decode() in response.headers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("0", 0),
        ("9" * 18, 10**18 - 1),
        ("9" * 5000, None),
        ("²", None),
        ("-1", None),
        ("", None),
        (None, None),
    ],
)
def test_the_number_of_a_header(text: str | None, number: int | None) -> None:
    assert number_of(text) == number


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

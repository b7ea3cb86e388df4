"""Cookies last as long as one check: no check is asked with those that another check, or a sign-in, got."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.checkout import CHECKOUT
from tests.plugins.project import INI, ROOT

ACCOUNT = {"email": "anna@example.com", "password": "canary-Pass/word+3"}
SERVICE = """
service: sweets
health: {request: GET /health, version: none}
dependencies: none
sessions:
  user:
    kind: cookie
    sign_in: {request: {method: POST, path: /login, json: {email: "${account.email}", password: "${account.password}"}}}
journeys:
  me: {as: user, steps: [{name: me, request: GET /me, expect: {status: 200}}]}
"""
SETTINGS = """
default_environment = "here"
[gates.endpoints]
checks_in_flight = IN_FLIGHT
[environments.here]
provider = "embedded"
"""
CHECKS = """
checks:
  - {name: gets one, request: GET /set/first, expect: {status: 200, body: {cookie: none}}}
  - {name: has none, request: GET /have, expect: {status: 200, body: {cookie: none}}}
  - name: keeps its own
    steps:
      - {name: get, request: GET /set/second, expect: {status: 200, body: {cookie: none}}}
      - {name: send, request: GET /have, expect: {status: 200, body: {cookie: flavour=second}}}
  - {name: has none again, request: GET /have, expect: {status: 200, body: {cookie: none}}}
"""


class _Handler(BaseHTTPRequestHandler):
    """``/set/X`` sets a cookie, every answer has the request's cookies, and ``/me`` wants the one of ``/login``."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        cookie = self.headers.get("Cookie", "none")
        known = ACCOUNT["password"] in asked.decode()
        closed = not known if self.path == "/login" else self.path == "/me" and "sid=open" not in cookie
        made = "sid=open; Path=/" if known else None
        if self.path.startswith("/set/"):
            made = f"flavour={self.path.rpartition('/')[2]}; Path=/"
        body = json.dumps({"cookie": cookie}).encode()
        self.send_response(401 if closed else 200)
        if made is not None:
            self.send_header("Set-Cookie", made)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815  # the names of the standard library

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, in_flight: int = 4) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("EMBEDDED_STATE", str(pytester.path / "nothing"))
    (pytester.mkdir("suites") / "endpoints").mkdir()
    (pytester.path / "suites" / "service.yaml").write_text(SERVICE)
    (pytester.path / "suites" / "endpoints" / "many.yaml").write_text(CHECKS)
    (pytester.path / "pytest.ini").write_text(INI)
    (pytester.path / "conftest.py").write_text('pytest_plugins = ("plugins.framework",)\n')
    (pytester.path / "deployment.toml").write_text(SETTINGS.replace("IN_FLIGHT", str(in_flight)))
    (pytester.path / "accounts.json").write_text(json.dumps([ACCOUNT, ACCOUNT]))
    (pytester.path / "accounts.json").chmod(0o600)
    shutil.copy(CHECKOUT.checklist_file, pytester.path)


@pytest.mark.parametrize("in_flight", [1, 4])
def test_a_check_has_its_own_cookies(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, in_flight: int
) -> None:
    project(pytester, monkeypatch, in_flight)
    with service() as url:
        result = pytester.runpytest_inprocess(f"--base-url={url}", "suites/endpoints/many.yaml")
    assert result.ret == 0, result.stdout.str()
    result.assert_outcomes(passed=4)


def test_a_sign_in_by_cookie_opens_nothing_for_requests_without_credentials(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(pytester, monkeypatch)
    with service() as url:
        result = pytester.runpytest_inprocess(f"--base-url={url}", "--accounts=accounts.json", "suites/auth")
    assert result.ret == 0, result.stdout.str()
    assert result.parseoutcomes()["passed"] == 3, "one of them asks without credentials"

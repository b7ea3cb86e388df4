"""Two small real servers: a token endpoint of another host (OAuth 2), and a service that accepts its tokens.

The service has a token endpoint of its own as well, ``/token``.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from verification.journeys.accounts import SmokeUser
from verification.journeys.tokens import claims_of, forge

CLIENT = SmokeUser("machine:one", "canary-Client/secret+2")
OTHER = SmokeUser("machine:two", "canary-Other/secret+3")


def described(token_url: str, more: str = "") -> str:
    """Return the description of the service; ``more`` are further keys of its session."""
    return f"""\
service: ledger
health: {{request: GET /up, version: none}}
dependencies: none
sessions:
  machine:
    kind: oauth2-client-credentials
    token_url: {token_url}
    {more}
journeys:
  read the ledger:
    as: machine
    steps:
      - {{name: read, request: GET /ledger, expect: {{status: 200, body: {{entries: {{type: array}}}}}}, private: true}}
"""


class Servers:
    """Both servers. ``status`` other than 200 makes the token endpoint fail, with the request and a secret in its answer.

    ``algorithm`` stands in the header of tokens. ``believes``: the service takes every token for a good one, whoever signed it. ``lifetime_s`` is the ``expires_in`` of tokens; a token is valid until ``revoke``, or with ``ends_tokens`` until its end. ``requests``: the forms that came to the
    endpoint, with the client. ``refused`` counts requests to the service without a valid token. ``caches``: the endpoint
    gives its last token again, whether or not the service takes it.
    """

    def __init__(self) -> None:
        self.status = 200
        self.algorithm = "HS256"
        self.lifetime_s: float | None = 3600
        self.ends_tokens = False
        self.requests: list[dict[str, str]] = []
        self.valid: dict[str, str] = {}
        self.ends: dict[str, float] = {}
        self.refused = self.answered = 0
        self.believes = self.caches = False
        self.cached: str | None = None
        self.lock = threading.Lock()
        self._servers = [_Server(("127.0.0.1", 0), _Handler) for _ in range(2)]
        self._threads = []
        for server in self._servers:
            server.servers = self
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            thread.start()
            self._threads.append(thread)

    @property
    def token_url(self) -> str:
        return f"http://login.localhost:{self._servers[0].server_address[1]}/oauth2/token"

    @property
    def url(self) -> str:
        return f"http://ledger.localhost:{self._servers[1].server_address[1]}"

    def revoke(self) -> None:
        with self.lock:
            self.valid.clear()

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    servers: Servers

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error: a client that closes its connection does not fail the test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {name: one[0] for name, one in parse_qs(body).items()}
        kind, _, pair = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            name, _, secret = base64.b64decode(pair).decode().partition(":")
            form |= {"basic": "yes", "client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}
        servers = self.server.servers
        servers.requests.append(form)
        known = {one.email: one.password for one in (CLIENT, OTHER)}
        name = form.get("client_id", "")
        if servers.status != 200:
            echo = {"error": form.get("client_secret"), "message": f"{body} {self.headers}"}
            self._answer(servers.status, echo)
        elif known.get(name) != form.get("client_secret"):
            self._answer(401, {"error": "invalid_client"})
        else:
            claims = {"sub": name, "exp": int(time.time()) + 3600, "jti": secrets.token_hex(8)}
            token = forge(claims, "canary-signing-key", servers.algorithm)
            with servers.lock:
                if servers.caches and servers.cached is not None:
                    token = servers.cached
                else:
                    servers.valid[token] = name
                servers.cached = token
                servers.ends[token] = time.monotonic() + (servers.lifetime_s or 3600)
            lifetime = {} if servers.lifetime_s is None else {"expires_in": servers.lifetime_s}
            self._answer(200, {"access_token": token, "token_type": "Bearer", **lifetime})

    def do_GET(self) -> None:
        servers = self.server.servers
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if servers.ends_tokens and time.monotonic() >= servers.ends.get(token, 0):
            servers.valid.pop(token, None)
        if self.path == "/up":
            self._answer(200, {"status": "ok"})
        elif servers.valid.get(token) == CLIENT.email or (servers.believes and _claims(token)):
            servers.answered += 1
            self._answer(200, {"entries": []})
        else:
            servers.refused += 1
            self._answer(403 if token in servers.valid else 401, {"error": "no token"})

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _claims(token: str) -> dict[str, Any]:
    try:
        return claims_of(token)
    except ValueError:
        return {}

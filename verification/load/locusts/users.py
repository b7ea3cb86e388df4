"""The users that Locust plays, by a plan that is known at once, or comes from the master."""

from __future__ import annotations

import json
import random
import ssl
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import socket as gevent_socket
from gevent.event import Event
from locust import constant_throughput, task
from locust.contrib.fasthttp import FastHttpUser, FastResponse

from verification.http.decoding import ENCODINGS, Meter, TooLarge

_CLEAR_S = 2.0
_PIECE = 65_536

PLAN: dict[str, Any] = {}
ACCOUNTS: deque[Mapping[str, str]] = deque()
planned = Event()
_names: list[str] = []
_weights: list[int] = []
_booked: dict[str, SmokeUser] = {}  # consults that nobody has deleted yet


def adopt(plan: Mapping[str, Any], accounts: Sequence[Mapping[str, str]], first: int = 0) -> None:
    """What users do from now on, and as whom; ``first``: the account that the first of them takes."""
    PLAN.update(plan)
    ACCOUNTS.extend(accounts)
    ACCOUNTS.rotate(-first)
    _names[:] = [name for name, weight in plan["weights"].items() if weight > 0]
    _weights[:] = [plan["weights"][name] for name in _names]
    SmokeUser.wait_time = constant_throughput(plan["rate_per_user"])
    SmokeUser.network_timeout = SmokeUser.connection_timeout = plan["timeout_s"]
    _know_loopback(urlsplit(plan["base_url"]).hostname or "")
    planned.set()


def _know_loopback(own: str) -> None:
    """``*.localhost`` is the loopback address (RFC 6761), whatever the resolver knows; Host and TLS name stay the URL's."""
    if own != "localhost" and not own.endswith(".localhost"):
        return
    resolve = gevent_socket.getaddrinfo

    def loopback(host: Any, *rest: Any, **named: Any) -> Any:
        return resolve("127.0.0.1" if host == own else host, *rest, **named)

    gevent_socket.getaddrinfo = loopback


def clear() -> None:
    """Deletes what is still booked; not in ``on_stop``, since Locust does not wait for that of a user who was between requests."""
    with gevent.Timeout(_CLEAR_S, False):
        for consult, user in list(_booked.items()):
            user.ask("DELETE", f"/consults/{consult}", "cancelConsult", 204)


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=PLAN["ca_file"])


class TooLargeForLoad(ConnectionError):
    """The answer's body is larger than allowed, or encoded in a way that was not asked for."""


class LimitedResponse(FastResponse):
    """Reads the body at once, while the request's deadline runs, and no more of it than the plan allows."""

    def _content(self) -> bytes:
        if self.headers is None or self._response is None:
            return b""
        encodings = [part for value in self.headers.getlist("content-encoding") for part in value.split(",")]
        try:
            meter, pieces = Meter(encodings, PLAN["largest"], keep=True), []
            while piece := self._response.read(_PIECE):
                pieces += meter.feed(bytes(piece))
        except (TooLarge, ValueError) as error:
            self.release()
            raise TooLargeForLoad("the answer is larger than largest_answer allows, or has another encoding") from error
        except BaseException:
            self.release()
            raise
        self.release()
        return b"".join(pieces)

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        _ = self.content  # kept from here on


class SmokeUser(FastHttpUser):
    """Signs in once, then makes one request at a time, as often as the plan says; deletes what it books."""

    max_retries = 0
    ssl_context_factory = staticmethod(_tls)

    def __init__(self, environment: Any) -> None:
        planned.wait()  # on a worker the plan may come a moment after the order to begin
        # By the plan alone: Locust's master can set all of these, and could be anybody; users tell their passwords.
        self.host, self.insecure, self.proxy_host, self.proxy_port = PLAN["base_url"], False, None, None
        super().__init__(environment)
        self.client.client.response_type = LimitedResponse  # type: ignore[misc]  # Locust has no other way to choose it

    def on_start(self) -> None:
        """Signs in as the next of the smoke users."""
        self.account = ACCOUNTS[0]
        ACCOUNTS.rotate(-1)
        self.token: str | None = None
        self.follow_ups: deque[tuple[str, str]] = deque()
        self.sign_in()

    def sign_in(self) -> None:
        """A session; where there is none, the next request tries again."""
        answer = self.ask("POST", "/auth/login", "login", 200, self.account)
        self.token = answer.get("access_token") if answer else None

    @task
    def step(self) -> None:
        """One request: what follows from an earlier one, else one of the mix."""
        if self.token is None:
            self.sign_in()
        elif self.follow_ups:
            operation, consult = self.follow_ups.popleft()
            method, status = ("GET", 200) if operation == "readConsult" else ("DELETE", 204)
            self.ask(method, f"/consults/{consult}", operation, status)
        else:
            self.begin(random.choices(_names, _weights)[0])  # noqa: S311 - a mix, not a secret

    def begin(self, operation: str) -> None:
        """One request of the mix."""
        if operation == "health":
            self.ask("GET", "/health", operation, 200)
        elif operation == "listConsults":
            self.ask("GET", f"/consults?limit={PLAN['list_limit']}", operation, 200)
        else:
            starts_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 30 * 86400))
            body = {"patient": "Load Check", "reason": "load check", "starts_at": starts_at}
            answer = self.ask("POST", "/consults", operation, 201, body)
            if answer and "id" in answer:
                _booked[answer["id"]] = self
                self.follow_ups.extend([("readConsult", answer["id"]), ("cancelConsult", answer["id"])])

    def ask(self, method: str, path: str, operation: str, status: int, body: Any = None) -> dict[str, Any] | None:
        """The answer's JSON object where it came as expected; else a failure, in words that quote nothing of the answer."""
        headers = {"User-Agent": "load-check", "Accept-Encoding": ENCODINGS}
        if self.token is not None and operation not in {"health", "login"}:
            headers["Authorization"] = f"Bearer {self.token}"
        # Locust limits each single read; this ends the request however slowly its answer drips.
        with gevent.Timeout(PLAN["timeout_s"]):
            asked = self.client.request(
                method, path, name=operation, json=body, headers=headers, allow_redirects=False, catch_response=True
            )
        with asked as response:
            if response.status_code == 0:
                response.failure(f"no answer: {type(response.error).__name__}")
                return None
            if response.status_code != status:
                response.failure(f"status {response.status_code}, expected {status}")
                if response.status_code == 401 and operation != "login":
                    self.token = None
                return None
            value = None if status == 204 else _json(response.content)
            if status != 204 and not isinstance(value, dict):
                response.failure("the body is not a JSON object")
                return None
            response.success()
            if operation == "cancelConsult":
                _booked.pop(path.rpartition("/")[2], None)
            return value
        return None


def _json(body: bytes | str | None) -> Any:
    try:
        return json.loads(body or "")
    except ValueError:
        return None

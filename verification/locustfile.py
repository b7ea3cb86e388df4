"""The users that Locust plays; the only file that imports it, loaded by ``python -m locust`` alone (see ``load.py``).

It imports nothing of this project: Locust patches what its process imports, and puts this folder first on ``sys.path`` while
it loads this file; only what Locust has imported by then is safe from our ``http`` and ``statistics``.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import ssl
import sys
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import socket as gevent_socket
from locust import constant_throughput, events, task
from locust.contrib.fasthttp import FastHttpUser

_SETTLE_S = 5.0
_CLEAR_S = 2.0
_HEARTBEAT_S = 0.05


def _first_line() -> dict[str, Any]:
    """What the parent said, read byte by byte: what follows is the end of file, which is waited for elsewhere."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            sys.exit("no plan on stdin")
        line += piece
    told: dict[str, Any] = json.loads(line)
    return told


PLAN = _first_line()
USERS: deque[dict[str, str]] = deque(PLAN["users"])
HOST = urlsplit(PLAN["base_url"]).hostname or ""
NAMES = [name for name, weight in PLAN["weights"].items() if weight > 0]
WEIGHTS = [PLAN["weights"][name] for name in NAMES]
_begun: dict[str, float] = {}
_noted: dict[str, float] = {}
_late_ms: list[float] = []
_booked: dict[str, SmokeUser] = {}  # consults that nobody has deleted yet

if HOST == "localhost" or HOST.endswith(".localhost"):
    _resolve = gevent_socket.getaddrinfo

    def _loopback(host: Any, *rest: Any, **named: Any) -> Any:
        """``*.localhost`` is the loopback address (RFC 6761), whatever the resolver knows; Host and TLS name stay the URL's."""
        return _resolve("127.0.0.1" if host == HOST else host, *rest, **named)

    gevent_socket.getaddrinfo = _loopback


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _started(environment: Any, **_: Any) -> None:
    _begun.update(at=time.monotonic(), cpu_s=_cpu_s())
    gevent.spawn(_follow_parent, environment)
    gevent.spawn(_keep_time)
    # Locust's own --run-time counts from before the users are made, and takes whole seconds only.
    gevent.spawn_later(PLAN["seconds"], environment.runner.quit)


def _keep_time() -> None:
    """How late this process is woken up: where it is late, so is every request, and none of that is the service's."""
    while not _noted:
        begin = time.monotonic()
        gevent.sleep(_HEARTBEAT_S)
        _late_ms.append((time.monotonic() - begin - _HEARTBEAT_S) * 1000)


def _stopping(**_: Any) -> None:
    """The load's own time: what users need to finish after it is not part of it."""
    if not _noted:
        _noted.update(seconds=time.monotonic() - _begun["at"], cpu_s=_cpu_s() - _begun["cpu_s"])


def _write(environment: Any, **_: Any) -> None:
    if _begun:  # after a signal Locust quits first and stops then
        _stopping()
    environment.runner.stop()
    _clear()
    errors = [[_words(entry), entry.occurrences] for entry in environment.stats.errors.values()]
    with open(PLAN["extra"], "w", encoding="utf-8") as file:
        json.dump({**_noted, "late_ms": _late_ms, "errors": sorted(errors, key=lambda error: -int(error[1]))}, file)


def _words(entry: Any) -> str:
    """The failure as it was put by ``ask``, without Locust's own class around it."""
    text = entry.parse_error(entry.error)
    own = re.fullmatch(r"CatchResponseError\((['\"])(.*)\1\)", text)
    return f"{entry.method} {entry.name}: {own[2] if own else text}"[:300]


def _clear() -> None:
    """Deletes what is still booked; not in ``on_stop``, since Locust does not wait for that of a user who was between requests."""
    with gevent.Timeout(_CLEAR_S, False):
        for consult, user in list(_booked.items()):
            user.ask("DELETE", f"/consults/{consult}", "cancelConsult", 204)


def _follow_parent(environment: Any) -> None:
    """Ends with the parent: stdin's end is read in a real thread, since a patched one would block every user."""
    while gevent.get_hub().threadpool.spawn(os.read, 0, 4096).get():
        pass
    gevent.spawn_later(_SETTLE_S, os._exit, 75)
    environment.runner.quit()


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=PLAN["ca_file"])


class SmokeUser(FastHttpUser):
    """Signs in once, then makes one request at a time, as often as the plan says; deletes what it books."""

    wait_time = constant_throughput(PLAN["rate_per_user"])
    network_timeout = connection_timeout = PLAN["timeout_s"]
    max_retries = 0
    insecure = False
    ssl_context_factory = staticmethod(_tls)

    def on_start(self) -> None:
        """Signs in as the next of the smoke users."""
        self.account = USERS[0]
        USERS.rotate(-1)
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
            self.begin(random.choices(NAMES, WEIGHTS)[0])  # noqa: S311 - a mix, not a secret

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
        headers = {"User-Agent": "load-check"}
        if self.token is not None and operation not in {"health", "login"}:
            headers["Authorization"] = f"Bearer {self.token}"
        with self.client.request(
            method, path, name=operation, json=body, headers=headers, allow_redirects=False, catch_response=True
        ) as response:
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


hooks: Any = events  # Locust's own types stop half way
hooks.test_start.add_listener(_started)
hooks.test_stopping.add_listener(_stopping)
hooks.quitting.add_listener(_write)

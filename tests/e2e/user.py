"""A user of the live domain, independent of the framework: sends requests in a closed loop without retries and records failures."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from verification.journeys.accounts import SmokeUser

# The pause between an answer and the next request leaves CPU for the other processes on a machine with two cores.
PAUSE_S = 0.05
FRESH_EVERY = 8
PATIENT = "A. User"
BOOKING = json.dumps({"patient": PATIENT, "reason": "closed loop", "starts_at": "2031-02-03T04:05:06Z"}).encode()


@dataclass(frozen=True)
class Failure:
    """One failed request: when it ended (epoch seconds), and how."""

    at: float
    what: str
    colour: str | None


@dataclass
class Seen:
    """The user's observations so far. ``last_by`` is the time of the last answer of each release, by version (epoch seconds)."""

    requests: int = 0
    writes: int = 0
    failures: list[Failure] = field(default_factory=list)
    last_by: dict[str, float] = field(default_factory=dict)


class User:
    """Signs in, then books, cancels, lists and reads health until the context manager ends."""

    def __init__(self, live_url: str, account: SmokeUser) -> None:
        self._host = urlsplit(live_url).netloc
        self._port = int(self._host.rpartition(":")[2])
        self._connection = self._connect()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="user", daemon=True)
        self.seen = Seen()
        self.broken: BaseException | None = None
        status, body, _ = self._ask("POST", "/auth/login", {"email": account.email, "password": account.password})
        assert status == 200, f"the user cannot sign in: {status}"
        self._bearer = {"Authorization": f"Bearer {json.loads(body)['access_token']}"}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self._connection.close()
        assert not self._thread.is_alive(), "a request of the user got no answer within 30 s"
        assert self.broken is None, f"the user's own code failed: {self.broken!r}"

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)

    def _loop(self) -> None:
        try:
            while not self._stop.is_set():
                self._round()
        except BaseException as error:
            self.broken = error

    def _round(self) -> None:
        """Send four requests that either colour must answer, also during a switch."""
        booked = self._expect(201, "POST", "/consults", BOOKING)
        if booked is not None:
            self._expect(204, "DELETE", f"/consults/{json.loads(booked)['id']}")
        self._expect(200, "GET", "/consults?limit=2")
        self._expect(200, "GET", "/health")

    def _expect(self, expected: int, method: str, path: str, body: bytes | None = None) -> bytes | None:
        seen = self.seen
        seen.requests += 1
        seen.writes += method != "GET"
        if seen.requests % FRESH_EVERY == 0:
            self._connection.close()
            self._connection = self._connect()
        try:
            status, answer, colour = self._ask(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            seen.failures.append(Failure(time.time(), f"{method} {path}: {type(error).__name__}", None))
            self._connection.close()
            self._connection = self._connect()
            return None
        if status != expected:
            seen.failures.append(Failure(time.time(), f"{method} {path}: {status}", colour))
            return None
        if path == "/health":  # a load balancer does not name the colour that answered; the version shows it
            seen.last_by[json.loads(answer)["version"]] = time.time()
        self._stop.wait(PAUSE_S)
        return answer

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes, str | None]:
        headers = {"Host": self._host, "Content-Type": "application/json", **getattr(self, "_bearer", {})}
        payload = body if isinstance(body, bytes | None) else json.dumps(body)
        self._connection.request(method, path, body=payload, headers=headers)
        response = self._connection.getresponse()
        return response.status, response.read(), response.headers.get("x-bg-color")

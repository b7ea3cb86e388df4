"""What the prober asks, and which answers are good; the state of its session and of what it wrote."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from verification.http.raw_http import Answer
from verification.prober.config import ProberConfig
from verification.prober.samples import ConnectionKind

# One cycle of arrivals; where its turn cannot be taken (no session, nothing written), the next best is asked instead.
CYCLE = ("health", "listConsults", "createConsult", "health", "readConsult", "listConsults", "health", "cancelConsult")
# More than this many undeleted consults: write no more, delete first.
_MOST_WRITTEN = 20


@dataclass(frozen=True)
class Ask:
    """One request to be sent. ``expected`` is the one good status; ``consult`` the id that it is about."""

    operation: str
    method: str
    path: str
    expected: int
    kind: ConnectionKind
    body: bytes | None = None
    token: str | None = None
    consult: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What goes with it; never to be logged."""
        headers = {"User-Agent": "availability-prober", "Accept": "application/json"}
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.kind == "fresh":
            headers["Connection"] = "close"
        return headers


class Script:
    """Decides, arrival by arrival, what is asked, and learns from the answers. Safe to use from many threads."""

    def __init__(self, config: ProberConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._count = 0
        self._token: str | None = None
        self._signing_in = False
        self._sign_in_after = 0.0
        self._unread: deque[str] = deque()
        self._reading: set[str] = set()
        self._read: deque[str] = deque()
        self._left_over: set[str] = set()

    @property
    def marker(self) -> str:
        """The reason of every consult that this run books: how it finds its own again."""
        return f"availability probe {self._config.run}"

    @property
    def token(self) -> str | None:
        """The session's token, where there is one."""
        return self._token

    def next(self) -> Ask:
        """What the next arrival asks; kept and fresh connections alternate, the other way round in each further cycle."""
        with self._lock:
            index = self._count
            self._count += 1
            kind: ConnectionKind = "kept" if (index + index // len(CYCLE)) % 2 == 0 else "fresh"
            if self._token is None:
                if not self._signing_in and time.monotonic() >= self._sign_in_after:
                    self._signing_in = True
                    return self.sign_in(kind)
                return health(kind)
            return self._turn(CYCLE[index % len(CYCLE)], kind, self._token)

    def sign_in(self, kind: ConnectionKind) -> Ask:
        """The request for a session."""
        user = self._config.user
        body = json.dumps({"email": user.email, "password": user.password}).encode()
        return Ask("login", "POST", "/auth/login", 200, kind, body=body)

    def _turn(self, operation: str, kind: ConnectionKind, token: str) -> Ask:
        if operation == "health":
            return health(kind)
        if operation == "createConsult" and len(self._unread) + len(self._reading) + len(self._read) < _MOST_WRITTEN:
            return Ask("createConsult", "POST", "/consults", 201, kind, body=self._new_consult(), token=token)
        if operation == "readConsult" and self._unread:
            consult = self._unread.popleft()
            # Not to be cancelled before its answer is there: on another connection, that could overtake it.
            self._reading.add(consult)
            return Ask("readConsult", "GET", f"/consults/{consult}", 200, kind, token=token, consult=consult)
        if operation == "cancelConsult" and self._read:
            consult = self._read.popleft()
            # Kept until the answer says that it is gone: a lost answer leaves it to the clearing-up.
            self._left_over.add(consult)
            return cancel(consult, kind, token)
        return list_consults(kind, token)

    def _new_consult(self) -> bytes:
        starts_at = (datetime.now(UTC) + timedelta(days=30)).isoformat(timespec="seconds")
        return json.dumps({"patient": "Availability Prober", "reason": self.marker, "starts_at": starts_at}).encode()

    def learn(self, ask: Ask, answer: Answer | None, problem: str | None) -> None:
        """Takes in what came of a request: the session, its loss, what is written and what is gone."""
        with self._lock:
            if ask.consult in self._reading and ask.operation == "readConsult":
                self._reading.discard(ask.consult)
                self._read.append(ask.consult)
            if ask.operation == "login":
                self._signing_in = False
                self._sign_in_after = time.monotonic() + self._config.sign_in_pause_s
                if answer is not None and problem is None:
                    self._token = str(json.loads(answer.body)["access_token"])
            elif answer is None:
                return
            elif answer.status == 401 and ask.token == self._token:
                self._token = None
            elif ask.operation == "createConsult" and problem is None:
                self._unread.append(str(json.loads(answer.body)["id"]))
            elif ask.operation == "cancelConsult" and answer.status in {204, 404} and ask.consult is not None:
                self._left_over.discard(ask.consult)

    def written(self) -> list[str]:
        """The ids that were booked and not, for all that is known, deleted."""
        with self._lock:
            return [*self._left_over, *self._read, *self._reading, *self._unread]


def health(kind: ConnectionKind) -> Ask:
    """``GET /health``."""
    return Ask("health", "GET", "/health", 200, kind)


def list_consults(kind: ConnectionKind, token: str, limit: int = 5) -> Ask:
    """``GET /consults``."""
    return Ask("listConsults", "GET", f"/consults?limit={limit}", 200, kind, token=token)


def cancel(consult: str, kind: ConnectionKind, token: str) -> Ask:
    """``DELETE /consults/{id}``."""
    return Ask("cancelConsult", "DELETE", f"/consults/{consult}", 204, kind, token=token, consult=consult)


@dataclass(frozen=True)
class Judgement:
    """What is wrong with an answer (None: nothing), and the version that it named."""

    problem: str | None = None
    version: str | None = None


def judge(ask: Ask, answer: Answer) -> Judgement:
    """Expected status, JSON of the right type, and for health ``status: ok``. Quotes nothing of the body but health's status."""
    value: Any = None
    try:
        value = json.loads(answer.body) if answer.body else None
    except ValueError:
        value = None
    version = value.get("version") if ask.operation == "health" and isinstance(value, dict) else None
    judgement = Judgement(version=version if isinstance(version, str) else None)
    if answer.status != ask.expected:
        return replace(judgement, problem=f"status {answer.status}, expected {ask.expected}")
    return replace(judgement, problem=_problem_of(ask, value))


def _problem_of(ask: Ask, value: Any) -> str | None:
    if ask.operation == "cancelConsult":
        return None
    if not isinstance(value, dict):
        return "the body is not a JSON object"
    if ask.operation == "health":
        status = value.get("status")
        return None if status == "ok" else f"health says status {str(status)[:40]!r}, expected 'ok'"
    if ask.operation == "listConsults":
        return None if isinstance(value.get("items"), list) else "the body has no list of items"
    if ask.operation == "login":
        return None if isinstance(value.get("access_token"), str) else "the body has no access_token"
    if not isinstance(value.get("id"), str):
        return "the body has no id"
    return None if ask.consult in (None, value["id"]) else "the body is another consult's"

"""One colour, asked one request at a time and timed: what a user of it would wait for, on a kept or on a fresh connection."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections import deque
from datetime import UTC, datetime, timedelta

from verification.http.raw_http import LARGEST_BODY, Answer, Connection, TooLargeOnTheWire, WireTimeout
from verification.journeys.accounts import SmokeUser
from verification.latency.plan import Kind, Operation

_AGENT = "latency-check"


class Unanswered(Exception):
    """No answer, or not the documented one; its text says which, and quotes nothing of the answer."""


class Asker:
    """A smoke user's session on one colour. Not safe to use from two threads."""

    def __init__(
        self,
        url: str,
        user: SmokeUser,
        timeout_s: float,
        context: ssl.SSLContext | None,
        largest: int = LARGEST_BODY,
    ) -> None:
        self.url = url
        self._user = user
        self._context = context
        self._timeout_s = timeout_s
        self._largest = largest
        self._kept = self._connect()
        self._token: str | None = None
        self._extra: deque[str] = deque()  # sessions opened to be measured, and closed again
        self._booked: deque[str] = deque()

    def ask(self, operation: Operation, kind: Kind) -> float | None:
        """Milliseconds from before the request (of a fresh connection: from before connecting) to the end of the answer.

        None where there is nothing to ask about, since nothing could be booked. Raises Unanswered.
        """
        prepared = self._prepare(operation)
        if prepared is None:
            return None
        path, headers, body = prepared
        if kind == "kept" and not self._kept.usable:
            self._kept.close()
            self._kept = self._connect()
            self._send(self._kept, "GET", "/health", _headers(), None)  # its set-up is not a kept connection's
        connection = self._kept if kind == "kept" else self._connect()
        begin = time.perf_counter()
        try:
            answer = self._send(connection, operation.method, path, headers, body)
            elapsed = (time.perf_counter() - begin) * 1000
        finally:
            if kind == "fresh":
                connection.close()
        if answer.status != operation.expected:
            raise Unanswered(f"status {answer.status}, expected {operation.expected}")
        self._learn(operation, answer)
        return elapsed

    def sign_in(self) -> None:
        """The session that everything protected is asked in. Raises Unanswered."""
        answer = self._send(self._kept, "POST", "/auth/login", _headers(json_body=True), self._credentials())
        if answer.status != 200:
            raise Unanswered(f"POST /auth/login: status {answer.status}, expected 200")
        self._token = _field(answer, "access_token")

    def reconnect(self) -> None:
        """Close the kept connection; the next request on it opens another one."""
        self._kept.close()
        self._kept = self._connect()

    def clear(self) -> None:
        """Deletes what is still booked, ends what is still open; what cannot be, is left."""
        for path in (f"/consults/{one}" for one in self._booked):
            self._quietly("DELETE", path, self._token)
        for token in (*self._extra, self._token):
            self._quietly("POST", "/auth/logout", token)
        self._kept.close()

    def _quietly(self, method: str, path: str, token: str | None) -> None:
        try:
            self._send(self._kept, method, path, _headers(token), None)
        except Unanswered:
            self._kept.close()

    def _prepare(self, operation: Operation) -> tuple[str, dict[str, str], bytes | None] | None:
        token = self._token if operation.protected else None
        match operation.name:
            case "login":
                return operation.path, _headers(json_body=True), self._credentials()
            case "logout":
                return (operation.path, _headers(self._extra[0]), None) if self._extra else None
            case "createConsult":
                starts_at = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
                body = {"patient": "Latency Check", "reason": _AGENT, "starts_at": starts_at}
                return operation.path, _headers(token, json_body=True), json.dumps(body).encode()
            case "readConsult" | "cancelConsult":
                if not self._booked:
                    return None
                return operation.path.format(id=self._booked[0]), _headers(token), None
        return operation.path, _headers(token), None

    def _learn(self, operation: Operation, answer: Answer) -> None:
        match operation.name:
            case "login":
                self._extra.append(_field(answer, "access_token"))
            case "logout":
                self._extra.popleft()
            case "createConsult":
                self._booked.append(_field(answer, "id"))
            case "cancelConsult":
                self._booked.popleft()

    def _credentials(self) -> bytes:
        return json.dumps({"email": self._user.email, "password": self._user.password}).encode()

    def _connect(self) -> Connection:
        return Connection(self.url, self._context, self._timeout_s, self._largest)

    def _send(
        self, connection: Connection, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> Answer:
        try:
            return connection.ask(method, path, headers, body)
        except TooLargeOnTheWire as exc:
            connection.close()
            raise Unanswered(str(exc)) from exc
        except (WireTimeout, OSError, http.client.HTTPException) as exc:
            connection.close()
            raise Unanswered(f"no answer: {type(exc).__name__}") from exc


def _headers(token: str | None = None, *, json_body: bool = False) -> dict[str, str]:
    found = {"User-Agent": _AGENT, "Accept": "application/json"}
    if json_body:
        found["Content-Type"] = "application/json"
    if token is not None:
        found["Authorization"] = f"Bearer {token}"
    return found


def _field(answer: Answer, name: str) -> str:
    try:
        value = json.loads(answer.body)[name]
    except (ValueError, KeyError, TypeError) as exc:
        raise Unanswered(f"status {answer.status}, but no {name} in the body") from exc
    return str(value)

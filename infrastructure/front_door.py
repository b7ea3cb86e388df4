"""The service as its users see it, for a deployment's own requests; the checks of ``suites/`` have a client of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from deployment.model import Answer
from verification.http.answer_limits import AnswerLimits
from verification.http.client import open_client
from verification.journeys.accounts import SignInFailed, SmokeUser, sign_in

HEALTH = "/health"
# A healthy colour answers 200 on these paths, besides the requests of a signed-in user.
DEPENDENCIES = ("/health", "/health/database", "/health/redis")
CONSULT = {"patient": "Front Door", "reason": "deployment verification", "starts_at": "2030-01-15T09:30:00Z"}


class HttpFrontDoor:
    """The FrontDoor port over HTTP. It never retries; ``ask`` uses a new connection for each request."""

    def __init__(
        self, live_url: str, user: SmokeUser, *, timeout_s: float, answers: AnswerLimits | None = None
    ) -> None:
        self._live_url = live_url
        self._user = user
        self._timeout = timeout_s
        self._answers = answers

    def ask(self, times: int, url: str | None = None) -> Sequence[Answer]:
        """See ``deployment.ports.FrontDoor``."""
        with self._client(url, keep_alive=False) as client:
            return [self._one(client) for _ in range(times)]

    def _client(self, url: str | None, *, keep_alive: bool = True) -> httpx.Client:
        return open_client(url or self._live_url, timeout_s=self._timeout, keep_alive=keep_alive, answers=self._answers)

    def _one(self, client: httpx.Client) -> Answer:
        try:
            response = client.get(HEALTH)
        except httpx.HTTPError as error:
            return Answer(False, problem=f"GET {HEALTH}: {type(error).__name__}")
        colour = response.headers.get("x-bg-color")
        generation = _number(response.headers.get("x-bg-generation"))
        try:
            body = response.json()
        except ValueError:
            body = None
        if response.status_code != httpx.codes.OK or not isinstance(body, dict) or body.get("status") != "ok":
            return Answer(
                False, colour, generation, None, f"GET {HEALTH}: status {response.status_code}, not a healthy answer"
            )
        version = body.get("version")
        return Answer(True, colour, generation, version if isinstance(version, str) else None)

    def examine(self, url: str | None = None, *, every: bool = False) -> Sequence[str]:
        """See ``deployment.ports.FrontDoor``."""
        with self._client(url) as client:
            examination = _Examination(client, every=every)
            try:
                for path in DEPENDENCIES:
                    examination.expect("GET", path, 200)
                self._be_a_user(client, examination)
            except _Enough:
                pass
            return examination.problems

    def _be_a_user(self, client: httpx.Client, examination: _Examination) -> None:
        """Sign in, book, read, list, cancel, sign out. Without a session or a consult the rest cannot be examined."""
        try:
            bearer = {"Authorization": f"Bearer {sign_in(client, self._user)}"}
        except SignInFailed as error:
            examination.found(str(error))
            return
        except httpx.HTTPError as error:
            examination.found(f"POST /auth/login for {self._user.email}: {type(error).__name__}")
            return
        booked = examination.expect("POST", "/consults", 201, headers=bearer, json=CONSULT)
        if booked is not None and (name := _id_of(booked)) is None:
            examination.found("POST /consults: status 201, but the answer has no id")
        elif booked is not None:
            self._read_and_cancel(examination, bearer, name)
        examination.expect("POST", "/auth/logout", 204, headers=bearer)

    def _read_and_cancel(self, examination: _Examination, bearer: Mapping[str, str], name: str | None) -> None:
        own = f"/consults/{name}"
        try:
            examination.expect("GET", own, 200, shown="/consults/{id}", headers=bearer)
            examination.expect("GET", "/consults?limit=100", 200, headers=bearer)
        finally:  # the consult is cancelled in any case
            examination.expect("DELETE", own, 204, shown="/consults/{id}", headers=bearer)


class _Enough(Exception):
    """The first problem was found, and the caller wants no other."""


class _Examination:
    """The problems that were found so far."""

    def __init__(self, client: httpx.Client, *, every: bool) -> None:
        self.problems: list[str] = []
        self._client = client
        self._every = every

    def expect(
        self, method: str, path: str, status: int, *, shown: str | None = None, **request: Any
    ) -> httpx.Response | None:
        """Send a request; return the answer if it has this status. ``shown`` stands for the path in a problem."""
        try:
            response = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            self.found(f"{method} {shown or path}: {type(error).__name__}")
            return None
        if response.status_code == status:
            return response
        self.found(f"{method} {shown or path}: status {response.status_code}")
        return None

    def found(self, problem: str) -> None:
        """Note a problem. Raises _Enough if the caller wants only the first one."""
        self.problems.append(problem)
        if not self._every:
            raise _Enough


def _id_of(booked: httpx.Response) -> str | None:
    try:
        return str(booked.json()["id"])
    except (ValueError, LookupError, TypeError):
        return None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None

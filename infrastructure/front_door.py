"""The service as its users see it, for a deployment's own requests; the checks of ``suites/`` have a client of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from deployment.model import Answer
from verification.accounts import SignInFailed, SmokeUser, sign_in
from verification.http import open_client

HEALTH = "/health"
# A healthy colour answers 200 on these paths, besides the requests of a signed-in user.
DEPENDENCIES = ("/health", "/health/database", "/health/redis")
CONSULT = {"patient": "Front Door", "reason": "deployment verification", "starts_at": "2030-01-15T09:30:00Z"}


class HttpFrontDoor:
    """The FrontDoor port over HTTP. It never retries; ``ask`` uses a new connection for each request."""

    def __init__(self, live_url: str, user: SmokeUser, *, timeout_s: float) -> None:
        self._live_url = live_url
        self._user = user
        self._timeout = timeout_s

    def ask(self, times: int, url: str | None = None) -> Sequence[Answer]:
        """See ``deployment.ports.FrontDoor``."""
        with open_client(url or self._live_url, timeout_s=self._timeout, keep_alive=False) as client:
            return [self._one(client) for _ in range(times)]

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

    def examine(self, url: str | None = None) -> Sequence[str]:
        """See ``deployment.ports.FrontDoor``."""
        with open_client(url or self._live_url, timeout_s=self._timeout) as client:
            try:
                for path in DEPENDENCIES:
                    _expect(client, "GET", path, 200)
                self._be_a_user(client)
            except (Unwell, SignInFailed) as error:
                return [str(error)]
            except httpx.HTTPError as error:
                return [f"{error.request.method} {error.request.url.path}: {type(error).__name__}"]
        return []

    def _be_a_user(self, client: httpx.Client) -> None:
        """Sign in, book, read, list, cancel, sign out. Raises Unwell, SignInFailed, ``httpx.HTTPError``."""
        bearer = {"Authorization": f"Bearer {sign_in(client, self._user)}"}
        booked = _expect(client, "POST", "/consults", 201, headers=bearer, json=CONSULT)
        path = f"/consults/{_id_of(booked)}"
        try:
            _expect(client, "GET", path, 200, headers=bearer)
            _expect(client, "GET", "/consults?limit=100", 200, headers=bearer)
        finally:
            cancelled = client.delete(path, headers=bearer)
        if cancelled.status_code != httpx.codes.NO_CONTENT:
            raise Unwell(f"DELETE {path}: status {cancelled.status_code}")
        _expect(client, "POST", "/auth/logout", 204, headers=bearer)


class Unwell(Exception):
    """An answer that a healthy service does not give."""


def _expect(client: httpx.Client, method: str, path: str, status: int, **request: Any) -> httpx.Response:
    response = client.request(method, path, **request)
    if response.status_code != status:
        raise Unwell(f"{method} {path}: status {response.status_code}")
    return response


def _id_of(booked: httpx.Response) -> str:
    try:
        return str(booked.json()["id"])
    except (ValueError, LookupError, TypeError):
        raise Unwell("POST /consults: status 201, but the answer has no id") from None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None

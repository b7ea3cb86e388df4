"""The service as its users see it, for a deployment's own questions; the checks of ``suites/`` have their own."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from deployment.model import Answer
from verification.accounts import SignInFailed, SmokeUser, sign_in
from verification.http import open_client

HEALTH = "/health"
# What must answer 200 for a colour to count as well, besides a sign-in and a read of the signed-in user's consults.
DEPENDENCIES = ("/health", "/health/database", "/health/redis")


class HttpFrontDoor:
    """Asks over HTTP, never retrying, each answer of ``ask`` on a connection of its own."""

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
        problems: list[str] = []
        with open_client(url or self._live_url, timeout_s=self._timeout) as client:
            for path in DEPENDENCIES:
                problems += self._expect_ok(client, path)
            try:
                token = sign_in(client, self._user)
            except (SignInFailed, httpx.HTTPError) as error:
                return [*problems, str(error) or type(error).__name__]
            bearer = {"Authorization": f"Bearer {token}"}
            problems += self._expect_ok(client, "/consults?limit=1", bearer)
            problems += self._expect_ok(client, "/auth/logout", bearer, method="POST", status=httpx.codes.NO_CONTENT)
        return problems

    def _expect_ok(
        self,
        client: httpx.Client,
        path: str,
        headers: dict[str, str] | None = None,
        *,
        method: str = "GET",
        status: int = httpx.codes.OK,
    ) -> list[str]:
        try:
            response = client.request(method, path, headers=headers)
        except httpx.HTTPError as error:
            return [f"{method} {path}: {type(error).__name__}"]
        return [] if response.status_code == status else [f"{method} {path}: status {response.status_code}"]


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None

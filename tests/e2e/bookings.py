"""Consults that a user books through the live domain and reads later, possibly from the other colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.e2e.sandbox import Sandbox
from tests.e2e.user import PATIENT
from tests.signing_in import sign_in
from verification.http.client import open_client

NEW = {"patient": "A. Booker", "reason": "written during a deployment", "starts_at": "2031-02-03T04:05:06Z"}


class Bookings:
    """One session of the second smoke user, opened by the constructor and kept over every switch."""

    def __init__(self, sandbox: Sandbox) -> None:
        with sandbox.world() as world:
            self._client = open_client(world.live_url, timeout_s=10)
            self._bearer = {"Authorization": f"Bearer {sign_in(self._client, world.smoke_users[1])}"}

    def book(self, **more: str) -> Mapping[str, Any]:
        """Book one consult and return it as the service answered it."""
        answer = self._client.post("/consults", json={**NEW, **more}, headers=self._bearer)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def assert_kept(self, booked: Mapping[str, Any]) -> None:
        """Assert that the consult is readable by its id, is listed, and that every field that the live release knows is unchanged."""
        answer = self._client.get(f"/consults/{booked['id']}", headers=self._bearer)
        assert answer.status_code == 200, answer.text
        read = answer.json()
        assert {name: booked[name] for name in read} == read
        listed = self._client.get("/consults?limit=100", headers=self._bearer).json()["items"]
        assert booked["id"] in [item["id"] for item in listed]

    def close(self) -> None:
        """Sign out and close the client."""
        assert self._client.post("/auth/logout", headers=self._bearer).status_code == 204
        self._client.close()


def consults_left(sandbox: Sandbox) -> list[str]:
    """Return all consults of the smoke users on the live colour, as text, but those of the test's own user.

    That user may have booked a consult just before a release failed, and then could not cancel it.
    """
    found: list[str] = []
    with sandbox.world() as world, open_client(world.live_url, timeout_s=10) as client:
        for user in world.smoke_users:
            bearer = {"Authorization": f"Bearer {sign_in(client, user)}"}
            items = client.get("/consults?limit=100", headers=bearer).json()["items"]
            found += [str(item) for item in items if item["patient"] != PATIENT]
            client.post("/auth/logout", headers=bearer)
    return found

"""Consults that a user books through the live domain and looks for later, whichever colour is live then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.e2e.sandbox import Sandbox
from verification.accounts import sign_in
from verification.http import open_client

NEW = {"patient": "A. Booker", "reason": "written meanwhile", "starts_at": "2031-02-03T04:05:06Z"}


class Bookings:
    """One session of the second smoke user, opened when this is made and kept over every switch."""

    def __init__(self, sandbox: Sandbox) -> None:
        with sandbox.world() as world:
            self._client = open_client(world.live_url, timeout_s=10)
            self._bearer = {"Authorization": f"Bearer {sign_in(self._client, world.smoke_users[1])}"}

    def book(self, **more: str) -> Mapping[str, Any]:
        """Books one; returns it as it was answered."""
        answer = self._client.post("/consults", json={**NEW, **more}, headers=self._bearer)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def assert_kept(self, booked: Mapping[str, Any]) -> None:
        """It is there by its id and in the list, and in all that the live release knows of it as it was."""
        answer = self._client.get(f"/consults/{booked['id']}", headers=self._bearer)
        assert answer.status_code == 200, answer.text
        read = answer.json()
        assert {name: booked[name] for name in read} == read
        listed = self._client.get("/consults?limit=100", headers=self._bearer).json()["items"]
        assert booked["id"] in [item["id"] for item in listed]

    def close(self) -> None:
        """Ends the session."""
        assert self._client.post("/auth/logout", headers=self._bearer).status_code == 204
        self._client.close()

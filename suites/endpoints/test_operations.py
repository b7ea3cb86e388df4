"""Every operation of the contract returns every status that it documents, in the shape that it documents."""

from dataclasses import dataclass
from typing import Any

import pytest

NOBODYS = "00000000-0000-4000-8000-000000000000"
# Answers that only an outage shows.
NOT_ASKED = {("health", 503), ("healthDatabase", 503), ("healthRedis", 503)}


@dataclass(frozen=True)
class Asker:
    """The parts of the requests below."""

    client: Any
    user: Any
    headers: dict[str, str]
    new_session: Any
    book: Any
    try_to_book: Any
    new_consult: dict[str, str]

    def login(self, **changes):
        """Sign in with the right credentials, or with changed ones, and return the answer."""
        credentials = {"email": self.user.email, "password": self.user.password}
        return self.client.post("/auth/login", json={**credentials, **changes})

    def own(self):
        """Book a consult and return its path."""
        return f"/consults/{self.book()['id']}"


REQUESTS = {
    ("health", 200): lambda ask: ask.client.get("/health"),
    ("healthDatabase", 200): lambda ask: ask.client.get("/health/database"),
    ("healthRedis", 200): lambda ask: ask.client.get("/health/redis"),
    ("login", 200): lambda ask: ask.login(),
    ("login", 401): lambda ask: ask.login(email="nobody@smoke.example"),
    ("login", 422): lambda ask: ask.client.post("/auth/login", json={}),
    ("logout", 204): lambda ask: ask.client.post("/auth/logout", headers=ask.new_session(ask.user)),
    ("logout", 401): lambda ask: ask.client.post("/auth/logout"),
    ("listConsults", 200): lambda ask: ask.client.get("/consults", headers=ask.headers),
    ("listConsults", 401): lambda ask: ask.client.get("/consults"),
    ("listConsults", 422): lambda ask: ask.client.get("/consults?limit=0", headers=ask.headers),
    ("createConsult", 201): lambda ask: ask.try_to_book(json=ask.new_consult),
    ("createConsult", 401): lambda ask: ask.client.post("/consults", json=ask.new_consult),
    ("createConsult", 422): lambda ask: ask.try_to_book(json={}),
    ("readConsult", 200): lambda ask: ask.client.get(ask.own(), headers=ask.headers),
    ("readConsult", 401): lambda ask: ask.client.get(f"/consults/{NOBODYS}"),
    ("readConsult", 404): lambda ask: ask.client.get(f"/consults/{NOBODYS}", headers=ask.headers),
    ("cancelConsult", 204): lambda ask: ask.client.delete(ask.own(), headers=ask.headers),
    ("cancelConsult", 401): lambda ask: ask.client.delete(f"/consults/{NOBODYS}"),
    ("cancelConsult", 404): lambda ask: ask.client.delete(f"/consults/{NOBODYS}", headers=ask.headers),
}


@pytest.fixture
def asker(client, smoke_user, signed_in, sign_in, book, try_to_book, new_consult):
    """Sends requests as the first smoke user."""
    return Asker(client, smoke_user, signed_in, sign_in, book, try_to_book, new_consult)


@pytest.mark.parametrize(("operation", "status"), REQUESTS, ids=lambda value: str(value))
def test_documented_status(asker, contract, operation, status):
    """The status, its content type and its schema with formats are as documented; the answer may have further fields."""
    response = REQUESTS[operation, status](asker)
    if status < 400:
        contract.check(response)
        asked = f"{response.request.method} {response.request.url.path}"
        assert response.status_code == status, f"{asked}: status {response.status_code}, expected {status}"
    else:
        contract.refused(response, status)


def test_no_documented_status_is_left_out(contract):
    """Each operation and status of the contract has a request above."""
    documented = {(one.operation_id, status) for one in contract.operations for status in one.statuses}
    missing = ", ".join(f"{name} {status}" for name, status in sorted(documented - NOT_ASKED - REQUESTS.keys()))
    assert not missing, (
        f"the contract documents {missing}, but suites/endpoints/test_operations.py has no request for it"
    )

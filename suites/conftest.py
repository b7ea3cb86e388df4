"""Fixtures of the example's checks: they write data and delete it again."""

import secrets

import pytest

STARTS_AT = "2030-01-15T09:30:00Z"


@pytest.fixture
def new_consult():
    """A consult to book, recognisable as a check's."""
    return {
        "patient": f"Smoke Check {secrets.token_hex(4)}",
        "reason": "deployment verification",
        "starts_at": STARTS_AT,
    }


@pytest.fixture
def try_to_book(client, signed_in):
    """A function that posts to /consults and returns the answer; a booked consult is deleted afterwards."""
    booked = []

    def post(headers=signed_in, on=client, **request):
        response = on.post("/consults", headers=headers, **request)
        found = response.json() if response.is_success else None
        if isinstance(found, dict) and "id" in found:
            booked.append((on, found["id"], headers))
        return response

    yield post
    for on, one, headers in booked:
        # A check may have ended the session that it booked with.
        if on.delete(f"/consults/{one}", headers=headers).status_code == 401:
            client.delete(f"/consults/{one}", headers=signed_in)


@pytest.fixture
def book(try_to_book, new_consult, signed_in):
    """A function that books a consult, deleted again afterwards: book(reason="a cough"), book(headers, on=live_client)."""

    def make(headers=signed_in, on=None, **more):
        where = {} if on is None else {"on": on}
        response = try_to_book(headers, json={**new_consult, **more}, **where)
        # Only the endpoints gate checks the answer's shape, so that a wrong one fails no other gate.
        assert response.status_code == 201, f"POST /consults: status {response.status_code}, expected 201"
        return response.json()

    return make


@pytest.fixture
def consult(book):
    """A booked consult of the first smoke user; deleted again afterwards."""
    return book()

"""Fixtures of the shipped checks: data that they write, and delete again."""

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
def consult(client, signed_in, new_consult):
    """A booked consult of the first smoke user; deleted again afterwards."""
    response = client.post("/consults", json=new_consult, headers=signed_in)
    assert response.status_code == 201, f"POST /consults: status {response.status_code}, expected 201"
    booked = response.json()
    yield booked
    client.delete(f"/consults/{booked['id']}", headers=signed_in)

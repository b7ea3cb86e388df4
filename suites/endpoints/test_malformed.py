"""Whatever is wrong with a request, the answer is a problem that says so and tells nothing about the inside."""

import json

import pytest

NOBODYS = "00000000-0000-4000-8000-000000000000"
GOOD = {"patient": "Smoke Check", "reason": "deployment verification", "starts_at": "2030-01-15T09:30:00Z"}


def _but(**changes):
    return json.dumps({**GOOD, **changes}).encode()


BOOKINGS = {
    "nothing": b"",
    "not JSON": b"{",
    "null": b"null",
    "a list": b"[]",
    "no fields": b"{}",
    "deep": b'{"patient": ' + b"[" * 5000,
    "not UTF-8": _but(patient="X").replace(b"X", b"\xff"),
    "NaN": _but(patient="X").replace(b'"X"', b"NaN"),
    "a number for a text": _but(patient=1),
    "null for a text": _but(reason=None),
    "empty patient": _but(patient=""),
    "empty reason": _but(reason=""),
    "patient too long": _but(patient="x" * 201),
    "reason too long": _but(reason="x" * 2001),
    "NUL": _but(patient="x\0"),
    "no time": _but(starts_at="soon"),
    "a date for a time": _but(starts_at="2030-01-15"),
    "a time without a zone": _but(starts_at="2030-01-15T09:30:00"),
    "no such day": _but(starts_at="2030-02-30T09:30:00Z"),
    "a number for a time": _but(starts_at=1894699800),
}
# The schema allows them, and a service may have reasons not to; a 500 is none.
ODD_BOOKINGS = {
    "half a surrogate pair": _but(reason="\ud800"),
    "before the year 1": _but(starts_at="0001-01-01T00:00:00+14:00"),
    "after the year 9999": _but(starts_at="9999-12-31T23:59:59-14:00"),
}
LOGINS = {
    "not JSON": b"{",
    "no fields": b"{}",
    "no address": b'{"email": "nobody", "password": "x"}',
    "a number for an address": b'{"email": 1, "password": "x"}',
    "null for a password": b'{"email": "nobody@smoke.example", "password": null}',
}
IDS = ("1", "not-a-uuid", "%27%20OR%201=1", f"{NOBODYS}0")
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("name", BOOKINGS)
def test_malformed_bookings(try_to_book, contract, signed_in, name):
    """422 with a problem."""
    contract.refused(try_to_book(content=BOOKINGS[name], headers={**signed_in, **JSON}), 422)


@pytest.mark.parametrize("name", ODD_BOOKINGS)
def test_odd_bookings(try_to_book, contract, signed_in, name):
    """Booked, or 422 with a problem."""
    response = try_to_book(content=ODD_BOOKINGS[name], headers={**signed_in, **JSON})
    if response.status_code == 201:
        contract.check(response)
    else:
        contract.refused(response, 422)


@pytest.mark.parametrize("name", LOGINS)
def test_malformed_logins(client, contract, name):
    """422 with a problem."""
    contract.refused(client.post("/auth/login", content=LOGINS[name], headers=JSON), 422)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("name", IDS)
def test_ids_that_are_none(client, contract, signed_in, method, name):
    """404 with a problem: there is no such consult."""
    contract.refused(client.request(method, f"/consults/{name}", headers=signed_in), 404)


@pytest.mark.parametrize("path", ["/no-such-page", f"/consults/{NOBODYS}/nothing", "/.env"])
def test_what_is_not_there(client, contract, signed_in, path):
    """404 with a problem: no page that answers 200 to whatever is asked."""
    contract.refused(client.get(path, headers=signed_in), 404)


def test_methods_that_are_not_there(client, contract, signed_in):
    """405, or 404, with a problem."""
    contract.refused(client.put("/consults", json=GOOD, headers=signed_in), 404, 405)

"""An invalid request is answered with a problem that names the mistake and reveals nothing internal.

A request that breaks the contract's schema is answered with 422, as the contract says. If the contract says nothing, the
service may choose: the 4xx for a body that is not JSON or for an invalid id, and the answer for a path that does not exist.
"""

import json

import pytest

NOBODYS = "00000000-0000-4000-8000-000000000000"
GOOD = {"patient": "Smoke Check", "reason": "deployment verification", "starts_at": "2030-01-15T09:30:00Z"}


def _but(**changes):
    return json.dumps({**GOOD, **changes}).encode()


NO_JSON = {
    "nothing": b"",
    "half of it": b"{",
    "not UTF-8": _but(patient="X").replace(b"X", b"\xff"),
    "NaN": _but(patient="X").replace(b'"X"', b"NaN"),
}
BOOKINGS = {
    "null": b"null",
    "a list": b"[]",
    "no fields": b"{}",
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
# Input that breaks libraries and that users hardly ever send: only a release that fails where live does not is refused.
ODD_BOOKINGS = {"half a surrogate pair": _but(reason="\ud800"), "deep": b'{"patient": ' + b"[" * 5000}
LOGINS = {
    "no fields": b"{}",
    "a number for an address": b'{"email": 1, "password": "x"}',
    "null for a password": b'{"email": "nobody@smoke.example", "password": null}',
}
IDS = ("1", "not-a-uuid", "%27%20OR%201=1", f"{NOBODYS}0")
JSON = {"Content-Type": "application/json"}
# 422 is the contract's status for malformed input; 400, 413 and 415 are those of RFC 9110 for a body that cannot be read.
UNREADABLE = (422, 400, 413, 415)


@pytest.mark.parametrize("name", NO_JSON)
def test_bookings_that_are_no_json(try_to_book, contract, signed_in, name):
    """422, or another 4xx for a body that cannot be read, with a problem."""
    contract.refused(try_to_book(content=NO_JSON[name], headers={**signed_in, **JSON}), *UNREADABLE)


@pytest.mark.parametrize("name", BOOKINGS)
def test_malformed_bookings(try_to_book, contract, signed_in, name):
    """422 with a problem."""
    contract.refused(try_to_book(content=BOOKINGS[name], headers={**signed_in, **JSON}), 422)


@pytest.mark.parametrize("name", ODD_BOOKINGS)
def test_odd_bookings(try_to_book, contract, signed_in, live_client, sign_in, smoke_user, measure, name):
    """Booked, or a 4xx with a problem; a 500 is tolerated if live answers with a 500 as well."""

    def ask(headers, **where):
        return try_to_book(content=ODD_BOOKINGS[name], headers={**headers, **JSON}, **where)

    response = ask(signed_in)
    if response.status_code >= 500 and ask(sign_in(smoke_user, on=live_client), on=live_client).status_code >= 500:
        measure(f"answer to {name}", f"{response.status_code}, as live's")
    elif response.status_code == 201:
        contract.check(response)
    else:
        contract.refused(response, *UNREADABLE)


@pytest.mark.parametrize("name", LOGINS)
def test_malformed_logins(client, contract, name):
    """422 with a problem."""
    contract.refused(client.post("/auth/login", content=LOGINS[name], headers=JSON), 422)


def test_login_that_is_no_json(client, contract):
    """422, or another 4xx for a body that cannot be read, with a problem."""
    contract.refused(client.post("/auth/login", content=b"{", headers=JSON), *UNREADABLE)


def test_login_of_what_is_no_address(client, contract):
    """422, or 401 because no user has such an address."""
    body = {"email": "nobody", "password": "x"}
    contract.refused(client.post("/auth/login", json=body), 422, 401)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("name", IDS)
def test_ids_that_are_none(client, contract, signed_in, method, name):
    """404 with a problem because the consult does not exist, or 422 or 400 because the id is invalid."""
    contract.refused(client.request(method, f"/consults/{name}", headers=signed_in), 404, 422, 400)


@pytest.mark.parametrize("path", ["/no-such-page", f"/consults/{NOBODYS}/nothing", "/.env"])
def test_what_is_not_there(client, contract, signed_in, path):
    """404: no catch-all page answers 200."""
    contract.refused(client.get(path, headers=signed_in), 404)


def test_methods_that_are_not_there(client, contract, signed_in):
    """405, or 404."""
    contract.refused(client.put("/consults", json=GOOD, headers=signed_in), 404, 405)

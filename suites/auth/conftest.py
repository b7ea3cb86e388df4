"""Fixtures of the auth gate's checks: they send headers that must open nothing to every operation that needs a token."""

from contextlib import contextmanager

import pytest

from verification.journeys.tokens import claims_of

PROTECTED = (
    ("POST", "/auth/logout"),
    ("GET", "/consults"),
    ("POST", "/consults"),
    ("GET", "/consults/{id}"),
    ("DELETE", "/consults/{id}"),
)


@contextmanager
def saying(what):
    """Put the name of the token in front of a failure's message."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None


@pytest.fixture
def session(client, sign_in, smoke_user):
    """A token of the first smoke user that no other check uses: a service that accepts a forgery ends only that one."""
    headers = sign_in(smoke_user)
    yield headers["Authorization"].removeprefix("Bearer ")
    client.post("/auth/logout", headers=headers)


@pytest.fixture
def forged(session):
    """The claims of an open session: a service that stores its sessions has no other reason to refuse a forgery."""
    return claims_of(session)


@pytest.fixture
def try_every_door(client, contract, consult, try_to_book, new_consult):
    """A function that sends headers to every protected operation, on an existing consult: each must answer 401."""

    def ask(what, headers):
        for method, template in PROTECTED:
            if (method, template) == ("POST", "/consults"):
                response = try_to_book(headers=headers, json=new_consult)
            else:
                response = client.request(method, template.format(id=consult["id"]), headers=headers)
            with saying(what):
                contract.refused(response, 401)

    return ask


@pytest.fixture
def token(signed_in):
    """The first smoke user's token."""
    return signed_in["Authorization"].removeprefix("Bearer ")

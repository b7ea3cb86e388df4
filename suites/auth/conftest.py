"""What the auth gate's checks share: every operation that wants a token, asked with one that is none."""

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
    """Puts in front of a failure which token it was."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None


@pytest.fixture
def session(client, sign_in, smoke_user):
    """A session of the first smoke user that nothing else needs, as a token: whoever takes what is forged of it ends it alone."""
    headers = sign_in(smoke_user)
    yield headers["Authorization"].removeprefix("Bearer ")
    client.post("/auth/logout", headers=headers)


@pytest.fixture
def forged(session):
    """The claims of a session that is open: a service that knows its sessions has no other reason to refuse them."""
    return claims_of(session)


@pytest.fixture
def try_every_door(client, contract, consult, try_to_book, new_consult):
    """A function that asks every protected operation, on a consult that is there: each must answer 401 to these headers."""

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

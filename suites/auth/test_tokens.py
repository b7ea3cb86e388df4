"""No operation accepts a token that the service did not issue, or that is no longer valid."""

import time
import uuid

import pytest

from suites.auth.conftest import PROTECTED, saying
from verification.journeys.tokens import altered, forge

# Keys from tutorials, and of services that were started without their secret.
KNOWN_KEYS = ("", "secret", "changeme", "your-256-bit-secret")
# More than the leeway that libraries allow for clocks.
EXPIRED_S = 600


def test_no_operation_is_left_out(contract):
    """Each operation that the contract protects is in suites/auth/conftest.py."""
    missing = {(one.method, one.path) for one in contract.operations if one.secured} - set(PROTECTED)
    assert not missing, (
        f"{', '.join(' '.join(one) for one in sorted(missing))}: protected, and not in suites/auth/conftest.py"
    )


def _bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_closed_without_a_token(try_every_door):
    """No protected operation is open without a token."""
    try_every_door("without a token", {})


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer not-a-token", "Bearer a.b.c", "Basic {token}", "{token}"], ids=lambda text: text
)
def test_malformed(client, contract, token, header):
    """A header without a token, or not in the form of RFC 6750, is refused."""
    response = client.get("/consults", headers={"Authorization": header.format(token=token)})
    with saying(f"Authorization: {header}"):
        contract.refused(response, 401)


def test_signed_with_another_key(try_every_door, client, contract, forged):
    """The right claims, signed with a random key or with a well-known one, are refused."""
    try_every_door("a token signed with another key", _bearer(forge(forged, uuid.uuid4().hex)))
    for key in KNOWN_KEYS:
        with saying(f"a token signed with the key {key!r}"):
            contract.refused(client.get("/consults", headers=_bearer(forge(forged, key))), 401)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256"])
def test_not_signed(try_every_door, forged, algorithm):
    """The right claims without a signature are refused for each algorithm in the header (none: RFC 7518, 3.6)."""
    try_every_door(f"a token with alg {algorithm} and no signature", _bearer(forge(forged, None, algorithm)))


def test_altered(try_every_door, session, forged):
    """A good signature under other claims is refused: another user, a later end."""
    other, later = altered(session, sub=str(uuid.uuid4())), altered(session, exp=forged["exp"] + 86400)
    try_every_door("a token whose sub was altered", _bearer(other))
    try_every_door("a token whose exp was altered", _bearer(later))


def test_expired(try_every_door, client, session, forged, sign_token, measure):
    """An expired token, signed with the service's own secret, is refused; without the secret, a token altered to be expired."""
    now = int(time.time())
    over = {"iat": now - EXPIRED_S - 3600, "exp": now - EXPIRED_S}
    signed = sign_token is not None and _accepted(client, sign_token({**forged, "exp": forged["exp"] - 1}))
    why_not = "no key: no token_secret" if sign_token is None else "no key: it accepts only tokens that it issued"
    measure("expired tokens signed by", "the service's own secret" if signed else why_not)
    expired = sign_token({**forged, **over}) if signed else altered(session, **over)
    try_every_door(f"a token that expired {EXPIRED_S} s ago", _bearer(expired))


def _accepted(client, token):
    return client.get("/consults?limit=1", headers=_bearer(token)).status_code == 200

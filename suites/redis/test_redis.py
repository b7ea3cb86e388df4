"""The release reaches Redis, by its own word and by what it does: what it revokes is revoked for everybody."""

import hashlib

import httpx
import pytest

from verification.contract.expecting import expect
from verification.journeys.tokens import claims_of
from verification.stores import connections as own


@pytest.fixture
def session(sign_in, smoke_user):
    """Headers of a session that is this check's alone; where signing in fails, that is the auth gate's to say."""
    return sign_in(smoke_user)


@pytest.fixture
def other_session(sign_in, smoke_user):
    """Another one of the same user."""
    return sign_in(smoke_user)


def test_a_session_lives_and_ends(client, session):
    """Sessions are kept in Redis: a token works until it is revoked, and not a moment longer."""
    expect(client.get("/consults?limit=1", headers=session), 200)
    expect(client.post("/auth/logout", headers=session), 204)
    expect(client.get("/consults?limit=1", headers=session), 401, "GET /consults after logout")


def test_ending_one_session_leaves_the_others(client, session, other_session):
    """Logout revokes that token and no other."""
    client.post("/auth/logout", headers=session)
    expect(client.get("/consults?limit=1", headers=other_session), 200, "GET /consults after another session's logout")
    client.post("/auth/logout", headers=other_session)


@pytest.fixture
def entry(stores, limits, live_client, sign_in, smoke_user, measure, warn):
    """A function that tells how long Redis keeps the entry of a revoked session, on a connection of our own.

    None where there is no connection, or where `revoked` of the settings names no key of what live has revoked either: then it
    is another service's, or has a mistake in it, and says nothing of this release.
    """

    def look(session):
        jti = str(claims_of(session["Authorization"].removeprefix("Bearer "))["jti"])
        digest = hashlib.sha256(jti.encode()).hexdigest()
        return own.seconds_left(stores.redis, limits["revoked"].format(jti=jti, sha256=digest))

    def fits():
        try:
            control = sign_in(smoke_user, on=live_client)
            expect(live_client.post("/auth/logout", headers=control), 204)
        except (AssertionError, httpx.HTTPError):
            return True  # live is sick, which is the bystander's to say; the settings fit until live shows otherwise
        return look(control) is not None

    why_not = "no redis_url_secret" if stores.redis is None else None if fits() else "`revoked` is no key of live's"
    measure("asked on a connection of our own", "yes" if why_not is None else f"no: {why_not}")
    if why_not is not None and stores.redis is not None:
        warn(
            "the setting stores.redis.revoked names no key of the token that was just revoked on live, so Redis itself was NOT asked "
            "about this release; give the key under which this service keeps a revoked token, see docs/settings.md"
        )
    return look if why_not is None else None


def test_is_in_redis_itself(client, session, entry, limits, measure):
    """The entry of a revoked token is found on a connection of our own, and ends no sooner than the token, and by itself."""
    expect(client.post("/auth/logout", headers=session), 204)
    if entry is None:
        return
    left = entry(session)
    claims = claims_of(session["Authorization"].removeprefix("Bearer "))
    lifetime = claims["exp"] - claims["iat"]
    assert left is not None, f"a token was revoked, and Redis has no key {limits['revoked']} of it"
    measure("the entry of a revoked token ends in", left, limit=lifetime, unit="s")
    assert 0 < left <= lifetime + 1, f"the entry of a revoked token ends in {left} s (-1: never), limit {lifetime} s"
    assert left >= lifetime - 60, f"the entry of a revoked token ends in {left} s, the token in {lifetime} s"

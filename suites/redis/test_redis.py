"""The release writes to Redis: a token that it revokes is revoked for every client of Redis."""

import hashlib

import httpx
import pytest

from verification.contract.expecting import expect
from verification.journeys.tokens import claims_of
from verification.stores import connections as own


@pytest.fixture
def session(sign_in, smoke_user):
    """Headers of a session that only this check uses; the auth gate reports a failing sign-in."""
    return sign_in(smoke_user)


@pytest.fixture
def other_session(sign_in, smoke_user):
    """Headers of another session of the same user."""
    return sign_in(smoke_user)


def test_a_session_lives_and_ends(client, session):
    """Sessions are kept in Redis: a token works until it is revoked, and no longer."""
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
    """A function that reads, on a connection of our own, for how many seconds Redis keeps a revoked session's entry.

    It is None without a connection, or if `stores.redis.revoked` names no key of a token that live has revoked either:
    then the key is another service's or has a mistake, and its absence proves nothing about this release.
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
            return True  # live is unhealthy, which the bystander gate reports; the settings may fit
        return look(control) is not None

    why_not = "no redis_url_secret" if stores.redis is None else None if fits() else "`revoked` names no key on live"
    measure("asked on a connection of our own", "yes" if why_not is None else f"no: {why_not}")
    if why_not is not None and stores.redis is not None:
        warn(
            "the setting stores.redis.revoked names no key of the token that was just revoked on live, so Redis itself was NOT checked "
            "for this release; give the key under which this service keeps a revoked token, see docs/any-service.md"
        )
    return look if why_not is None else None


def test_is_in_redis_itself(client, session, entry, limits, measure):
    """A connection of our own finds the entry of a revoked token; it expires by itself, at most a minute before the token."""
    expect(client.post("/auth/logout", headers=session), 204)
    if entry is None:
        return
    left = entry(session)
    claims = claims_of(session["Authorization"].removeprefix("Bearer "))
    lifetime = claims["exp"] - claims["iat"]
    assert left is not None, f"a token was revoked, but Redis has no key {limits['revoked']} of it"
    measure("the entry of a revoked token ends in", left, limit=lifetime, unit="s")
    assert 0 < left <= lifetime + 1, f"the entry of a revoked token ends in {left} s (-1: never), limit {lifetime} s"
    assert left >= lifetime - 60, f"the entry of a revoked token ends in {left} s, the token in {lifetime} s"

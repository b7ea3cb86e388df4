"""The release reaches Redis, by its own word and by what it does."""

import pytest


@pytest.fixture
def session(sign_in, smoke_user):
    """Headers of a session that is this check's alone; where signing in fails, that is the auth gate's to say."""
    return sign_in(smoke_user)


@pytest.fixture
def other_session(sign_in, smoke_user):
    """Another one of the same user."""
    return sign_in(smoke_user)


def test_round_trip(client, contract, limits, measure):
    """`consecutive` round trips in a row are answered as the contract says."""
    latencies = []
    for _ in range(limits["consecutive"]):
        response = client.get("/health/redis")
        contract.check(response)
        assert response.status_code == 200, f"GET /health/redis: status {response.status_code}, expected 200"
        latencies.append(response.json()["latency_ms"])
    measure("slowest round trip by its own word", max(latencies), unit="ms", samples=len(latencies))


def test_a_session_lives_and_ends(client, session):
    """Sessions are kept in Redis: a token works until it is revoked, and not a moment longer."""
    assert client.get("/consults?limit=1", headers=session).status_code == 200
    assert client.post("/auth/logout", headers=session).status_code == 204
    assert client.get("/consults?limit=1", headers=session).status_code == 401


def test_ending_one_session_leaves_the_others(client, session, other_session):
    """Logout revokes that token and no other."""
    client.post("/auth/logout", headers=session)
    assert client.get("/consults?limit=1", headers=other_session).status_code == 200
    client.post("/auth/logout", headers=other_session)

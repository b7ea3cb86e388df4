"""The release reaches Redis, by its own word and by what it does."""


def test_round_trip(client, contract, limits, measure):
    """`consecutive` round trips in a row are answered as the contract says."""
    latencies = []
    for _ in range(limits["consecutive"]):
        response = client.get("/health/redis")
        contract.check(response)
        assert response.status_code == 200, f"GET /health/redis: status {response.status_code}, expected 200"
        latencies.append(response.json()["latency_ms"])
    measure("slowest round trip by its own word", max(latencies), unit="ms", samples=len(latencies))


def test_a_session_lives_and_ends(client, sign_in, smoke_user):
    """Sessions are kept in Redis: a token works until it is revoked, and not a moment longer."""
    headers = sign_in(smoke_user)
    assert client.get("/consults?limit=1", headers=headers).status_code == 200
    assert client.post("/auth/logout", headers=headers).status_code == 204
    assert client.get("/consults?limit=1", headers=headers).status_code == 401


def test_ending_one_session_leaves_the_others(client, sign_in, smoke_user):
    """Logout revokes that token and no other."""
    first, second = sign_in(smoke_user), sign_in(smoke_user)
    client.post("/auth/logout", headers=first)
    assert client.get("/consults?limit=1", headers=second).status_code == 200
    client.post("/auth/logout", headers=second)

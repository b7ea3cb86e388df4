"""The release reaches PostgreSQL, by its own word and by what it does."""


def test_round_trip(client, contract, limits, measure):
    """`consecutive` round trips in a row are answered as the contract says."""
    latencies = []
    for _ in range(limits["consecutive"]):
        response = client.get("/health/database")
        contract.check(response)
        assert response.status_code == 200, f"GET /health/database: status {response.status_code}, expected 200"
        latencies.append(response.json()["latency_ms"])
    measure("slowest round trip by its own word", max(latencies), unit="ms", samples=len(latencies))


def test_keeps_what_it_was_given(client, signed_in, consult):
    """A row that was written can be read back, and is the same."""
    read = client.get(f"/consults/{consult['id']}", headers=signed_in)
    assert read.status_code == 200, f"GET of a consult just booked: status {read.status_code}"
    assert {key: read.json()[key] for key in consult} == consult


def test_forgets_what_it_was_told_to(client, signed_in, consult):
    """A row that was deleted is gone, by its id and from the list."""
    deleted = client.delete(f"/consults/{consult['id']}", headers=signed_in)
    assert deleted.status_code == 204, f"DELETE of a consult: status {deleted.status_code}, expected 204"
    assert client.get(f"/consults/{consult['id']}", headers=signed_in).status_code == 404
    listed = client.get("/consults?limit=100", headers=signed_in).json()["items"]
    assert consult["id"] not in [item["id"] for item in listed]

"""Warming up is allowed, wearing out is not: a release that was well before its load is well after it."""

import pytest

# Answers in a row; a release that errs on one request in twenty after its load is seen in 99 of 100 runs.
CONSECUTIVE = 90


@pytest.mark.samples(CONSECUTIVE)
def test_health_is_asked_again(load_result, fresh_client, client, contract, candidate, measure):
    """Health, database and Redis answer as the contract says, health in every one of 90 answers."""
    for path in ("/health/database", "/health/redis"):
        response = client.get(path)
        contract.check(response)
        assert response.status_code == 200, (
            f"GET {path} after {load_result.requests} requests: status {response.status_code}"
        )
    for number in range(1, CONSECUTIVE + 1):
        response = (fresh_client if number % 3 == 0 else client).get("/health")
        if response.status_code != 200:
            measure("healthy answers in a row after the load", number - 1, limit=CONSECUTIVE, samples=number)
        assert response.status_code == 200, (
            f"GET /health after {load_result.requests} requests of load: answer {number} of {CONSECUTIVE} "
            f"has status {response.status_code}, expected 200; again: curl -i {response.request.url}"
        )
        contract.check(response)
    measure("healthy answers in a row after the load", CONSECUTIVE, limit=CONSECUTIVE, samples=CONSECUTIVE)
    version = response.json()["version"]
    assert version == (candidate.version or version), f"version {version} after the load, expected {candidate.version}"

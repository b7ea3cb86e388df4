"""The release is up, is itself, and stays so: a window of answers, never a single one."""

import time

import httpx


def _answer(client: httpx.Client) -> httpx.Response | None:
    try:
        return client.get("/health")
    except httpx.TransportError:
        return None


def test_comes_up(client, limits, measure):
    """Within `attempts` tries, `interval` seconds apart, it answers 200 for the first time."""
    for attempt in range(1, limits["attempts"] + 1):
        response = _answer(client)
        if response is not None and response.status_code == 200:
            measure("attempts until healthy", attempt, limit=limits["attempts"])
            return
        if attempt < limits["attempts"]:
            time.sleep(limits["interval"])
    raise AssertionError(f"GET /health was not 200 in {limits['attempts']} attempts; last answer: {response}")


def test_stays_up_on_fresh_connections(fresh_client, limits, measure):
    """`consecutive` answers in a row are 200, each on a connection of its own."""
    statuses = [fresh_client.get("/health").status_code for _ in range(limits["consecutive"])]
    measure("healthy answers in a row", statuses.count(200), limit=limits["consecutive"], samples=len(statuses))
    assert statuses == [200] * len(statuses)


def test_answers_as_the_contract_says(client, contract):
    """Status, content type and schema: a catch-all page of HTML is no health."""
    contract.check(client.get("/health"))


def test_is_not_degraded(client, limits):
    """`status` is ok in each of several answers."""
    states = {str(client.get("/health").json().get("status")) for _ in range(limits["consecutive"])}
    assert states == {"ok"}, f"status {', '.join(sorted(states - {'ok'}))}, expected ok"


def test_is_the_expected_version(fresh_client, candidate, limits, measure):
    """What answers is the release that was asked for, on every connection."""
    versions = {str(fresh_client.get("/health").json().get("version")) for _ in range(limits["consecutive"])}
    expected = candidate.version or next(iter(versions))  # an address alone (--base-url) has no version to expect
    measure("version", ", ".join(sorted(versions)), limit=expected, samples=limits["consecutive"])
    assert versions == {expected}, f"version {', '.join(sorted(versions))} answers, expected {expected}"

"""The release is up, is itself, and stays so: a window of answers, never a single one."""

import time

import httpx
import pytest


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


@pytest.mark.samples("consecutive")
def test_stays_up_on_fresh_connections(fresh_client, contract, limits, measure):
    """`consecutive` answers in a row, over `window` seconds or more, are 200 and as the contract says, each on a connection of its own."""
    count, began = limits["consecutive"], time.monotonic()
    for number in range(1, count + 1):
        # Evenly: what comes and goes is seen whatever its rhythm.
        time.sleep(max(0.0, began + (number - 1) * limits["window"] / count - time.monotonic()))
        response = fresh_client.get("/health")
        if response.status_code != 200:
            measure("healthy answers in a row", number - 1, limit=count, samples=number)
            seconds = time.monotonic() - began
            raise AssertionError(
                f"GET /health: answer {number} of {count} has status {response.status_code} after {seconds:.1f} s, "
                f"expected 200; again: for i in $(seq {count}); do curl -si {response.request.url} | head -1; done"
            )
        contract.check(response)
    measure("healthy answers in a row", count, limit=count, samples=count)


def test_answers_as_the_contract_says(client, contract):
    """Status, content type and schema: a catch-all page of HTML is no health."""
    response = client.get("/health")
    contract.check(response)
    assert response.status_code == 200, f"GET /health: status {response.status_code}, expected 200"


def _field(response: httpx.Response, name: str) -> str:
    try:
        body = response.json()
    except ValueError:
        return "no JSON"
    return str(body.get(name)) if isinstance(body, dict) else "no JSON object"


@pytest.mark.samples("consecutive")
def test_is_not_degraded(client, limits, measure):
    """`status` is ok in each of `consecutive` answers on a kept connection."""
    count = limits["consecutive"]
    states = [_field(client.get("/health"), "status") for _ in range(count)]
    measure("answers with status ok", states.count("ok"), limit=count, samples=count)
    others = ", ".join(sorted(set(states) - {"ok"}))
    assert not others, f"status {others} in {count - states.count('ok')} of {count} answers, expected ok"


def _says_its_version(fresh_client, candidate, limits, measure):
    """Fails with how many of `identity` answers, each on a connection of its own, name another version."""
    count = limits["identity"]
    versions: list[str] = []
    while len(versions) < count:
        response = fresh_client.get("/health")
        versions.append(_field(response, "version"))
    expected = candidate.version or versions[0]  # an address alone (--base-url) has no version to expect
    measure("version", ", ".join(sorted(set(versions))), limit=expected, samples=count)
    others = ", ".join(sorted(set(versions) - {expected}))
    assert not others, (
        f"version {others} in {count - versions.count(expected)} of {count} answers on fresh connections, expected {expected}; "
        f"again: for i in $(seq {count}); do curl -s {response.request.url}; echo; done | sort | uniq -c"
    )


@pytest.mark.samples("identity")
def test_is_the_expected_version(fresh_client, candidate, limits, measure):
    """What answers is the release that was asked for, on every connection: no instance of another one is left."""
    _says_its_version(fresh_client, candidate, limits, measure)


@pytest.mark.samples("identity")
def test_is_still_the_expected_version(loaded, fresh_client, candidate, limits, measure):
    """After the load, too: instances that were added, replaced or rolled back under it are the same release."""
    _says_its_version(fresh_client, candidate, limits, measure)

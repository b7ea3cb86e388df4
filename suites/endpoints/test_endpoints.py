"""Each operation keeps the contract, in success and in failure."""

import pytest

NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("path", ["/health", "/health/database", "/health/redis"])
def test_health_operations(client, contract, path):
    """Status, content type and schema of each."""
    response = client.get(path)
    contract.check(response)
    assert response.status_code == 200, f"GET {path}: status {response.status_code}, expected 200"


def test_booking(client, contract, signed_in, new_consult):
    """A consult can be booked, read, found first in the list, and cancelled."""
    booked = client.post("/consults", json=new_consult, headers=signed_in)
    contract.check(booked)
    assert booked.status_code == 201, f"POST /consults: status {booked.status_code}, expected 201"
    path = f"/consults/{booked.json()['id']}"
    try:
        assert {key: booked.json()[key] for key in ("patient", "reason")} == {
            key: new_consult[key] for key in ("patient", "reason")
        }
        contract.check(client.get(path, headers=signed_in))
    finally:
        cancelled = client.delete(path, headers=signed_in)
    contract.check(cancelled)
    assert cancelled.status_code == 204, f"DELETE: status {cancelled.status_code}, expected 204"
    gone = client.get(path, headers=signed_in)
    contract.check(gone)
    assert gone.status_code == 404, f"GET of a cancelled consult: status {gone.status_code}, expected 404"


def test_list_is_newest_first_and_pages(client, contract, signed_in, new_consult):
    """Pages hold at most `limit`, follow one another without a gap, newest first."""
    ids = []
    try:
        for number in range(3):
            booked = client.post("/consults", json={**new_consult, "reason": f"page {number}"}, headers=signed_in)
            ids.append(booked.json()["id"])
        first = client.get("/consults?limit=2", headers=signed_in)
        contract.check(first)
        page = first.json()
        assert len(page["items"]) == 2, f"limit=2 gave {len(page['items'])} items"
        assert page["next_cursor"], "there are more than two consults, and no cursor to the next page"
        second = client.get("/consults", params={"limit": 2, "cursor": page["next_cursor"]}, headers=signed_in)
        contract.check(second)
        listed = [item["id"] for item in (*page["items"], *second.json()["items"])]
        assert len(listed) == len(set(listed)), "a consult stands on two pages"
        times = [item["created_at"] for item in (*page["items"], *second.json()["items"])]
        assert times == sorted(times, reverse=True), "the list is not newest first"
        mine = [one for one in listed if one in ids]
        assert mine == [one for one in reversed(ids) if one in mine]
        assert len(mine) == 3 or len(listed) == 4, "consults just booked are missing from the first pages"
    finally:
        for one in ids:
            client.delete(f"/consults/{one}", headers=signed_in)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=many", "cursor=not-a-cursor"])
def test_parameters_out_of_range(client, contract, signed_in, query):
    """422 with a problem, never a 500."""
    response = client.get(f"/consults?{query}", headers=signed_in)
    contract.check(response)
    assert response.status_code == 422, f"GET /consults?{query}: status {response.status_code}, expected 422"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"patient": "", "reason": "x", "starts_at": "2030-01-15T09:30:00Z"}',
        b'{"patient": "x", "reason": "x", "starts_at": "soon"}',
    ],
    ids=["not JSON", "a list", "nothing", "empty patient", "no time"],
)
def test_malformed_bookings(client, contract, signed_in, body):
    """422 with a problem, and nothing booked."""
    response = client.post("/consults", content=body, headers={**signed_in, "Content-Type": "application/json"})
    contract.check(response)
    assert response.status_code == 422, f"status {response.status_code}, expected 422"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_does_not_exist(client, contract, signed_in, method):
    """404 with a problem."""
    response = client.request(method, f"/consults/{NOBODYS}", headers=signed_in)
    contract.check(response)
    assert response.status_code == 404, f"{method}: status {response.status_code}, expected 404"


def test_logout(client, contract, sign_in, smoke_user):
    """204 once, 401 with the revoked token."""
    headers = sign_in(smoke_user)
    first = client.post("/auth/logout", headers=headers)
    contract.check(first)
    assert first.status_code == 204, f"status {first.status_code}, expected 204"
    second = client.post("/auth/logout", headers=headers)
    contract.check(second)
    assert second.status_code == 401, f"logout with a revoked token: status {second.status_code}, expected 401"

"""A user cannot reach another user's data: not by id, not in the list, not on its later pages."""

import pytest


@pytest.fixture
def other(client, sign_in, smoke_users):
    """Headers of the second smoke user's session."""
    headers = sign_in(smoke_users[1])
    yield headers
    client.post("/auth/logout", headers=headers)


def test_by_id(client, contract, signed_in, consult, other):
    """Another user can neither read nor cancel a consult; the answer is the same as for one that does not exist."""
    path = f"/consults/{consult['id']}"
    contract.refused(client.get(path, headers=other), 404)
    contract.refused(client.delete(path, headers=other), 404)
    kept = client.get(path, headers=signed_in)
    assert kept.status_code == 200, f"after another user's DELETE {path}: status {kept.status_code}, expected 200"


def test_in_the_list(client, new_consult, consult, other):
    """Another user's consult is on no page: not on the first, of a hundred, and not on the page after a cursor."""
    own = [client.post("/consults", json=new_consult, headers=other).json()["id"] for _ in range(2)]
    try:
        whole = client.get("/consults?limit=100", headers=other)
        first = client.get("/consults?limit=1", headers=other).json()
        later = client.get("/consults", params={"limit": 100, "cursor": first["next_cursor"]}, headers=other)
    finally:
        for one in own:
            client.delete(f"/consults/{one}", headers=other)
    for where, page in (("the first page", whole), ("the page after a cursor", later)):
        assert page.status_code == 200, f"{where} of the second smoke user: status {page.status_code}, expected 200"
        ids = [item["id"] for item in page.json()["items"]]
        assert consult["id"] not in ids, f"{where} of the second smoke user lists {consult['id']}, the first one's"

"""The release reaches PostgreSQL, by its own word and by what it does: what it says it wrote is there, for everybody."""

import httpx
import pytest

from verification.contract.expecting import expect
from verification.stores import connections as own


def test_keeps_what_it_was_given(client, signed_in, consult):
    """A row that was written can be read back, and is the same."""
    read = expect(client.get(f"/consults/{consult['id']}", headers=signed_in), 200, "GET of a consult just booked")
    assert {key: read.json()[key] for key in consult} == consult


def test_forgets_what_it_was_told_to(client, signed_in, consult):
    """A row that was deleted is gone, by its id and from the list."""
    path = f"/consults/{consult['id']}"
    expect(client.delete(path, headers=signed_in), 204, "DELETE of a consult")
    expect(client.get(path, headers=signed_in), 404, "GET of a consult just deleted")
    listed = client.get("/consults?limit=100", headers=signed_in).json()["items"]
    assert consult["id"] not in [item["id"] for item in listed]


@pytest.fixture
def find(stores, limits, book, live_client, sign_in, smoke_user, measure, warn):
    """A function that finds a consult's rows on a connection of our own.

    None where there is no connection, or where `find` of the settings does not find what live has written either: then it
    speaks of another service's tables, or has a mistake in it, and says nothing of this release.
    """

    def look(consult):
        return [tuple(row) for row in own.rows(stores.database, limits["find"], consult["id"])]

    def fits():
        try:
            control = book(sign_in(smoke_user, on=live_client), on=live_client)
        except (AssertionError, httpx.HTTPError):
            return True  # live is sick, which is the bystander's to say; the settings fit until live shows otherwise
        try:
            return look(control) == [(control["patient"], control["reason"])]
        except own.OtherSchema:
            return False

    why_not = (
        "no database_url_secret" if stores.database is None else None if fits() else "`find` finds nothing of live's"
    )
    measure("asked on a connection of our own", "yes" if why_not is None else f"no: {why_not}")
    if why_not is not None and stores.database is not None:
        warn(
            "the setting stores.database.find does not find the consult that was just booked on live, so the database itself was "
            "NOT asked about this release; give the statement that finds a consult of this service by its id, see docs/settings.md"
        )
    return look if why_not is None else None


def test_is_in_the_database_itself(client, signed_in, consult, find):
    """The row is found on a connection of our own, and gone from there once the release has deleted it."""
    if find is None:
        expect(client.get(f"/consults/{consult['id']}", headers=signed_in), 200)
        return
    found = find(consult)
    assert found == [(consult["patient"], consult["reason"])], (
        f"{len(found)} rows of a consult just booked are in the database as it was sent, expected 1"
    )
    expect(client.delete(f"/consults/{consult['id']}", headers=signed_in), 204, "DELETE of a consult")
    left = len(find(consult))
    assert left == 0, (
        f"DELETE was answered with 204, and {left} row of the consult is still in the database, expected 0"
    )

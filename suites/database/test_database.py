"""The release writes to PostgreSQL: a row that it wrote or deleted is there or gone for every client of the database."""

import httpx
import pytest

from verification.contract.expecting import expect
from verification.stores import connections as own


def test_keeps_what_it_was_given(client, signed_in, consult):
    """A row that was written can be read back unchanged."""
    read = expect(client.get(f"/consults/{consult['id']}", headers=signed_in), 200, "GET of a consult just booked")
    assert {key: read.json()[key] for key in consult} == consult


def test_forgets_what_it_was_told_to(client, signed_in, consult):
    """A deleted row is gone by its id and from the list."""
    path = f"/consults/{consult['id']}"
    expect(client.delete(path, headers=signed_in), 204, "DELETE of a consult")
    expect(client.get(path, headers=signed_in), 404, "GET of a consult just deleted")
    listed = client.get("/consults?limit=100", headers=signed_in).json()["items"]
    assert consult["id"] not in [item["id"] for item in listed]


@pytest.fixture
def find(stores, limits, book, live_client, sign_in, smoke_user, measure, warn):
    """A function that finds a consult's rows on a connection of our own.

    It is None without a connection, or if `stores.database.find` does not find a consult that live has booked either:
    then the statement is for another service's tables or has a mistake, and its result proves nothing about this release.
    """

    def look(consult):
        return [tuple(row) for row in own.rows(stores.database, limits["find"], consult["id"])]

    def fits():
        try:
            control = book(sign_in(smoke_user, on=live_client), on=live_client)
        except (AssertionError, httpx.HTTPError):
            return True  # live is unhealthy, which the bystander gate reports; the settings may fit
        try:
            return look(control) == [(control["patient"], control["reason"])]
        except own.OtherSchema:
            return False

    why_not = (
        "no database_url_secret" if stores.database is None else None if fits() else "`find` does not find it on live"
    )
    measure("asked on a connection of our own", "yes" if why_not is None else f"no: {why_not}")
    if why_not is not None and stores.database is not None:
        warn(
            "the setting stores.database.find does not find the consult that was just booked on live, so the database itself was "
            "NOT checked for this release; give the statement that finds a consult of this service by its id, see docs/any-service.md"
        )
    return look if why_not is None else None


def test_is_in_the_database_itself(client, signed_in, consult, find):
    """A connection of our own finds the row, and no longer finds it after the release has deleted it."""
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

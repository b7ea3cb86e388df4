"""A row written through one colour is on the other at once, complete and in the list; a deleted row is gone on both."""

import pytest

from suites.continuity.conftest import BOTH_WAYS, IDS
from verification.contract.expecting import expect

both_ways = pytest.mark.parametrize(("here", "there"), BOTH_WAYS, ids=IDS, indirect=True)


def _listed(side, session, when):
    items = expect(side.reads(session), 200, f"{when}, GET /consults on {side.name}").json()["items"]
    return {item["id"]: item for item in items}


def _same(side, written, read, where):
    """Fail unless every field that both answers have is the same; a release may have fields that the other does not have."""
    wrong = sorted(name for name in written.keys() & read.keys() if written[name] != read[name])
    told = "; ".join(f"{name} is {read[name]!r}, written as {written[name]!r}" for name in wrong)
    assert not wrong, f"{where} on {side.name}: {told}"[:280]


@both_ways
def test_written_on_one_is_read_on_both(here, there, session, book):
    """A row is read by id and in the list, with the same content; a list that was read before is not stale."""
    for side in (here, there):
        _listed(side, session, "before anything was written")  # a colour that caches lists has this one now
    written = book(session, on=here.client)
    when = f"after a consult was booked on {here.name}"
    for side in (there, here):
        read = expect(side.reads(session, f"/consults/{written['id']}"), 200, f"{when}, GET of it on {side.name}")
        _same(side, written, read.json(), f"a consult booked on {here.name}, read")
        items = _listed(side, session, when)
        assert written["id"] in items, f"{when}, GET /consults on {side.name} does not list it"
        _same(side, written, items[written["id"]], f"a consult booked on {here.name}, listed")


@both_ways
def test_deleted_on_one_is_gone_on_both(here, there, session, book):
    """A deleted row is 404 by id and not in the list, on the colour that wrote it and on the one that deleted it."""
    written = book(session, on=here.client)
    path = f"/consults/{written['id']}"
    for side in (here, there):  # a colour that caches has it now
        side.reads(session, path)
        _listed(side, session, f"after a consult was booked on {here.name}")
    deleted = there.client.delete(path, headers=session)
    expect(deleted, 204, f"DELETE on {there.name} of a consult booked on {here.name}")
    when = f"after a consult of {here.name} was deleted on {there.name}"
    for side in (there, here):
        expect(side.reads(session, path), 404, f"{when}, GET of it on {side.name}")
        assert written["id"] not in _listed(side, session, when), f"{when}, GET /consults on {side.name} still lists it"


@both_ways
def test_pages_go_on_on_the_other_side(here, there, session, book):
    """A cursor of one colour works on the other: a user may be switched between two pages."""
    newest = [book(session, on=here.client) for _ in range(3)]
    what = f"the second page on {there.name}, by a cursor of {here.name}"
    first = expect(here.reads(session, "/consults?limit=1"), 200, f"the first page on {here.name}").json()
    second = there.client.get("/consults", params={"limit": 100, "cursor": first["next_cursor"]}, headers=session)
    ids = [item["id"] for item in expect(second, 200, what).json()["items"]]
    assert newest[0]["id"] in ids, f"{what}: an older consult is missing"
    assert not {item["id"] for item in first["items"]} & set(ids), f"{what}: it repeats the first"

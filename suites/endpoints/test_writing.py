"""Written data is kept as it was sent and is the same in every answer; deleted data is gone."""

from datetime import UTC, datetime

import pytest

# A larger difference means a wrong zone or unit of created_at; clocks differ by less (AWS allows 300 s).
LARGEST_SKEW_S = 300

TEXTS = {
    "unicode": "Ωμέγα, naïve “quotes”, 医者, 😀, e\u0301, \u05e9\u05dc\u05d5\u05dd",
    "blanks": "  begins and ends with blanks,\n\thas a second line  ",
    "markup": "<b>&amp; \"it's\" \\ %s {0} ${x} '; --",
    "longest": "é" * 200,
}
TIMES = {
    "utc": "2030-01-15T09:30:00Z",
    "east": "2030-01-15T09:30:00+05:30",
    "west": "2030-12-31T23:30:00-11:00",
    "fraction": "2030-06-30T23:59:59.125Z",
}


@pytest.fixture
def everywhere(client, contract, signed_in):
    """A function that returns a consult as POST, GET and the list return it, checked by the contract: [(where, consult), …]."""

    def look(booked):
        contract.validate("Consult", booked)
        path = f"/consults/{booked['id']}"
        read = client.get(path, headers=signed_in)
        contract.check(read)
        assert read.status_code == 200, f"GET {path}, just booked: status {read.status_code}, expected 200"
        listed = client.get("/consults?limit=100", headers=signed_in)
        contract.check(listed)
        found = [item for item in listed.json()["items"] if item["id"] == booked["id"]]
        assert len(found) == 1, f"GET /consults lists {booked['id']}, just booked, {len(found)} times, expected once"
        return [("the answer to POST", booked), (f"GET {path}", read.json()), ("the list", found[0])]

    return look


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_kept(book, everywhere, name):
    """Each character is kept, in the answer, by id and in the list."""
    sent = {"patient": TEXTS[name], "reason": (TEXTS[name] * 2000)[:2000] if name == "longest" else TEXTS[name]}
    for where, seen in everywhere(book(**sent)):
        for field, text in sent.items():
            assert seen[field] == text, f"{where}: {field} is {seen[field][:80]!r}, expected {text[:80]!r}"


@pytest.mark.parametrize("name", TIMES)
def test_time_is_kept(book, everywhere, name):
    """The time is the same instant, for every zone in which it was sent."""
    expected = datetime.fromisoformat(TIMES[name])
    for where, seen in everywhere(book(starts_at=TIMES[name])):
        found = datetime.fromisoformat(seen["starts_at"])
        assert found == expected, f"{where}: starts_at is {seen['starts_at']}, expected {TIMES[name]}"


def test_one_consult_is_the_same_everywhere(book, everywhere, measure):
    """No field differs between the answer, the record and the list; created_at is the current time."""
    booked = book()
    for where, seen in everywhere(booked):
        other = sorted(key for key in booked.keys() | seen.keys() if booked.get(key) != seen.get(key))
        assert not other, f"{where} differs from the answer to POST in {', '.join(other)}"
    age = abs((datetime.now(UTC) - datetime.fromisoformat(booked["created_at"])).total_seconds())
    measure("created_at from now", round(age, 1), limit=LARGEST_SKEW_S, unit="s")
    assert age <= LARGEST_SKEW_S, (
        f"created_at is {booked['created_at']}, {age:.0f} s from now, limit {LARGEST_SKEW_S} s"
    )
    assert booked["status"] == "booked", f"status of a consult just booked is {booked['status']!r}, expected 'booked'"


def test_cancelled_is_gone_and_nothing_else(client, contract, signed_in, book):
    """A cancelled consult is 404 for GET and a second DELETE, and not in the list; its neighbour stays."""
    neighbour, gone = book(), book()
    path = f"/consults/{gone['id']}"
    contract.check(client.get("/consults?limit=100", headers=signed_in))  # a release that caches lists has this one now
    cancelled = client.delete(path, headers=signed_in)
    contract.check(cancelled)
    assert cancelled.status_code == 204, f"DELETE {path}: status {cancelled.status_code}, expected 204"
    contract.refused(client.get(path, headers=signed_in), 404)
    contract.refused(client.delete(path, headers=signed_in), 404)
    listed = client.get("/consults?limit=100", headers=signed_in).json()["items"]
    ids = [item["id"] for item in listed]
    assert gone["id"] not in ids, f"GET /consults still lists {gone['id']}, cancelled"
    assert neighbour["id"] in ids, f"cancelling {gone['id']} took {neighbour['id']} from the list"
    kept = client.get(f"/consults/{neighbour['id']}", headers=signed_in)
    assert kept.status_code == 200, f"cancelling {gone['id']} cancelled {neighbour['id']}: status {kept.status_code}"

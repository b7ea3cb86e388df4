"""Booking, listing, reading and cancelling a user's own consults."""

import json
from typing import Any

import pytest

from tests.service.shapes import CONSULT, PAGE, expect, expect_problem
from tests.service.support import Service
from tests.service.users import STARTS_AT, SignedIn

NO_CONSULT = "00000000-0000-4000-8000-000000000000"
GOOD: dict[str, Any] = {"patient": "P. Atient", "reason": "a cough", "starts_at": STARTS_AT}


def walk(caller: SignedIn, limit: int, at: Service | None = None) -> list[str]:
    """Read all pages and return the reasons of all consults."""
    seen, cursor = [], ""
    while True:
        page = expect(caller.request("GET", f"/consults?limit={limit}{cursor}", at=at), 200, PAGE)
        assert len(page["items"]) <= limit
        seen += [item["reason"] for item in page["items"]]
        if page["next_cursor"] is None:
            return seen
        cursor = f"&cursor={page['next_cursor']}"


def test_a_booked_consult_is_read_back_on_both_colours(alice: SignedIn, other: Service) -> None:
    created = expect(alice.request("POST", "/consults", GOOD), 201, CONSULT)
    assert {**created, **GOOD, "status": "booked"} == created
    for colour in (alice.service, other):
        read = expect(alice.request("GET", f"/consults/{created['id']}", at=colour), 200, CONSULT)
        assert {name: read[name] for name in CONSULT["required"]} == {
            name: created[name] for name in CONSULT["required"]
        }
        assert walk(alice, 10, colour) == ["a cough"]


def test_a_cancelled_consult_is_gone_on_both_colours(alice: SignedIn, other: Service) -> None:
    path = f"/consults/{alice.book()['id']}"
    response = alice.request("DELETE", path)
    assert (response.status_code, response.content) == (204, b"")
    for colour in (alice.service, other):
        expect_problem(alice.request("GET", path, at=colour), 404)
        expect_problem(alice.request("DELETE", path, at=colour), 404)
        assert walk(alice, 10, colour) == []


def test_another_users_consult_is_not_found(alice: SignedIn, bob: SignedIn) -> None:
    path = f"/consults/{alice.book()['id']}"
    expect_problem(bob.request("GET", path), 404)
    expect_problem(bob.request("DELETE", path), 404)
    assert walk(bob, 10) == []
    assert alice.request("GET", path).status_code == 200


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 100])
def test_pages_are_newest_first_without_gap_or_repeat(alice: SignedIn, other: Service, limit: int) -> None:
    for number in range(6):
        alice.book(str(number), at=(alice.service, other)[number % 2])
    assert walk(alice, limit) == ["5", "4", "3", "2", "1", "0"]


def test_a_cursor_keeps_its_position_while_the_list_changes(alice: SignedIn, other: Service) -> None:
    booked = [alice.book(str(number)) for number in range(5)]
    first = expect(alice.request("GET", "/consults?limit=2"), 200, PAGE)
    alice.book("new")
    alice.request("DELETE", f"/consults/{booked[3]['id']}")  # the consult that the cursor points to
    rest = expect(alice.request("GET", f"/consults?cursor={first['next_cursor']}", at=other), 200, PAGE)
    assert [item["reason"] for item in rest["items"]] == ["2", "1", "0"]


def test_the_default_page_size_is_20(alice: SignedIn) -> None:
    for number in range(21):
        alice.book(str(number))
    page = expect(alice.request("GET", "/consults"), 200, PAGE)
    assert len(page["items"]) == 20
    assert page["next_cursor"]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "1.5", "1e1", "+5", "%D9%A5", "99999999999999999999"])
def test_limit_out_of_range(alice: SignedIn, limit: str) -> None:
    expect_problem(alice.request("GET", f"/consults?limit={limit}"), 422)


@pytest.mark.parametrize("cursor", ["", "x", "%00", "A" * 31, "A" * 33, "f" + "_" * 31, "%F0%9F%98%80", "%FF"])
def test_malformed_cursor(alice: SignedIn, cursor: str) -> None:
    expect_problem(alice.request("GET", f"/consults?cursor={cursor}"), 422)


@pytest.mark.parametrize("name", ["x", "%00", "1", "{" + NO_CONSULT + "}", NO_CONSULT, NO_CONSULT.replace("-", "")])
def test_unknown_id(alice: SignedIn, name: str) -> None:
    expect_problem(alice.request("GET", f"/consults/{name}"), 404)
    expect_problem(alice.request("DELETE", f"/consults/{name}"), 404)


@pytest.mark.parametrize(
    "change",
    [
        {"patient": None},
        {"patient": 7},
        {"patient": ""},
        {"patient": "x" * 201},
        {"patient": "a\x00b"},
        {"patient": "\ud800"},
        {"reason": ""},
        {"reason": "x" * 2001},
        {"reason": "\x00"},
        {"reason": ["x"]},
        {"starts_at": ""},
        {"starts_at": "tomorrow"},
        {"starts_at": "2030-01-01"},
        {"starts_at": "2030-02-30T10:00:00Z"},
        {"starts_at": "2030-01-01T10:00:00"},
        {"starts_at": "2030-01-01T10:00:00Z\n"},
        {"starts_at": "0001-01-01T00:00:00+10:00"},
        {"starts_at": 1893492000},
        {"extra": "\udc00"},
    ],
)
def test_malformed_consult(alice: SignedIn, change: dict[str, object]) -> None:
    response = alice.service.client.post("/consults", content=json.dumps({**GOOD, **change}), headers=alice.headers)
    expect_problem(response, 422)


@pytest.mark.parametrize("missing", GOOD)
def test_missing_member(alice: SignedIn, missing: str) -> None:
    body = {name: value for name, value in GOOD.items() if name != missing}
    expect_problem(alice.request("POST", "/consults", body), 422)


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b"1", b"\xff"])
def test_body_that_is_not_an_object(alice: SignedIn, body: bytes) -> None:
    expect_problem(alice.service.client.post("/consults", content=body, headers=alice.headers), 422)


def test_body_that_is_too_large(alice: SignedIn) -> None:
    response = alice.service.client.post("/consults", content=b" " * 300_000, headers=alice.headers)
    expect_problem(response, 413)


@pytest.mark.parametrize(
    ("change", "starts_at"),
    [
        ({"patient": "x" * 200, "reason": "\U0001f600" * 2000}, STARTS_AT),
        ({"patient": "Zoë \\ \"'; DROP TABLE consults; --\n", "reason": "\u202e\ufffe\x01"}, STARTS_AT),
        ({"starts_at": "2030-01-01T12:00:00.5+02:00"}, "2030-01-01T10:00:00.500000Z"),
        ({"starts_at": "0001-01-01T00:00:00Z"}, "0001-01-01T00:00:00Z"),
        ({"starts_at": "9999-12-31T23:59:59z"}, "9999-12-31T23:59:59Z"),
        ({"unknown": {"to": ["this", "release"]}}, STARTS_AT),
    ],
)
def test_valid_values_are_kept_exactly(alice: SignedIn, change: dict[str, object], starts_at: str) -> None:
    body = {**GOOD, **change}
    created = expect(alice.request("POST", "/consults", body), 201, CONSULT)
    read = expect(alice.request("GET", f"/consults/{created['id']}"), 200, CONSULT)
    assert (read["patient"], read["reason"], read["starts_at"]) == (body["patient"], body["reason"], starts_at)


def test_notes_exist_only_in_1_1_0_and_do_not_disturb_1_0_0(colours: dict[str, Service], alice: SignedIn) -> None:
    old, new = colours["1.0.0"], colours["1.1.0"]
    noted, plain = alice.book(at=new, notes="allergic to nuts"), alice.book(at=old, notes="unknown here")
    assert "notes" not in plain
    assert "notes" not in alice.request("GET", f"/consults/{noted['id']}", at=old).json()
    assert alice.request("GET", f"/consults/{noted['id']}", at=new).json()["notes"] == "allergic to nuts"
    assert alice.request("GET", f"/consults/{plain['id']}", at=new).json()["notes"] is None
    expect_problem(alice.request("POST", "/consults", {**GOOD, "notes": 7}, at=new), 422)

"""The list: newest first, page by page without a gap or a repetition, and with as many items as requested.

Other gates write as the same user at the same time, and an earlier run may have left rows: these checks count only the
consults that they booked themselves.
"""

from datetime import datetime
from itertools import pairwise

import pytest

# Pages of two that are read to find five consults just booked; the rest is room for consults that others book at the time.
MOST_PAGES = 30
DEFAULT_LIMIT, LARGEST_LIMIT = 20, 100
OUT_OF_RANGE = ("limit=0", "limit=-1", "limit=101", "limit=many", "limit=1.5", "limit=99999999999999999999")
NOT_OURS = ("cursor=not-a-cursor", "cursor=" + "f" * 32, "cursor=%00", "cursor=%27%20OR%201=1")


@pytest.fixture
def page(client, contract, signed_in):
    """A function that reads one page, as the contract says: page(limit=2, cursor=…)."""

    def read(**parameters):
        response = client.get("/consults", params=parameters, headers=signed_in)
        contract.check(response)
        assert response.status_code == 200, f"GET /consults {parameters}: status {response.status_code}, expected 200"
        return response.json()

    return read


def test_newest_first_page_by_page(book, page):
    """Five consults, booked for days in mixed order, are found once each, the last booked first."""
    ids = [book(starts_at=f"2030-02-0{day}T09:30:00Z")["id"] for day in (4, 5, 3, 1, 2)]
    listed, parameters = [], {"limit": 2}
    for _ in range(MOST_PAGES):
        found = page(**parameters)
        assert len(found["items"]) <= 2, f"limit=2 gave {len(found['items'])} items"
        listed += found["items"]
        if not found["next_cursor"] or set(ids) <= {item["id"] for item in listed}:
            break
        parameters = {"limit": 2, "cursor": found["next_cursor"]}
    seen = [item["id"] for item in listed]
    twice = sorted({one for one in seen if seen.count(one) > 1})
    assert not twice, f"{twice[0]} is listed twice, on pages that follow one another"
    mine = [one for one in seen if one in ids]
    assert len(mine) == len(ids), f"{len(mine)} of 5 consults just booked are on {len(seen) / 2:g} pages of 2"
    made = {item["id"]: datetime.fromisoformat(item["created_at"]) for item in listed}
    # A service whose clock counts in seconds has no order for consults that were booked within one second.
    turned = [
        pair for pair in pairwise(mine) if made[pair[0]] != made[pair[1]] and ids.index(pair[0]) < ids.index(pair[1])
    ]
    assert not turned, (
        f"booked as 1 2 3 4 5, listed as {' '.join(str(ids.index(one) + 1) for one in mine)}; expected newest first"
    )
    times = [made[one] for one in seen]
    assert times == sorted(times, reverse=True), (
        f"created_at is not newest first: {', '.join(item['created_at'] for item in listed[:6])}"
    )


def test_as_many_as_asked_for(book, page):
    """A page has `limit` items if there are enough, 20 by default, 100 at most; a cursor as long as there are more."""
    ids = {book(reason=f"page {number}")["id"] for number in range(DEFAULT_LIMIT + 1)}
    for parameters, expected in (({"limit": 1}, 1), ({"limit": 7}, 7), ({}, DEFAULT_LIMIT)):
        found = page(**parameters)
        size = len(found["items"])
        asked = f"GET /consults {parameters or 'without a limit'}, with {len(ids)} consults or more"
        assert size == expected, f"{asked}: {size} items, expected {expected}"
        assert found["next_cursor"], f"{asked}: next_cursor is {found['next_cursor']!r}, but there are more"
    whole = page(limit=LARGEST_LIMIT)
    missing = ids - {item["id"] for item in whole["items"]}
    assert not missing, f"limit=100: {len(missing)} of {len(ids)} consults just booked are not listed"
    if len(whole["items"]) < LARGEST_LIMIT:
        cursor = whole["next_cursor"]
        assert cursor is None, (
            f"limit=100 gave {len(whole['items'])} items, and next_cursor is {cursor!r}, expected null"
        )


@pytest.mark.parametrize("query", [*OUT_OF_RANGE, *NOT_OURS])
def test_parameters_out_of_range(client, contract, signed_in, query):
    """422 with a problem, never a 500, and no internal details."""
    contract.refused(client.get(f"/consults?{query}", headers=signed_in), 422)

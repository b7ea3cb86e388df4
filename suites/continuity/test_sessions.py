"""Both colours share the users' sessions: one that is opened, used or ended on one colour is so on the other."""

import pytest

from suites.continuity.conftest import BOTH_WAYS, IDS
from verification.contract.expecting import expect

both_ways = pytest.mark.parametrize(("here", "there"), BOTH_WAYS, ids=IDS, indirect=True)


def _good(side, session, when):
    expect(side.reads(session, "/consults?limit=1"), 200, f"{when}, GET /consults on {side.name}")


def _ended(side, session, when):
    expect(side.reads(session, "/consults?limit=1"), 401, f"{when}, GET /consults on {side.name}")


def _logout(side, session):
    return side.client.post("/auth/logout", headers=session)


@both_ways
def test_opened_on_one_is_good_on_both(here, there, session):
    """A user who signed in before the switch stays signed in after it, and after a rollback."""
    opened = f"a session opened on {here.name}"
    _good(there, session, opened)
    # An entry that the other colour keeps for it (a cached session, a counter) must not break it on the first colour.
    _good(here, session, f"{opened} and used on {there.name}")
    _good(there, session, f"{opened} and used on both")


@both_ways
def test_ended_on_one_is_ended_on_both(here, there, session):
    """Logout on one colour is logout on both, also if both have seen the token before."""
    for side in (here, there):
        _good(side, session, f"a session opened on {here.name}")
    expect(_logout(there, session), 204, f"POST /auth/logout on {there.name}, opened on {here.name}")
    for side in (there, here):
        _ended(side, session, f"after logout on {there.name}")


@both_ways
def test_ended_where_it_was_opened(here, there, session):
    """The other colour has seen the token before, and must not accept it from a cache."""
    _good(there, session, f"a session opened on {here.name}")
    _logout(here, session)
    for side in (here, there):
        _ended(side, session, f"after logout on {here.name}")
    expect(_logout(there, session), 401, f"a second logout, on {there.name}")


@both_ways
def test_other_sessions_stay(here, there, session, sign_in, smoke_user):
    """A logout revokes only that session, on both colours."""
    other = sign_in(smoke_user, on=there.client)
    _logout(here, session)
    for side in (here, there):
        _good(side, other, f"after the logout of another session on {here.name}")
    _logout(there, other)

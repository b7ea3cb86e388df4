"""The lease on a store with conditional writes: one winner, a growing token, and lost answers do no harm."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from deployment.errors import LeaseHeld, LeaseLost, NotFound
from deployment.model import Holder
from deployment.ports import Clock
from infrastructure.aws.dynamodb import HASH_KEY, DynamoLease
from infrastructure.aws.session import Clients

TTL_S = 60.0


@pytest.fixture
def lease(clients: Clients, clock: Clock) -> DynamoLease:
    table = f"lease-{uuid4().hex}"
    clients.call(
        "dynamodb",
        "CreateTable",
        TableName=table,
        KeySchema=[{"AttributeName": HASH_KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": HASH_KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return DynamoLease(clients, table, TTL_S, clock)


def holder(deployment: str = "d-1", pid: int = 100) -> Holder:
    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    return Holder(deployment, "ada", "host-1", pid, 1763800000.123456, epoch, epoch, doing="provision")


def test_acquired_lease_names_its_holder(lease: DynamoLease, clock: Clock) -> None:
    mine = lease.acquire(holder())
    assert mine.token == 1
    assert mine.since == clock.now()
    assert (mine.expires_at - mine.since).total_seconds() == TTL_S
    assert lease.current() == mine
    lease.check(mine)


def test_held_lease_is_refused_with_its_holder(lease: DynamoLease) -> None:
    mine = lease.acquire(holder())
    with pytest.raises(LeaseHeld) as caught:
        lease.acquire(holder("d-2", 200))
    assert caught.value.holder == mine


def test_lost_answer_gives_the_same_token(lease: DynamoLease) -> None:
    mine = lease.acquire(holder())
    assert lease.acquire(holder()) == mine
    with pytest.raises(LeaseHeld):
        lease.acquire(replace(holder(), process_started=1.0))  # a later process that got the same pid


def test_process_that_was_moved_by_the_clock_gets_its_token_back(lease: DynamoLease) -> None:
    """The first answer was lost, and the clock was set before the second try."""
    mine = lease.acquire(replace(holder(), process_identity="boot-1 pid:[1] 100 77"))
    assert lease.acquire(replace(mine, process_started=1.0)) == replace(mine, process_started=1763800000.123456)
    with pytest.raises(LeaseHeld):
        lease.acquire(replace(mine, process_identity="boot-1 pid:[1] 100 78"))


def test_identity_of_the_process_is_stored_and_removed(lease: DynamoLease) -> None:
    mine = lease.acquire(replace(holder(), process_identity="boot-1 pid:[1] 100 77"))
    there = lease.current()
    assert there is not None
    assert there.process_identity == "boot-1 pid:[1] 100 77"
    lease.release(mine)
    assert "process_identity" not in lease._item()
    lease.acquire(holder())
    there = lease.current()
    assert there is not None
    assert there.process_identity is None


def test_identity_that_an_earlier_version_left_is_ignored(lease: DynamoLease, clock: Clock) -> None:
    """An earlier version replaces every attribute of the owner that it knows, and leaves this one."""
    lease.acquire(replace(holder(), process_identity="boot-1 pid:[1] 100 77"))
    left = lease._item()["process_identity"]
    clock.sleep(TTL_S + 1)
    lease.acquire(holder("d-2", 200))
    lease._update("SET #note = :left", "attribute_exists(#fence)", {":left": left}, {"#note": "process_identity"})
    there = lease.current()
    assert there is not None
    assert (there.deployment_id, there.process_identity) == ("d-2", None)


def test_one_of_24_wins(lease: DynamoLease) -> None:
    def race(number: int) -> Holder | LeaseHeld:
        try:
            return lease.acquire(holder(f"d-{number}", number))
        except LeaseHeld as refused:
            return refused

    with ThreadPoolExecutor(24) as pool:
        results = list(pool.map(race, range(24)))
    winners = [each for each in results if isinstance(each, Holder)]
    assert len(winners) == 1
    assert {each.holder.deployment_id for each in results if isinstance(each, LeaseHeld)} == {winners[0].deployment_id}


def test_token_grows_with_every_acquisition(lease: DynamoLease, clock: Clock) -> None:
    first = lease.acquire(holder())
    clock.sleep(TTL_S + 1)
    second = lease.acquire(holder("d-2"))
    lease.release(second)
    assert (first.token, second.token, lease.acquire(holder("d-3")).token) == (1, 2, 3)


def test_renewed_lease_lasts(lease: DynamoLease, clock: Clock) -> None:
    mine = lease.acquire(holder())
    clock.sleep(TTL_S - 1)
    mine = lease.renew(replace(mine, doing="bake"))
    clock.sleep(TTL_S - 1)
    lease.check(mine)
    there = lease.current()
    assert there is not None
    assert there.doing == "bake"
    assert there.expires_at == mine.expires_at


def test_expired_lease_is_renewed_unless_another_holder_took_it(lease: DynamoLease, clock: Clock) -> None:
    mine = lease.acquire(holder())
    clock.sleep(TTL_S * 3)
    mine = lease.renew(mine)
    lease.check(mine)
    assert (mine.expires_at - clock.now()).total_seconds() == TTL_S
    clock.sleep(TTL_S + 1)
    theirs = lease.acquire(holder("d-2"))
    with pytest.raises(LeaseLost, match="d-2"):
        lease.renew(mine)
    assert lease.current() == theirs
    lease.release(theirs)
    for former in (mine, theirs):
        with pytest.raises(LeaseLost, match="given back"):
            lease.renew(former)


def test_lease_that_its_own_process_took_again_has_another_token(lease: DynamoLease, clock: Clock) -> None:
    """After a take-over by the same process, as the recovery in the same run does, the former token renews nothing."""
    former = lease.acquire(holder())
    clock.sleep(TTL_S + 1)
    lease.acquire(holder())
    with pytest.raises(LeaseLost, match="token 2"):
        lease.renew(former)


Act = Callable[[DynamoLease, Holder], object]
ACTS: list[Act] = [
    lambda lease, mine: lease.check(mine),
    lambda lease, mine: lease.note(mine, {"intent": "promote"}),
    lambda lease, mine: lease.note(mine, {}),
]


@pytest.mark.parametrize("act", ACTS, ids=["check", "note", "empty note"])
def test_former_holder_may_not_act(lease: DynamoLease, clock: Clock, act: Act) -> None:
    mine = lease.acquire(holder())
    clock.sleep(TTL_S + 1)
    with pytest.raises(LeaseLost, match="ran out"):
        act(lease, mine)
    theirs = lease.acquire(holder("d-2"))
    with pytest.raises(LeaseLost, match="d-2"):
        act(lease, mine)
    lease.release(mine)
    assert lease.current() == theirs
    lease.release(theirs)
    with pytest.raises(LeaseLost, match="given back"):
        act(lease, theirs)


def test_dead_holder_is_replaced_only_by_its_token(lease: DynamoLease) -> None:
    dead = lease.acquire(holder())
    with pytest.raises(LeaseHeld):
        lease.acquire(holder("d-2"), take_over=dead.token + 1)
    mine = lease.acquire(holder("d-2"), take_over=dead.token)
    assert mine.token == dead.token + 1
    assert lease.acquire(holder("d-2"), take_over=dead.token) == mine
    with pytest.raises(LeaseHeld):
        lease.acquire(holder("d-3"), take_over=dead.token)


def test_notes_outlive_their_writer(lease: DynamoLease, clock: Clock) -> None:
    mine = lease.acquire(holder())
    assert lease.notes() == {}
    lease.note(mine, {"intent": "promote", "journal.head": "abc", "size": "1"})
    lease.note(mine, {"intent": None, "size": "2", "never there": None})
    lease.release(mine)
    assert lease.current() is None
    assert lease.notes() == {"journal.head": "abc", "size": "2"}
    lease.acquire(holder("d-2"))
    assert lease.notes() == {"journal.head": "abc", "size": "2"}


def test_note_before_the_first_lease(lease: DynamoLease) -> None:
    """A user attests an item before the first deployment; the first lease keeps the note and has token 1."""
    assert lease.swap_note("attestations", None, "{}")
    assert not lease.swap_note("attestations", None, "other")
    assert lease.current() is None
    assert lease.acquire(holder()).token == 1
    assert lease.notes() == {"attestations": "{}"}


def test_note_is_swapped_without_a_lease_only_if_unchanged(lease: DynamoLease) -> None:
    lease.release(lease.acquire(holder()))
    assert lease.swap_note("heads", None, "one")
    assert not lease.swap_note("heads", None, "two")
    assert not lease.swap_note("heads", "two", "three")
    assert lease.swap_note("heads", "one", "two")
    assert lease.notes()["heads"] == "two"
    assert lease.current() is None


def test_one_of_eight_note_swaps_wins(lease: DynamoLease) -> None:
    lease.release(lease.acquire(holder()))
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: lease.swap_note("heads", None, str(number)), range(8)))
    assert won.count(True) == 1
    assert lease.notes()["heads"] == str(won.index(True))


def test_lease_that_was_never_taken_has_no_holder(lease: DynamoLease) -> None:
    assert lease.current() is None
    assert lease.notes() == {}
    lease.release(replace(holder(), token=1))
    assert lease.acquire(holder()).token == 1


def test_missing_table_is_not_found(clients: Clients, clock: Clock) -> None:
    with pytest.raises(NotFound, match="ResourceNotFoundException"):
        DynamoLease(clients, "no-such-table", TTL_S, clock).acquire(holder())

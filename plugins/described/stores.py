"""Database and Redis: the release reaches them, takes a fair share of them, and leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import pytest

from plugins.described.checks import check
from plugins.described.fixtures import Player
from plugins.stages import BEFORE_LOAD, LOADED
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Service, Step
from verification.stores import connections as own
from verification.stores import queues
from verification.stores.connections import Before, Stores

Measure = Callable[..., None]
Warn = Callable[[str], None]
Limits = Mapping[str, Any]
# Others write as the smoke users at the same moment, and delete it again: the fewest rows seen within this time count.
# A user that books and cancels without a pause has a row four times out of five, and a busy machine looks three times a second.
SETTLES_WITHIN_S = 15
PAUSE_S = 0.05


def _database(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    step = service.dependencies.get("database")
    return () if step is None else (("", {"step": step}),)


def _redis(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    step = service.dependencies.get("redis")
    return () if step is None else (("", {"step": step}),)


def _round_trips(player: Player, client: httpx.Client, limits: Limits, measure: Measure, step: Step) -> None:
    count = limits.get("consecutive", 3)
    for _ in range(count):
        player.probe(step, client)
    measure("answers in a row", count, limit=count, samples=count)


@check("database", "answers in a row", _database)
@pytest.mark.samples("consecutive")
def database_answers(player: Player, client: httpx.Client, limits: Limits, measure: Measure, step: Step) -> None:
    """`consecutive` answers in a row say that the release reaches its database."""
    _round_trips(player, client, limits, measure, step)


@check("redis", "answers in a row", _redis)
@pytest.mark.samples("consecutive")
def redis_answers(player: Player, client: httpx.Client, limits: Limits, measure: Measure, step: Step) -> None:
    """`consecutive` answers in a row say that the release reaches Redis."""
    _round_trips(player, client, limits, measure, step)


@check("database", "takes its share of the connections before the load", _database, when=BEFORE_LOAD)
@check("database", "takes its share of the connections", _database, when=LOADED)
def share_of_the_connections(
    player: Player,
    client: httpx.Client,
    stores: Stores,
    before: Before | None,
    limits: Limits,
    measure: Measure,
    warn: Warn,
    step: Step,
) -> None:
    """Since before the release was started, the database has no more connections than `connection_share` allows."""
    player.probe(step, client)  # without a connection of our own, the gate still asks the release
    if stores.database is None or before is None:
        why = "no database_url_secret" if stores.database is None else "they were not counted before its start"
        measure("connections of the release", f"not asked: {why}")
        if stores.database is not None:
            warn(f"how many connections the release takes was not asked: {why}")
        return
    now, most = own.connections(stores.database)
    taken, allowed = max(0, now - before.connections), int(most * limits["connection_share"])
    measure("connections since the release was started", taken, limit=allowed)
    assert taken <= allowed, (
        f"the release took {taken} of the database's {most} connections, limit {allowed} "
        f"({limits['connection_share']:.0%}): both colours, and every other client, have to share them"
    )


@check("database", "nothing is left behind before the load", _database, when=BEFORE_LOAD)
@check("database", "nothing is left behind", _database, when=LOADED)
def nothing_is_left_behind(
    player: Player,
    client: httpx.Client,
    smoke_users: tuple[SmokeUser, ...],
    stores: Stores,
    before: Before | None,
    limits: Limits,
    measure: Measure,
    warn: Warn,
    step: Step,
) -> None:
    """The smoke users have as many rows as before: checks, load and release deleted what they wrote."""
    player.probe(step, client)
    if stores.database is None or before is None or before.rows is None or "rows" not in limits:
        why = _why_not_counted(stores, before, limits)
        measure("rows left behind", f"not asked: {why}")
        if stores.database is not None:
            warn(f"rows that are left behind were not counted: {why}; see stores.database.rows in docs/any-service.md")
        return
    ends = time.monotonic() + SETTLES_WITHIN_S
    while True:
        ((count,),) = own.rows(stores.database, limits["rows"], [user.email for user in smoke_users])
        if count <= before.rows or time.monotonic() >= ends:
            break
        time.sleep(PAUSE_S)
    measure("rows left behind", count - before.rows, limit=0)
    assert count <= before.rows, f"the smoke users have {count} rows, before the checks they had {before.rows}"


def _why_not_counted(stores: Stores, before: Before | None, limits: Limits) -> str:
    if stores.database is None:
        return "no database_url_secret"
    if "rows" not in limits:
        return "`stores.database.rows` is not set"
    if before is None:
        return "they were not counted before the release was started"
    return (
        "`stores.database.rows` could not be run on the database; give the statement that counts the smoke users' rows"
    )


@check("redis", "takes no jobs before the load", _redis, when=BEFORE_LOAD)
@check("redis", "takes no jobs", _redis, when=LOADED)
def takes_no_jobs(
    player: Player,
    client: httpx.Client,
    stores: Stores,
    before: Before | None,
    limits: Limits,
    measure: Measure,
    warn: Warn,
    step: Step,
) -> None:
    """No more connections take from queues in Redis than before the release was started, except `takers`."""
    player.probe(step, client)  # without a connection of our own, the gate still asks the release
    name = "connections that take from queues, since the release was started"
    now = None if stores.redis is None else queues.takers(stores.redis)
    if now is None or before is None or before.takers is None:
        why = "CLIENT LIST is not allowed" if now is None else "they were not counted before the release was started"
        measure(name, f"not asked: {'no redis_url_secret' if stores.redis is None else why}")
        if stores.redis is not None:
            warn(f"whether the release takes jobs in Redis was not asked: {why}")
        return
    more, allowed = max(0, now[0] - before.takers), limits.get("takers", 0)
    measure(name, more, limit=allowed)
    assert more <= allowed, (
        f"connections that take from queues in Redis: {now[0]}, before the release was started {before.takers}, limit {allowed} "
        "more: under test it takes jobs that belong to the live colour (if the live colour itself grew in that time, deploy again)\n"
        "  again: redis-cli client list | grep -E 'cmd=(b?[lr]pop|b?lmove|b?zpop|xreadgroup)'"
    )

"""After the load: how many connections the release holds, and what checks and load have left behind."""

import time

from verification.stores import connections as own

# Others write as the smoke users at the same moment, and delete it again: what counts is the fewest rows that are seen within this.
# Somebody who books and cancels without a pause has a row four times out of five, and a busy machine looks three times a second.
SETTLES_WITHIN_S = 15
PAUSE_S = 0.05


def _asks_the_release(client):
    """Where there is no connection of our own the gate still has to ask somebody."""
    assert client.get("/health/database").status_code == 200


def test_its_share_of_the_connections(loaded, client, stores, before, limits, measure):
    """Since before the release was brought up, the database has no more connections than `connection_share` allows."""
    _asks_the_release(client)
    if stores.database is None or before is None:
        measure("connections of the release", "not asked: no database_url_secret")
        return
    now, most = own.connections(stores.database)
    taken, allowed = max(0, now - before.connections), int(most * limits["connection_share"])
    measure("connections since the release was brought up", taken, limit=allowed)
    assert taken <= allowed, (
        f"the release took {taken} of the database's {most} connections, limit {allowed} "
        f"({limits['connection_share']:.0%}): two colours, and whatever else there is, have to share them"
    )


def test_nothing_is_left_behind(loaded, client, smoke_users, stores, before, limits, measure, warn):
    """The smoke users have as many rows as before: what was deleted is deleted, by checks, load and release alike."""
    _asks_the_release(client)
    if stores.database is None or before is None or before.rows is None:
        why = "no database_url_secret" if stores.database is None else "`rows` does not fit this service's tables"
        measure("rows left behind", f"not asked: {why}")
        if stores.database is not None and before is not None and "rows" in limits:
            warn(
                "the setting stores.database.rows could not be run on the database, so nobody looked for what is left behind; "
                "give the statement that counts the smoke users' rows, see docs/settings.md"
            )
        return
    ends = time.monotonic() + SETTLES_WITHIN_S
    while True:
        ((count,),) = own.rows(stores.database, limits["rows"], [user.email for user in smoke_users])
        if count <= before.rows or time.monotonic() >= ends:
            break
        time.sleep(PAUSE_S)
    measure("rows left behind", count - before.rows, limit=0)
    assert count <= before.rows, f"the smoke users have {count} rows, before the checks they had {before.rows}"

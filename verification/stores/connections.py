"""Direct connections to the service's own database and Redis: a health endpoint's answer does not prove what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

TIMEOUT_S = 5
# No SQL of the settings may change data or run for long. A transaction sets both, because poolers refuse or ignore these settings
# in the start-up parameter `options` (https://www.pgbouncer.org/config.html, ignore_startup_parameters), and settings of a
# session would stay on the server's connection, which a pooler gives to other clients.
_READ_ONLY = f"BEGIN READ ONLY; SET LOCAL statement_timeout = {TIMEOUT_S * 1000}"
_CONNECTIONS = "SELECT numbackends FROM pg_stat_database WHERE datname = current_database()"


class StoreFailed(AssertionError):
    """A store could not be queried. The message names the store, and never its address or password."""


class OtherSchema(StoreFailed):
    """The statement does not fit the database (SQLSTATE class 42): the settings name another service's tables."""


@dataclass(frozen=True)
class Stores:
    """URLs of the stores, with their passwords, for direct connections; None if the settings name no such store."""

    database: str | None = field(default=None, repr=False)
    redis: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the values that no output may show: the URLs, and the passwords in them."""
        urls = [url for url in (self.database, self.redis) if url]
        return (*urls, *filter(None, map(_password, urls)))


@dataclass(frozen=True)
class Before:
    """The stores' contents before the run changed anything: rows of the smoke users (None: not counted), connections to the database.

    ``connections`` is 0 if the settings name no database. ``takers``: connections that took from queues in Redis; None if
    Redis could not be asked.
    """

    rows: int | None
    connections: int
    takers: int | None = None


def _password(url: str) -> str | None:
    try:
        found = urlsplit(url).password
    except ValueError:
        return None
    return None if found is None else unquote(found)


def rows(url: str, statement: str, *values: Any) -> Sequence[tuple[Any, ...]]:
    """Return the rows that a statement finds; it runs read-only. Raises OtherSchema or StoreFailed."""
    import psycopg  # imported here: only a deployment that has such a connection needs it

    try:
        with psycopg.connect(url, connect_timeout=TIMEOUT_S, autocommit=True) as connection:
            connection.execute(_READ_ONLY)
            # A pipeline always uses the extended protocol, which takes one statement: none can end the transaction and go on.
            # It names no prepared statement, which PgBouncer could give to another client in transaction mode. Results stay
            # texts, because psycopg reads the binary format of fewer types (an enum would be bytes).
            with connection.pipeline():
                found = connection.execute(statement.encode(), values, prepare=False)
            return found.fetchall()
    except psycopg.Error as error:
        # "from None": libpq's message names user and host, and quotes a URL that it cannot parse.
        reason = error.diag.message_primary or type(error).__name__
        kind = OtherSchema if (error.sqlstate or "").startswith("42") else StoreFailed
        raise kind(f"the database could not be asked on a connection of our own: {reason}") from None


def connections(url: str) -> tuple[int, int]:
    """Return the number of connections to this database (this one included), and the server's limit for all databases."""
    ((count,),), ((most,),) = rows(url, _CONNECTIONS), rows(url, "SHOW max_connections")
    return int(count), int(most)


def before(url: str, statement: str | None, emails: Sequence[str]) -> Before:
    """Count the connections, and the rows of the users with these addresses by ``statement`` if there is one. Raises StoreFailed."""
    count = None
    if statement is not None:
        with suppress(OtherSchema):
            ((count,),) = rows(url, statement, list(emails))
    return Before(None if count is None else int(count), connections(url)[0])


def seconds_left(url: str, key: str) -> int | None:
    """Return how many seconds Redis still holds the key (-1: it never expires); None if there is no such key. Raises StoreFailed."""
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as client:
            left = int(client.ttl(key))
    except (redis.RedisError, ValueError) as error:
        raise StoreFailed(f"Redis could not be asked on a connection of our own: {type(error).__name__}") from None
    return None if left == -2 else left

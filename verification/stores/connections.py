"""The service's own database and Redis, asked directly: what a health endpoint says is one thing, what is stored another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

TIMEOUT_S = 5
# Whatever SQL the settings hold, nothing is ever changed by it, and nothing takes long.
_READ_ONLY = f"-c default_transaction_read_only=on -c statement_timeout={TIMEOUT_S * 1000}"
_CONNECTIONS = "SELECT numbackends FROM pg_stat_database WHERE datname = current_database()"


class StoreFailed(AssertionError):
    """A store could not be asked; the message says which, and never where it is or with which password."""


class OtherSchema(StoreFailed):
    """The statement does not fit what the database holds (SQLSTATE class 42): the settings speak of another service's tables."""


@dataclass(frozen=True)
class Stores:
    """Where the stores can be asked directly, as URLs with their passwords; None where the settings name none."""

    database: str | None = field(default=None, repr=False)
    redis: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no output may show: the URLs, and the passwords in them by themselves."""
        urls = [url for url in (self.database, self.redis) if url]
        return (*urls, *filter(None, map(_password, urls)))


@dataclass(frozen=True)
class Before:
    """What the stores held before anything was done: rows of the smoke users (None: not counted), connections to the database.

    ``takers``: connections that took from queues in Redis; None where nobody could be asked.
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
    """The rows that a statement finds; it is run read-only. Raises OtherSchema or StoreFailed."""
    import psycopg  # here: only a deployment that has such a connection pays for it

    try:
        with psycopg.connect(url, connect_timeout=TIMEOUT_S, options=_READ_ONLY, autocommit=True) as connection:
            return connection.execute(statement.encode(), values).fetchall()
    except psycopg.Error as error:
        # "from None": libpq's words name user and host, and a URL that it cannot parse it quotes.
        told = error.diag.message_primary or type(error).__name__
        kind = OtherSchema if (error.sqlstate or "").startswith("42") else StoreFailed
        raise kind(f"the database could not be asked on a connection of our own: {told}") from None


def connections(url: str) -> tuple[int, int]:
    """How many connections there are to this database (ours among them), and how many the server allows in all."""
    ((count,),), ((most,),) = rows(url, _CONNECTIONS), rows(url, "SHOW max_connections")
    return int(count), int(most)


def before(url: str, statement: str, emails: Sequence[str]) -> Before:
    """``statement`` counts the rows of the users with these addresses. Raises StoreFailed."""
    try:
        ((count,),) = rows(url, statement, list(emails))
    except OtherSchema:
        count = None
    return Before(None if count is None else int(count), connections(url)[0])


def seconds_left(url: str, key: str) -> int | None:
    """How long Redis will still hold the key (-1: for ever); None where it does not. Raises StoreFailed."""
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as client:
            left = int(client.ttl(key))
    except (redis.RedisError, ValueError) as error:
        raise StoreFailed(f"Redis could not be asked on a connection of our own: {type(error).__name__}") from None
    return None if left == -2 else left

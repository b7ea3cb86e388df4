"""PostgreSQL: users and consults. Columns are named, never `*`: a later release may add some while this one serves."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

CONNECTIONS = 5
WAIT_S = 1.0  # for a free connection
STATEMENT_TIMEOUT_MS = 5000


@dataclass(frozen=True)
class User:
    """A user who may sign in."""

    id: uuid.UUID
    password_hash: str


@dataclass(frozen=True)
class NewConsult:
    """A consult to be booked; `starts_at` is in UTC."""

    patient: str
    reason: str
    starts_at: datetime
    notes: str | None


@dataclass(frozen=True)
class Consult:
    """A consult as it is stored; times are in UTC."""

    id: uuid.UUID
    patient: str
    reason: str
    starts_at: datetime
    status: str
    notes: str | None  # null, too, where 1.0.0 booked it
    created_at: datetime


@dataclass(frozen=True)
class Position:
    """A place in the list, newest first: just after this consult."""

    created_at: datetime
    id: uuid.UUID


_FIRST_PAGE = """
    SELECT id, patient, reason, starts_at, status, notes, created_at FROM consults
    WHERE user_id = %s
    ORDER BY created_at DESC, id DESC LIMIT %s"""
_NEXT_PAGE = """
    SELECT id, patient, reason, starts_at, status, notes, created_at FROM consults
    WHERE user_id = %s AND (created_at, id) < (%s, %s)
    ORDER BY created_at DESC, id DESC LIMIT %s"""
_READ = """
    SELECT id, patient, reason, starts_at, status, notes, created_at FROM consults
    WHERE user_id = %s AND id = %s"""
_CREATE = """
    INSERT INTO consults (user_id, patient, reason, starts_at, notes) VALUES (%s, %s, %s, %s, %s)
    RETURNING id, patient, reason, starts_at, status, notes, created_at"""
_DELETE = "DELETE FROM consults WHERE user_id = %s AND id = %s"


class Store:
    """A small pool, filled on demand: the process starts, and heals, without the database's help.

    Every statement commits by itself, before its answer is returned. Methods raise psycopg.OperationalError.
    """

    def __init__(self, database_url: str) -> None:
        self._pool = AsyncConnectionPool(
            database_url,
            kwargs={"autocommit": True, "connect_timeout": 2},
            min_size=1,
            max_size=CONNECTIONS,
            open=False,
            configure=_configure,
            check=AsyncConnectionPool.check_connection,  # a restarted server costs nobody a failed request
            timeout=WAIT_S,
            reconnect_timeout=1.0,  # give up early: the next request tries again at once
            name="telehealth",
        )

    async def open(self) -> None:
        """Begin to connect, and do not wait for it."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def ping(self, timeout_s: float) -> None:
        """One round trip, made now."""
        async with self._pool.connection(timeout=timeout_s) as connection:
            await connection.execute("SELECT 1")

    async def user(self, email: str) -> User | None:
        """The user with this address, in lower case."""
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(User)) as cursor:
            await cursor.execute("SELECT id, password_hash FROM users WHERE email = %s", (email,))
            return await cursor.fetchone()

    async def page(self, user: uuid.UUID, limit: int, after: Position | None) -> Sequence[Consult]:
        """At most `limit` of the user's consults, newest first, from the start or after a position."""
        if after is None:
            return await self._consults(_FIRST_PAGE, user, limit)
        return await self._consults(_NEXT_PAGE, user, after.created_at, after.id, limit)

    async def read(self, user: uuid.UUID, consult: uuid.UUID) -> Consult | None:
        """The consult, where it is this user's."""
        found = await self._consults(_READ, user, consult)
        return found[0] if found else None

    async def create(self, user: uuid.UUID, new: NewConsult) -> Consult | None:
        """Book it; None where the user is gone."""
        try:
            (created,) = await self._consults(_CREATE, user, new.patient, new.reason, new.starts_at, new.notes)
        except psycopg.errors.ForeignKeyViolation:
            return None
        return created

    async def delete(self, user: uuid.UUID, consult: uuid.UUID) -> bool:
        """Whether there was one of this user's to delete."""
        async with self._pool.connection() as connection:
            return (await connection.execute(_DELETE, (user, consult))).rowcount == 1

    async def _consults(self, statement: LiteralString, *values: object) -> Sequence[Consult]:
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Consult)) as cursor:
            await cursor.execute(statement, values)
            return await cursor.fetchall()


async def _configure(connection: AsyncConnection[Any]) -> None:
    # UTC: times near the years 1 and 9999 could not be read back in another zone.
    await connection.execute(
        "SELECT set_config('TimeZone', 'UTC', false), set_config('statement_timeout', %s, false)",
        (str(STATEMENT_TIMEOUT_MS),),
    )

"""The checks' own connection to the database, against a real PostgreSQL: read-only, limited in time, and also through a pooler."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import psycopg
import pytest

from tests.service.support import Postgres
from verification.stores import connections
from verification.stores.connections import StoreFailed, rows

REFUSED = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0"


class Pooler:
    """Forwards connections to PostgreSQL, and refuses the start-up parameter ``options`` as PgBouncer does by default."""

    def __init__(self, port: int) -> None:
        self._server = port
        self.parameters: list[bytes] = []
        self.port = 0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packet = await self._packet(reader)
        while packet[4:8] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):  # encryption: none here
            writer.write(b"N")
            packet = await self._packet(reader)
        self.parameters += packet[8:].split(b"\0")[::2]
        if b"options" in packet[8:].split(b"\0")[::2]:
            writer.write(b"E" + struct.pack("!i", len(REFUSED) + 4) + REFUSED)
            writer.close()
            return
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server)
        to_server.write(packet)
        await asyncio.gather(self._forward(reader, to_server), self._forward(from_server, writer))

    @staticmethod
    async def _packet(reader: asyncio.StreamReader) -> bytes:
        size = await reader.readexactly(4)
        return size + await reader.readexactly(struct.unpack("!i", size)[0] - 4)

    @staticmethod
    async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65536):
            writer.write(some)
        writer.close()


@contextmanager
def running(pooler: Pooler) -> Iterator[Pooler]:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(pooler.connect, "127.0.0.1", 0))
    pooler.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield pooler
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(_ended(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _ended() -> None:
    """Wait until every connection was forwarded to its end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture(scope="module")
def database(cluster: Postgres) -> str:
    url = cluster.database("pooled")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (email text)")
        connection.execute("INSERT INTO kept VALUES ('a@x.example'), ('b@x.example')")
    return url


@pytest.mark.parametrize("way", ["direct", "pooler"])
def test_rows_and_connections_are_read(cluster: Postgres, database: str, way: str) -> None:
    count = "SELECT count(*) FROM kept WHERE email = ANY(%s)"
    with running(Pooler(cluster.port)) as pooler:
        url = database if way == "direct" else database.replace(str(cluster.port), str(pooler.port))
        assert rows(url, count, ["a@x.example", "c@x.example"]) == [(1,)]
        seen = connections.before(url, count, ["a@x.example", "b@x.example"])
        assert (seen.rows, seen.connections > 0) == (2, True)
        assert connections.connections(url)[1] >= 10
    assert b"options" not in pooler.parameters
    assert (b"user" in pooler.parameters) == (way == "pooler")


@pytest.mark.parametrize("way", ["direct", "pooler"])
def test_values_have_the_types_that_checks_compare(cluster: Postgres, way: str) -> None:
    """In PostgreSQL's binary format, which psycopg cannot read for each type, these were bytes, or the statement failed."""
    url = cluster.database(f"typed_{way}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TYPE state AS ENUM ('booked', 'gone')")
        connection.execute("CREATE DOMAIN name AS state")
        connection.execute(
            "CREATE TABLE typed (id int, state state, name name, paid money, bits bit(3), words tsvector)"
        )
        connection.execute("INSERT INTO typed VALUES (1, 'booked', 'gone', 3, B'101', 'ann')")
    with running(Pooler(cluster.port)) as pooler:
        asked = url if way == "direct" else url.replace(str(cluster.port), str(pooler.port))
        found = rows(
            asked, "SELECT state, name, paid::text, bits, words FROM typed WHERE id = %s AND state = %s", 1, "booked"
        )
        assert found == [("booked", "gone", "$3.00", "101", "'ann'")]
        assert rows(asked, "SELECT id, state, 1.5, now() > '2000-01-01', ARRAY[state] FROM typed") == [
            (1, "booked", Decimal("1.5"), True, "{booked}")
        ]
        assert rows(asked, "SELECT paid, 'postgres=r/postgres'::aclitem FROM typed") == [
            ("$3.00", "postgres=r/postgres")
        ]


@pytest.mark.parametrize("statement", ["COPY kept TO STDOUT", "SET lock_timeout = 1", ""])
def test_statement_without_rows_fails(database: str, statement: str) -> None:
    with pytest.raises(StoreFailed, match="could not be asked"):
        rows(database, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM kept",
        "WITH gone AS (DELETE FROM kept RETURNING *) SELECT count(*) FROM gone",
        "SELECT 1; DELETE FROM kept",
        "COMMIT; DELETE FROM kept",
        "ROLLBACK; BEGIN READ WRITE; DELETE FROM kept; COMMIT",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; DELETE FROM kept",
    ],
)
@pytest.mark.parametrize("options", ["", "?options=-c%20default_transaction_read_only%3Doff"])
def test_no_statement_changes_data(database: str, statement: str, options: str) -> None:
    """The statement runs alone in a read-only transaction, whatever the URL sets."""
    with pytest.raises(StoreFailed, match=r"read-only|multiple commands"):
        rows(f"{database}{options}", statement)
    assert rows(database, "SELECT count(*) FROM kept") == [(2,)]


def test_settings_last_no_longer_than_the_transaction(database: str) -> None:
    """A pooler gives the server's connection to another client afterwards, and does not reset it in transaction mode."""
    assert rows(database, "SELECT current_setting('statement_timeout'), current_setting('transaction_read_only')") == [
        ("5s", "on")
    ]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(connections._READ_ONLY)
        connection.execute("COMMIT")
        after = connection.execute(
            "SELECT current_setting('statement_timeout'), current_setting('transaction_read_only')"
        ).fetchone()
    assert after == ("0", "off")


def test_long_statement_is_ended_by_the_server(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_READ_ONLY", connections._READ_ONLY.replace("5000", "50"))
    with pytest.raises(StoreFailed, match="statement timeout"):
        rows(database, "SELECT pg_sleep(30)")

"""Schema migrations: numbered SQL files, applied once each, in one transaction, under one lock.

Two colours share one database, so a migration only expands: the release before it keeps serving while it runs and
after it. What a release no longer needs is dropped by a later one, once nothing that runs could miss it.
"""

import hashlib
import logging
from pathlib import Path
from typing import Any

from psycopg import Connection

LOCK = 0x7E1E_4EA1  # any number that no other user of this database locks
LOCK_TIMEOUT = "10s"  # for the other colour's release to end, or for a table that is in use

_log = logging.getLogger("telehealth.migrations")


class MigrationError(Exception):
    """A migration that was applied before has another content now."""


def migrate(connection: Connection[Any], folder: Path) -> None:
    """Apply the folder's files that were not yet. Raises MigrationError, psycopg.Error; then nothing was changed."""
    with connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        applied = _applied(connection)
        for file in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql")):
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            if file.stem not in applied:
                _apply(connection, file, digest)
            elif applied[file.stem] != digest:
                raise MigrationError(f"migration {file.stem} was changed after it had been applied")
        # Those that are applied and not in the folder are a newer release's: expand-only, so they do no harm.


def _applied(connection: Connection[Any]) -> dict[str, str]:
    if connection.execute("SELECT to_regclass('schema_migrations')").fetchone() == (None,):
        connection.execute(
            "CREATE TABLE schema_migrations (version text PRIMARY KEY, sha256 text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
    return dict(connection.execute("SELECT version, sha256 FROM schema_migrations").fetchall())


def _apply(connection: Connection[Any], file: Path, digest: str) -> None:
    connection.execute(file.read_bytes())
    connection.execute("INSERT INTO schema_migrations (version, sha256) VALUES (%s, %s)", (file.stem, digest))
    _log.info("migrated", extra={"fields": {"migration": file.stem}})

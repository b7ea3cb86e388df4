"""The smoke users that SEED_USERS names, for environments that have them."""

import logging
from collections.abc import Iterable
from typing import Any

from psycopg import Connection

from app.config import SeedUser
from app.migrations import LOCK
from app.passwords import hash_password, verify_password

_log = logging.getLogger("telehealth.seed")

_UPSERT = (
    "INSERT INTO users (email, password_hash) VALUES (%s, %s)"
    " ON CONFLICT (email) DO UPDATE SET password_hash = excluded.password_hash"
)


def seed_users(connection: Connection[Any], users: Iterable[SeedUser]) -> None:
    """Make each user, or give it the password of the seed where the stored hash does not verify it. Raises psycopg.Error."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        for user in users:
            email = user.email.lower()
            row = connection.execute("SELECT password_hash FROM users WHERE email = %s", (email,)).fetchone()
            if row is None or not verify_password(row[0], user.password):
                connection.execute(_UPSERT, (email, hash_password(user.password)))
                _log.info("seeded a smoke user")

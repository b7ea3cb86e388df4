"""`release:` brings the database to this release's schema and seeds the smoke users; may run any number of times."""

import os
import sys
from pathlib import Path

import psycopg
from app.config import ConfigError, ReleaseSettings
from app.logs import configure_logging
from app.migrations import MigrationError, migrate
from app.seed import seed_users

MIGRATIONS = Path(__file__).parent / "migrations"
CONNECT_TIMEOUT_S = 10


def main() -> int:
    """Migrate, then seed; 0 when done, 1 where the database refuses, 2 where the configuration is wrong."""
    configure_logging()
    try:
        settings = ReleaseSettings.from_environment(os.environ)
        with psycopg.connect(settings.database_url, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True) as connection:
            migrate(connection, MIGRATIONS)
            seed_users(connection, settings.seed_users)
    except ConfigError as error:
        print(f"telehealth-api: {error}", file=sys.stderr)
        return 2
    except (MigrationError, psycopg.Error) as error:
        # The server's own words only: a statement's values (password hashes) are in `detail`, never printed.
        primary = error.diag.message_primary if isinstance(error, psycopg.Error) else str(error)
        print(f"telehealth-api: release failed: {primary or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

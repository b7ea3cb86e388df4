"""The configuration, read from the environment once, at start; what is wrong is said in one line and without its value."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import conninfo_to_dict


class ConfigError(Exception):
    """A variable is missing or malformed; the text names it and never holds its value."""


@dataclass(frozen=True)
class SeedUser:
    """A smoke user to be made by `release:`."""

    email: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class ReleaseSettings:
    """What `release:` needs."""

    database_url: str = field(repr=False)
    seed_users: tuple[SeedUser, ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ReleaseSettings":
        """Read DATABASE_URL and SEED_USERS (optional). Raises ConfigError."""
        return cls(database_url=_database_url(environment), seed_users=_seed_users(environment))


@dataclass(frozen=True)
class Settings:
    """What `web:` needs. `rate_limit` is in requests a minute, 0 for none."""

    port: int
    environment: str
    database_url: str = field(repr=False)
    redis_host: str
    redis_port: int
    jwt_secret: str = field(repr=False)
    cors_origins: tuple[str, ...]
    rate_limit: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the variables; DATABASE_URL, JWT_SECRET and REDIS_HOST are required. Raises ConfigError."""
        origins = environment.get("CORS_ORIGINS", "").split(",")
        return cls(
            port=_integer(environment, "PORT", default=3000, lowest=1, highest=65535),
            environment=environment.get("NODE_ENV", "production"),
            database_url=_database_url(environment),
            redis_host=_required(environment, "REDIS_HOST"),
            redis_port=_integer(environment, "REDIS_PORT", default=6379, lowest=1, highest=65535),
            jwt_secret=_required(environment, "JWT_SECRET"),
            cors_origins=tuple(origin.strip() for origin in origins if origin.strip()),
            rate_limit=_integer(environment, "RATE_LIMIT_MAX_REQUESTS", default=0, lowest=0, highest=10**9),
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise ConfigError(f"the environment variable {name} is required and is not set")
    return value


def _integer(environment: Mapping[str, str], name: str, *, default: int, lowest: int, highest: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and lowest <= int(text[:10]) <= highest and len(text) <= 10):
        raise ConfigError(f"the environment variable {name} must be an integer from {lowest} to {highest}")
    return int(text)


def _database_url(environment: Mapping[str, str]) -> str:
    url = _required(environment, "DATABASE_URL")
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # `from None`: the parser's own message quotes the URL, and a URL holds a password.
        raise ConfigError("the environment variable DATABASE_URL is not a PostgreSQL connection string") from None
    return url


def _seed_users(environment: Mapping[str, str]) -> tuple[SeedUser, ...]:
    text = environment.get("SEED_USERS", "").strip()
    if not text:
        return ()
    try:
        return tuple(_seed_user(entry) for entry in json.loads(text))
    except (ValueError, TypeError, KeyError):
        message = 'the environment variable SEED_USERS must be a JSON list of {"email": "…", "password": "…"}'
        raise ConfigError(message) from None  # the cause would quote a password


def _seed_user(entry: Mapping[str, object]) -> SeedUser:
    email, password = entry["email"], entry["password"]
    if not (isinstance(email, str) and isinstance(password, str) and "@" in email and password):
        raise ValueError("not an email and a password")
    return SeedUser(email, password)

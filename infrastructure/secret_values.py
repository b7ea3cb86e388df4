"""The values of an environment's secrets: each command reads only those that it needs, because its role may read no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from deployment.errors import CloudError, SettingsError, first_line
from deployment.model import Reads
from deployment.ports import Secrets
from infrastructure.estate import Estate
from verification.journeys.accounts import SmokeUser, parse_smoke_users
from verification.journeys.model import Service
from verification.stores.connections import Stores


@dataclass(frozen=True)
class SecretValues:
    """The values that were read; ``unread`` says why the smoke users were not, None if nothing failed."""

    smoke_users: tuple[SmokeUser, ...] = ()
    token_secret: str | None = field(default=None, repr=False)
    stores: Stores = field(default_factory=Stores, repr=False)
    texts: tuple[str, ...] = field(default=(), repr=False)
    """Every text that no output may show."""
    unread: str | None = None


def read(vault: Secrets, estate: Estate, service: Service, reads: Reads) -> SecretValues:
    """Read the secrets that the command needs. Raises CloudError; SettingsError for a secret of the wrong form."""
    secret = ""
    users: tuple[SmokeUser, ...] = ()
    unread: str | None = None
    if reads & (Reads.USERS | Reads.USERS_IF_READABLE):
        try:
            secret, users = _users(vault, estate.smoke_users_secret)
        except (CloudError, SettingsError) as error:
            if Reads.USERS in reads:
                raise
            unread = f"the smoke users could not be read ({first_line(error)}): what needs a session is not verified"
    token_secret, stores = None, Stores()
    if Reads.CHECKED in reads:
        token_secret = vault.read(estate.token_secret) if estate.token_secret is not None else None
        stores = _stores(vault, estate, service)
    passwords: Sequence[str] = [user.password for user in users]
    texts = (*filter(None, (secret, *passwords, token_secret)), *stores.secrets)
    return SecretValues(users, token_secret, stores, texts, unread)


def _users(vault: Secrets, name: str) -> tuple[str, tuple[SmokeUser, ...]]:
    """Return the secret's text and its users."""
    secret = vault.read(name)
    try:
        return secret, parse_smoke_users(secret)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from None


def _stores(vault: Secrets, estate: Estate, service: Service) -> Stores:
    """Return the stores that the service declares and the environment names. Raises SettingsError if they contradict."""
    for name, secret in (("database", estate.database_url_secret), ("redis", estate.redis_url_secret)):
        if secret and service.dependencies.get(name) is None:
            raise SettingsError(
                f"suites/service.yaml declares no {name}, but this environment names {name}_url_secret",
                hint=f"Describe dependencies.{name}, or delete {name}_url_secret.",
            )
    database, redis = (service.dependencies.get(name) is not None for name in ("database", "redis"))
    return Stores(
        vault.read(estate.database_url_secret) if database and estate.database_url_secret else None,
        (vault.read(estate.redis_url_secret) if estate.redis_url_secret else estate.redis_url) if redis else None,
    )

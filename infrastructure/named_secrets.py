"""Reads the secrets that checks and the description use as ``${secret.NAME}``, from the places in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployment.errors import CloudError, NotFound, SettingsError, first_line
from deployment.model import Reads
from deployment.ports import Secrets
from deployment.settings import Settings
from verification.journeys.placeholders import SHORTEST_SECRET, provide_secrets


@dataclass(frozen=True)
class NamedSecrets:
    """The values for redaction. ``unread``: why a secret could not be read, by its placeholder ``secret.NAME``."""

    texts: tuple[str, ...] = field(default=(), repr=False)
    unread: Mapping[str, str] = field(default_factory=dict)


def provide(vault: Secrets, settings: Settings, own: Mapping[str, str], reads: Reads = Reads.ALL) -> NamedSecrets:
    """Read the secrets that the environment names, and use them from now on in this process.

    ``own`` maps the embedded environment's own names of secrets to their ARNs. Raises SettingsError, without any of the
    values, if a secret does not exist or is too short to be redacted; CloudError. The way back raises neither: it must
    not depend on a secret.
    """
    if reads is Reads.NOTHING:
        return NamedSecrets()
    values, unread = {}, {}
    for name, place in settings.named_secrets.items():
        try:
            values[name] = _value(vault, f"environments.{settings.environment}.secrets.{name}", place, own)
        except (CloudError, SettingsError) as error:
            if Reads.USERS_IF_READABLE not in reads:
                raise
            unread[f"secret.{name}"] = first_line(error)
    provide_secrets(values)
    return NamedSecrets(tuple(values.values()), unread)


def _value(vault: Secrets, key: str, place: str, own: Mapping[str, str]) -> str:
    try:
        value = vault.read(own.get(place, place))
    except NotFound:
        known = f" Its own secrets are {', '.join(sorted(own))}." if own else ""
        raise SettingsError(
            f"{key}: there is no secret {place}", hint=f"Name a secret in Secrets Manager, by name or ARN.{known}"
        ) from None
    if len(value) < SHORTEST_SECRET:
        raise SettingsError(
            f"{key}: the value of {place} is too short to be redacted",
            hint=f"A secret has at least {SHORTEST_SECRET} characters.",
        )
    return value

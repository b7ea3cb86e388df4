"""The secrets that checks and the description use as ``${secret.NAME}``: the settings say where they are kept."""

from __future__ import annotations

from collections.abc import Mapping

from deployment.errors import NotFound, SettingsError
from deployment.ports import Secrets
from deployment.settings import Settings
from verification.journeys.placeholders import SHORTEST_SECRET, provide_secrets


def provide(vault: Secrets, settings: Settings, own: Mapping[str, str]) -> tuple[str, ...]:
    """Read the secrets that the environment names, use them from now on in this process, and return their values for redaction.

    ``own`` maps the embedded environment's own names of secrets to their ARNs. Raises SettingsError, without any of the
    values, if a secret does not exist or is too short to be redacted; CloudError.
    """
    values = {}
    for name, place in settings.named_secrets.items():
        key = f"environments.{settings.environment}.secrets.{name}"
        try:
            values[name] = vault.read(own.get(place, place))
        except NotFound:
            known = f" Its own secrets are {', '.join(sorted(own))}." if own else ""
            raise SettingsError(
                f"{key}: there is no secret {place}", hint=f"Name a secret in Secrets Manager, by name or ARN.{known}"
            ) from None
        if len(values[name]) < SHORTEST_SECRET:
            raise SettingsError(
                f"{key}: the value of {place} is too short to be redacted",
                hint=f"A secret has at least {SHORTEST_SECRET} characters.",
            )
    provide_secrets(values)
    return tuple(values.values())

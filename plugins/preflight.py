"""What a run would stumble over later is looked at before anything is touched."""

from __future__ import annotations

from dataclasses import replace

from deployment import strategy
from deployment.errors import SettingsError
from deployment.settings import Settings


def with_strategy(settings: Settings, given: str | None) -> Settings:
    """The settings with the strategy that ``--strategy`` gives. Raises SettingsError where it, or the settings' own, is none."""
    text = settings.limits.strategy if given is None else given
    strategy.parse(text)
    return replace(settings, limits=replace(settings.limits, strategy=text))


def contract_is_readable(settings: Settings) -> None:
    """Raises SettingsError where the wire contract cannot be read, or is no OpenAPI document."""
    from verification.contract import Contract  # its validators take a moment to load: not for a worker

    try:
        Contract.load(settings.contract)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except ValueError as error:
        problem = " ".join(str(error).split())
    else:
        return
    raise SettingsError(
        f"the contract {settings.contract} cannot be used: {problem}",
        hint="`contract` of deployment.toml names the service's OpenAPI document.",
    )

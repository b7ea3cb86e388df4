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


def load_is_possible(settings: Settings, workers: int | None) -> None:
    """Raises SettingsError where the load's workers, by ``--load-workers`` or by the settings, cannot make it."""
    gate = settings.gates.get("load", {})
    here, users = int(gate.get("workers", 1)) if workers is None else workers, int(gate.get("users", 10))
    elsewhere = int(gate.get("workers_elsewhere", 0))
    if here + elsewhere <= users:
        return
    given = f"--load-workers={here}" if workers is not None else f"gates.load.workers = {here}"
    more = f" and gates.load.workers_elsewhere = {elsewhere}" if elsewhere else ""
    raise SettingsError(
        f"{given}{more} are more than the load has users: gates.load.users = {users}",
        hint="Each worker plays a user at least; ask for fewer workers, or for more users in deployment.toml.",
    )


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

"""The description of the service that a project's settings belong to: ``suites/service.yaml`` beside ``deployment.toml``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from deployment.errors import SettingsError
from deployment.settings import Settings
from verification.contract.openapi import Contract
from verification.declarative.service import InvalidService, load_service
from verification.journeys.model import Service
from verification.redaction.redactor import hide_fields

_HINT = "docs/any-service.md describes every key of suites/service.yaml."


def service_of(settings: Settings) -> Service:
    """Return the description of the service. Raises SettingsError with every mistake in it."""
    return _load(settings.service_file)


def contract_of(settings: Settings) -> Contract | None:
    """Return the service's contract, read once; None if the description names none. Raises SettingsError."""
    name = service_of(settings).contract
    return None if name is None else _read(settings.service_file.parent / name)


def has_environment(settings: Settings) -> bool:
    """Return whether the folder of the embedded environment holds one, running or not; False for an environment on AWS."""
    from infrastructure.embedded.layout import Layout

    return settings.provider == "embedded" and Layout(settings.project.embedded_state.resolve()).environment.exists()


@lru_cache(maxsize=4)
def _read(path: Path) -> Contract:
    return Contract.load(path)  # the description was accepted, so this document is too


@lru_cache(maxsize=4)
def _load(path: Path) -> Service:
    shown = f"{path.parent.name}/{path.name}"
    try:
        service = load_service(path, shown)
    except InvalidService as error:
        raise SettingsError(str(error), hint=_HINT) from None
    except OSError as error:
        raise SettingsError(f"{shown} cannot be read: {error.strerror or type(error).__name__}", hint=_HINT) from None
    hide_fields(service.private_fields)
    return service

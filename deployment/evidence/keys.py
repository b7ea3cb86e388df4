"""The sources of the evidence's keys: a secret, or a file. A key is read when it is needed, and never kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deployment.errors import NoKey, SettingsError
from deployment.evidence.attestation import Checker, Signer
from deployment.ports import Secrets


def no_key() -> Signer:
    """Raise NoKey: no signing key is configured."""
    raise NoKey(
        "no signing key is configured",
        hint="Configure signing_key_secret or signing_key_file; see docs/settings.md.",
    )


def no_checker() -> Checker:
    """Raise NoKey: no public key is configured."""
    raise NoKey(
        "no public key is configured to check signatures with",
        hint="Configure signing_public_key_file; see docs/settings.md.",
    )


def signer(secrets: Secrets, secret: str | None, file: Path | None) -> Callable[[], Signer]:
    """Return a function that reads the private key; it raises NoKey or CloudError.

    Raises SettingsError if two keys are configured.
    """
    if secret is not None and file is not None:
        raise SettingsError(
            "signing_key_secret and signing_key_file are both set, but a run is signed with one key: remove one of them"
        )
    if secret is not None:
        return lambda: Signer(secrets.read(secret))
    if file is not None:
        return lambda: Signer(_read(file))
    return no_key


def checker(signing: Callable[[], Signer], public_file: Path | None) -> Callable[[], Checker]:
    """Return a function that reads the public key: from ``public_file`` if given, else derived from the private key."""
    if public_file is not None:
        return lambda: Checker(_read(public_file))
    return no_checker if signing is no_key else lambda: signing().checker


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        problem = error.strerror
    except UnicodeDecodeError:
        problem = "it is not text"
    raise NoKey(f"{file} cannot be read: {problem}")

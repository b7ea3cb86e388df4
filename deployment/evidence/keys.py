"""Where the keys of the evidence come from: a secret, or a file; read when they are needed, and kept by nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deployment.errors import NoKey, SettingsError
from deployment.evidence.attestation import Checker, Signer
from deployment.ports import Secrets


def no_key() -> Signer:
    """Raises NoKey: none is configured."""
    raise NoKey(
        "no signing key is configured",
        hint="signing_key_secret and signing_key_file are described in docs/settings.md.",
    )


def no_checker() -> Checker:
    """Raises NoKey: none is configured."""
    raise NoKey(
        "no key is configured to check signatures with",
        hint="signing_public_key_file is described in docs/settings.md.",
    )


def signer(secrets: Secrets, secret: str | None, file: Path | None) -> Callable[[], Signer]:
    """What reads the private key; calling it raises NoKey or CloudError. Raises SettingsError where two are named."""
    if secret is not None and file is not None:
        raise SettingsError("signing_key_secret and signing_key_file are both given, and a run is signed with one key")
    if secret is not None:
        return lambda: Signer(secrets.read(secret))
    if file is not None:
        return lambda: Signer(_read(file))
    return no_key


def checker(signing: Callable[[], Signer], public_file: Path | None) -> Callable[[], Checker]:
    """What reads the public key: its file where one is named, else the private key that it belongs to."""
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

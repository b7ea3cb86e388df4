"""The sources of the evidence's keys: a secret, or a file. A key is read when it is needed, and never kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        return lambda: Signer(read_key(file))
    return no_key


def checker(
    signing: Callable[[], Signer], public_file: Path | None, earlier: Sequence[Path] = ()
) -> Callable[[], Checker]:
    """Return a function that reads the public key: from ``public_file`` if given, else derived from the private key.

    ``earlier`` are the files of the environment's earlier public keys.
    """
    if public_file is None and signing is no_key:
        return no_checker

    def read() -> Checker:
        newest = signing().checker if public_file is None else Checker(read_key(public_file))
        return newest.with_earlier([read_key(file) for file in earlier])

    return read


def read_key(file: Path) -> str:
    """Return the text of a key's file. Raises NoKey."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        problem = error.strerror
    except UnicodeDecodeError:
        problem = "it is not text"
    raise NoKey(f"{file} cannot be read: {problem}")

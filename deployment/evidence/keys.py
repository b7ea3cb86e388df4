"""The sources of the evidence's keys: a secret, or a file. A key is read when it is needed, and never kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from deployment.errors import NoKey, NotFound, SettingsError
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
        hint="Configure signing_public_key_secret or signing_public_key_file; see docs/settings.md.",
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


def public(secrets: Secrets | None, secret: str | None, file: Path | None) -> Callable[[], str] | None:
    """Return a function that reads the public key, from the file if both are given; None if neither is.

    The function raises NoKey or CloudError. ``secrets`` is None if no environment was reached: only the file can be read.
    """
    if file is not None:
        return lambda: read_key(file)
    if secret is None or secrets is None:
        return None

    def read() -> str:
        try:
            return secrets.read(secret)
        except NotFound as error:
            raise NoKey(
                f"the secret {secret} (signing_public_key_secret) has no value: {error.message}",
                hint="Put the public half of the signing key there: `openssl pkey -in signing-key.pem -pubout`.",
            ) from error

    return read


def checker(
    signing: Callable[[], Signer], public_key: Callable[[], str] | None, earlier: Sequence[Path] = ()
) -> Callable[[], Checker]:
    """Return a function that reads the public key: from its own place if there is one, else derived from the private key.

    ``earlier`` are the files of the environment's earlier public keys.
    """
    if public_key is None and signing is no_key:
        return no_checker

    def read() -> Checker:
        newest = signing().checker if public_key is None else Checker(public_key())
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

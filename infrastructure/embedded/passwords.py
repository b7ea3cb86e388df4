"""Passwords and keys of one environment: random, created once, kept in a file that only its owner can read."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from infrastructure.embedded.files import replace_json

SMOKE_USERS = ("smoke-1@smoke.example", "smoke-2@smoke.example")


@dataclass(frozen=True)
class Passwords:
    """The passwords and keys; no repr shows them, and they stay the same when a process restarts."""

    postgres_superuser: str = field(repr=False)
    postgres_application: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    signing_key: str = field(repr=False)
    """An Ed25519 private key: PKCS#8, PEM."""
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    smoke_users: tuple[str, ...] = field(repr=False)
    """One password for each of SMOKE_USERS."""

    def public_key(self) -> str:
        """Return the public half of the signing key: PEM."""
        key = load_pem_private_key(self.signing_key.encode(), None).public_key()
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def seed_users(self) -> str:
        """Return the value of SEED_USERS: a JSON list of {"email", "password"}."""
        pairs = zip(SMOKE_USERS, self.smoke_users, strict=True)
        return json.dumps([{"email": email, "password": password} for email, password in pairs])


def make() -> Passwords:
    """Return new random passwords and keys."""
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Passwords(
        postgres_superuser=secrets.token_urlsafe(24),
        postgres_application=secrets.token_urlsafe(24),
        jwt_secret=secrets.token_urlsafe(48),
        signing_key=key.decode(),
        access_key_id=f"AKIA{secrets.token_hex(8).upper()}",
        secret_access_key=secrets.token_urlsafe(30),
        smoke_users=tuple(secrets.token_urlsafe(18) for _ in SMOKE_USERS),
    )


def read(path: Path) -> Passwords | None:
    """Return the passwords in the file; None if there is none."""
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    document["smoke_users"] = tuple(document["smoke_users"])
    return Passwords(**document)


def keep(path: Path) -> Passwords:
    """Return the passwords in the file; create the file if there is none."""
    known = read(path)
    if known is not None:
        return known
    passwords = make()
    replace_json(path, asdict(passwords))
    return passwords

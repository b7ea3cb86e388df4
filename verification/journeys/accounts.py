"""The smoke users: accounts that exist only for checks, so that no person loses data."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

ACCOUNTS_VARIABLE = "SMOKE_USERS"
"""The variable that may hold the smoke users of a service at a URL."""


@dataclass(frozen=True)
class SmokeUser:
    """E-mail address and password; the password is left out of ``repr``."""

    email: str
    password: str = field(repr=False)


def parse_smoke_users(secret: str, name: str = "the smoke users' secret") -> tuple[SmokeUser, ...]:
    """Return the users in the secret's text, a JSON list of ``{"email", "password"}``; ``name`` is its name in messages.

    An entry may be a client of OAuth 2, ``{"client_id", "client_secret"}``: ``${account.email}`` is then the client's id.

    Raises ValueError, without any of the secret's text, if the text is something else, or the list is empty.
    """
    try:
        entries = json.loads(secret)
    except (ValueError, RecursionError):
        # "from None": a JSONDecodeError carries the whole document, which is the secret.
        raise ValueError(f"{name} is not JSON") from None
    if not isinstance(entries, list) or not entries:
        raise ValueError(f'{name} is not a list of {{"email", "password"}}')
    return tuple(_user(entry, index, name) for index, entry in enumerate(entries))


def _user(entry: object, index: int, name: str) -> SmokeUser:
    if isinstance(entry, dict):
        for keys in (("email", "password"), ("client_id", "client_secret")):
            email, password = (entry.get(key) for key in keys)
            if isinstance(email, str) and isinstance(password, str) and email and password:
                return SmokeUser(email, password)
    raise ValueError(f'entry {index} of {name} is not {{"email", "password"}} or {{"client_id", "client_secret"}}')


LARGEST_FILE = 1_000_000
"""Bytes of a file of accounts."""


def read_accounts(file: Path, name: str) -> tuple[SmokeUser, ...]:
    """Return the users in a file that only its owner can read; ``name`` is what messages call it.

    Raises ValueError, without any of the file's text, if it cannot be read, has other permissions or holds something else.
    """
    try:
        if not file.is_file() and file.exists():  # opening a pipe would wait for its writer
            raise ValueError(f"{name} is not a regular file")
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ValueError(
                    f"{name} can be used by other users than its owner (mode {stat.S_IMODE(found.st_mode):04o}, expected 0600)"
                )
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror or type(error).__name__}") from None
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{name} is larger than {LARGEST_FILE} bytes")
    try:
        return parse_smoke_users(content.decode(), name)
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not UTF-8") from None

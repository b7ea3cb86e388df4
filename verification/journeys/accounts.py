"""The smoke users: accounts that exist for the checks alone, whose data nobody misses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SmokeUser:
    """E-mail address and password; the password is left out of ``repr``."""

    email: str
    password: str = field(repr=False)


def parse_smoke_users(secret: str) -> tuple[SmokeUser, ...]:
    """The users in the secret's text, a JSON list of ``{"email", "password"}``.

    Raises ValueError, without any of the secret's text, where it is something else, or empty.
    """
    try:
        entries = json.loads(secret)
    except ValueError:
        # "from None": a JSONDecodeError carries the whole document, which is the secret.
        raise ValueError("the smoke users' secret is not JSON") from None
    if not isinstance(entries, list) or not entries:
        raise ValueError('the smoke users\' secret is not a list of {"email", "password"}')
    return tuple(_user(entry, index) for index, entry in enumerate(entries))


def _user(entry: object, index: int) -> SmokeUser:
    if isinstance(entry, dict):
        email, password = entry.get("email"), entry.get("password")
        if isinstance(email, str) and isinstance(password, str) and email and password:
            return SmokeUser(email, password)
    raise ValueError(f'entry {index} of the smoke users\' secret is not {{"email", "password"}}')

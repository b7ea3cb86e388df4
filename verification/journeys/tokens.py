"""Tokens as a forger would make them, by hand: a library refuses to make most of these."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

SignToken = Callable[[Mapping[str, Any]], str]
"""Signs claims as the service itself would."""


def signer(secret: str) -> SignToken:
    """Signs with the service's own secret: what only its clock, or its memory, can tell from a good one."""
    return lambda claims: forge(claims, secret)


def forge(claims: Mapping[str, Any], key: str | None, algorithm: str = "HS256") -> str:
    """A JWT with these claims, its HMAC by ``key`` (none: without a signature), whatever its header says of the algorithm."""
    head = f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(claims)}"
    return f"{head}.{'' if key is None else _encode(hmac.digest(key.encode(), head.encode(), hashlib.sha256))}"


def altered(token: str, **claims: Any) -> str:
    """The token with other claims under its old signature."""
    header, payload, signature = token.split(".")
    return f"{header}.{_part({**_read(payload), **claims})}.{signature}"


def header_of(token: str) -> dict[str, Any]:
    """What the token says of itself. Raises ValueError where it is no JWT."""
    return _read(_parts(token)[0])


def claims_of(token: str) -> dict[str, Any]:
    """The claims, unverified. Raises ValueError where it is no JWT."""
    return _read(_parts(token)[1])


def _parts(token: str) -> list[str]:
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError(f"a JWT has three parts, and this token has {len(parts)}")
    return parts


def _read(part: str) -> dict[str, Any]:
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        # "from None": the cause would quote the token.
        raise ValueError("a part of the token is not JSON in base64url") from None
    if not isinstance(value, dict):
        raise ValueError("a part of the token is no JSON object")
    return value


def _part(value: Mapping[str, Any]) -> str:
    return _encode(json.dumps(dict(value), separators=(",", ":")).encode())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

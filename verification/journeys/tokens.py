"""Creates tokens by hand, as an attacker would: a library refuses to create most of them."""

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
    """Return a function that signs with the service's own secret: the service can refuse such a token only by its clock or its stored sessions."""
    return lambda claims: forge(claims, secret)


def forge(claims: Mapping[str, Any], key: str | None, algorithm: str = "HS256") -> str:
    """Return a JWT with these claims, its HMAC by ``key`` (None: without a signature), with any ``algorithm`` in its header."""
    head = f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(claims)}"
    return f"{head}.{'' if key is None else _encode(hmac.digest(key.encode(), head.encode(), hashlib.sha256))}"


def altered(token: str, **claims: Any) -> str:
    """Return the token with other claims under its old signature."""
    header, payload, signature = token.split(".")
    return f"{header}.{_part({**_read(payload), **claims})}.{signature}"


def header_of(token: str) -> dict[str, Any]:
    """Return the token's header. Raises ValueError if it is not a JWT."""
    return _read(_parts(token)[0])


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims without verifying them. Raises ValueError if it is not a JWT."""
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
        raise ValueError("a part of the token is not a JSON object")
    return value


def _part(value: Mapping[str, Any]) -> str:
    return _encode(json.dumps(dict(value), separators=(",", ":")).encode())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

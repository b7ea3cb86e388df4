"""Describes cookies in messages: their names and attributes, never their values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from verification.redaction.redactor import MARK

_ATTRIBUTES = frozenset(
    {"domain", "expires", "httponly", "max-age", "partitioned", "path", "priority", "samesite", "secure"}
)
_HIDDEN = "(hidden)"
# Between two cookies that a client joined; a date in Expires has a comma as well, but no equals sign before the next space.
_NEXT = re.compile(r",\s*(?=[^\s;,=]+=)")
# A pattern of nothing but these words, signs and names of cookies holds no value of a cookie.
_WORDS = _ATTRIBUTES | {"lax", "strict", "none", "max", "age", "d", "s", "w", "i", "b"}
_PAIR = re.compile(r"([A-Za-z0-9_-]+)=[^;\s]*")


def without_values(header: str) -> str:
    """Return a header Set-Cookie, perhaps of several cookies, with each cookie's value replaced by ``[redacted]``."""
    return ", ".join(_without_value(cookie) for cookie in _NEXT.split(header))


def _without_value(cookie: str) -> str:
    pair, *attributes = cookie.split(";")
    name, equals, _ = pair.partition("=")
    known = [one.strip() for one in attributes if one.partition("=")[0].strip().lower() in _ATTRIBUTES]
    return "; ".join([f"{name.strip()}={MARK}" if equals else _HIDDEN, *known])


def expected_cookie(wanted: Any) -> str:
    """Return what was expected of the header. A pattern is shown without the cookie's value, if it is plain which part that is."""
    if wanted is None:
        return "none"
    if not isinstance(wanted, Mapping):
        return without_values(str(wanted))
    pattern = str(wanted["matches"])
    plain = all(one.lower() in _WORDS for one in re.findall(r"[A-Za-z0-9_-]+", _PAIR.sub(_attribute, pattern)))
    return f"what matches {_PAIR.sub(_shown, pattern) if plain else _HIDDEN}"


def _attribute(pair: re.Match[str]) -> str:
    """Return a pair of a pattern if it is an attribute, such as Path=/; else nothing."""
    return pair[0] if pair[1].lower() in _ATTRIBUTES else ""


def _shown(pair: re.Match[str]) -> str:
    return _attribute(pair) or f"{pair[1]}={MARK}"

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
# A pattern of nothing but these words and signs holds no value of a cookie.
_WORDS = _ATTRIBUTES | {"lax", "strict", "none", "max", "age", "s", "i", "b"}


def without_values(header: str) -> str:
    """Return a header Set-Cookie, perhaps of several cookies, with each cookie's value replaced by ``[redacted]``."""
    return ", ".join(_without_value(cookie) for cookie in _NEXT.split(header))


def _without_value(cookie: str) -> str:
    pair, *attributes = cookie.split(";")
    name, equals, _ = pair.partition("=")
    known = [one.strip() for one in attributes if one.partition("=")[0].strip().lower() in _ATTRIBUTES]
    return "; ".join([f"{name.strip()}={MARK}" if equals else _HIDDEN, *known])


def expected_cookie(wanted: Any) -> str:
    """Return what was expected of the header. A pattern is shown if it only names attributes; any other one can hold a value."""
    if wanted is None:
        return "none"
    if not isinstance(wanted, Mapping):
        return without_values(str(wanted))
    pattern = str(wanted["matches"])
    words = re.findall(r"[A-Za-z0-9_-]+", pattern)
    return f"what matches {pattern if all(one.lower() in _WORDS for one in words) else _HIDDEN}"

"""Says what was expected instead of a value that a JSON Schema refuses, in the words of the people who write the files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_DURATION = "a duration such as 500ms, 10s or 2m"
_BY_KEY = {
    "status": "a number such as 200, or a list of numbers",
    "until": "an object such as {within: 10s, every: 500ms}",
    "within": _DURATION,
    "every": _DURATION,
    "parameters": "a list of objects, or {csv: FILE}",
    "steps": "a list, in which each step begins with -",
    "undo": "a list, in which each step begins with -",
    "checks": "a list, in which each check begins with -",
    "request": "a method and a path, as in 'GET /health'",
    "path": "a path that begins with /",
    "expect": "an object such as {status: 200}",
    "capture": "an object such as {id: $.id}",
    "skip": "an object such as {reason: ticket 4711, until: YYYY-MM-DD}",
}
_BY_PATTERN = {
    "repository": "lower-case letters, digits and ._-/ between them, as in shop/api",
    "environment": "names of capital letters, digits and _, such as LOG_LEVEL",
    "journeys": "names of letters, digits, blanks and _.,'()/- (they become parts of the checks' ids)",
    "name": "letters, digits, blanks and _.,'()/- (it becomes a part of the check's id)",
    "sessions": "names of letters, digits, _ and -",
    "capture": "names of letters, digits and _, for ${name}",
    "find": "an SQL statement with %s for the id",
    "rows": "an SQL statement with %s for the list of the users' e-mail addresses",
    "revoked": "a key with {jti} or {sha256}",
    "region": "a region such as eu-central-1",
    "header": "the name of a header, such as X-Version",
    "token_url": "a URL, or a path of the service",
    "endpoint": "a URL",
}
_KINDS = {"boolean": "true or false", "object": "an object", "array": "a list", "integer": "a whole number"}
_KINDS |= {"number": "a number", "string": "a text", "null": "null"}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_URL = re.compile(r"([A-Za-z]+) https?://[^/]*(/.*)?")


def expected(key: str, kinds: str | Sequence[str], value: Any) -> str:
    """Return what the value at ``key`` must be, and, if the user's intention is clear, what to write; ``kinds``: types of JSON Schema."""
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    if key == "until" and kinds == ["string"]:  # of a skip
        return "expected a day such as 2030-12-31"
    if not key:
        listed = "; in a file of checks, the list stands below 'checks:'" if isinstance(value, list) else ""
        return f"expected keys, each with a colon after it{listed}"
    wanted = _BY_KEY.get(key) or " or ".join(_KINDS.get(kind, kind) for kind in kinds)
    return f"expected {wanted}{_instead(key, kinds, value)}"


def expected_text(key: str, value: Any) -> str | None:
    """Return what a text at ``key`` must be instead of a text that does not fit its pattern; None for an unknown key."""
    if key in _BY_KEY:
        return expected(key, (), value)
    return f"expected {_BY_PATTERN[key]}" if key in _BY_PATTERN else None


def _instead(key: str, kinds: Sequence[str], value: Any) -> str:
    if key == "request" and isinstance(value, str):
        return _request(value)
    if key in ("within", "every") and isinstance(value, int):
        return f"; write {value}s for seconds"
    if isinstance(value, str) and _NUMBER.fullmatch(value) and (key == "status" or {"integer", "number"} & {*kinds}):
        return f"; write {value} without quotes"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f'; write "{value}" in quotes' if "string" in kinds else ""


def _request(value: str) -> str:
    method, _, path = value.partition(" ")
    if found := _URL.fullmatch(value):
        return f"; write {found[1].upper()} {found[2] or '/'}: the address belongs to the environment"
    if method.isalpha() and path.startswith("/"):
        return f"; write {method.upper()} {path}" if method != method.upper() else ""
    return f"; write {method.upper()} /{path}" if method.isalpha() and path and " " not in path else ""

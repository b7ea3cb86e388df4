"""Reads a JSON body as RFC 8259 defines it; Python's reader also accepts NaN, names that occur twice, and UTF-16."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from math import isfinite
from typing import Any, NoReturn

_LONGEST_INT = 4000
_LONGEST_NAME = 60
_LONG = re.compile(r"\d{4000}")  # a whole number that may be too long for int()
_LARGE = re.compile(r"\d[eE]\+?\d{3}")  # a number that may be too large for a float


def json_value(content: bytes) -> Any:
    """Return the value of a JSON body (RFC 8259: UTF-8, no NaN, whole characters). Raises ValueError with the reason."""
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(
            text,
            parse_constant=refuse_constant,
            parse_float=_exact if _LARGE.search(text) else None,
            parse_int=_whole if _LONG.search(text) else None,
            object_pairs_hook=_object,
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except UnicodeEncodeError:
        raise ValueError("it has half of a surrogate pair instead of a character") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return value


def _exact(text: str) -> float | Decimal:
    number = float(text)
    return number if isfinite(number) else Decimal(text)


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) < _LONGEST_INT else Decimal(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:_LONGEST_NAME]!r} occurs twice in one object")
    return found


def refuse_constant(constant: str) -> NoReturn:
    """Raise ValueError: JSON has neither NaN nor Infinity."""
    raise ValueError(f"{constant} is not JSON")

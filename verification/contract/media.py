"""Compares media types of documents and answers, and reads values from the bytes of an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from math import isfinite
from typing import Any, NoReturn

_LONGEST_INT = 4000
_LONGEST_NAME = 60
_LONG = re.compile(r"\d{4000}")  # a whole number that may be too long for int()
_LARGE = re.compile(r"\d[eE]\+?\d{3}")  # a number that may be too large for a float


@dataclass(frozen=True)
class MediaType:
    """A media type or a range of them, in lower case; parameters by name."""

    name: str
    parameters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> MediaType:
        """Return the media type that a header or a document states."""
        name, *parameters = text.split(";")
        pairs = [part.partition("=") for part in parameters if part.strip()]
        found = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
        found = {key: value.lower() if key == "charset" else value for key, value in found.items()}
        return cls(name.strip().lower(), tuple(sorted(found.items())))

    @property
    def is_range(self) -> bool:
        """Return whether it stands for several media types, such as ``text/*``."""
        return "*" in self.name

    @property
    def is_json(self) -> bool:
        """Return whether bodies of this type are one JSON value."""
        return self.name.endswith(("/json", "+json"))

    @property
    def is_text(self) -> bool:
        """Return whether bodies of this type are text that is not JSON."""
        return self.name.startswith("text/") and not self.is_json

    def covers(self, other: MediaType) -> bool:
        """Return whether an answer of the other type fits this documented type.

        Parameters that the document states must be in the answer. A missing charset is the default one, and fits.
        """
        if not fnmatchcase(other.name, self.name.replace("[", "[[]")):
            return False
        given = dict(other.parameters)
        return all(given.get(key, value if key == "charset" else None) == value for key, value in self.parameters)

    def precedence(self) -> tuple[bool, int, int]:
        """Return a key that sorts the most specific type first."""
        return (self.is_range, -len(self.name.replace("*", "")), -len(self.parameters))


def documented(types: Iterable[str], answered: str) -> str | None:
    """Return the documented media type, as written, that an answer's content type fits best; None if none fits."""
    got = MediaType.parse(answered)
    fitting = [(MediaType.parse(text), text) for text in types]
    found = sorted(((one.precedence(), text) for one, text in fitting if one.covers(got)), key=lambda pair: pair[0])
    return found[0][1] if found else None


def json_value(content: bytes) -> Any:
    """Return the value of a JSON body (RFC 8259: UTF-8, no NaN, whole characters). Raises ValueError with the reason."""
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(
            text,
            parse_constant=_refuse,
            parse_float=_exact if _LARGE.search(text) else None,
            parse_int=_whole if _LONG.search(text) else None,
            object_pairs_hook=_object,
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
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


def readings(text: str, types: frozenset[str]) -> list[Any]:
    """Return the values that a text may represent for a schema of these types (none: a text), the likeliest first.

    A list and an object are read as OpenAPI's style ``simple`` writes them: ``1,2`` and ``a,1,b,2`` or ``a=1,b=2``.
    """
    scalars = [one for one in _read(text) if not isinstance(one, str | list | dict)]
    found: list[Any] = [text] if not types or "string" in types else []
    if types & {"integer", "number", "boolean", "null"}:
        found += scalars
    if types & {"array", "object"}:
        parts = [part.strip() for part in text.split(",")] if text.strip() else []
        found += [one for one in _read(text) if isinstance(one, list | dict)]
    if "array" in types:
        found += [parts, [_scalar(part) for part in parts]]
    if "object" in types:
        pairs = (
            [part.split("=", 1) for part in parts] if "=" in text else list(zip(parts[::2], parts[1::2], strict=False))
        )
        if all(len(pair) == 2 for pair in pairs):
            found += [dict(pairs), {name: _scalar(value) for name, value in pairs}]
    return found or [text]


def json_values(text: str) -> list[Any]:
    """Return the JSON value of a text as a list of one; the text itself if it is not JSON."""
    return _read(text) or [text]


def _scalar(text: str) -> Any:
    return next((one for one in _read(text) if not isinstance(one, str | list | dict)), text)


def _read(text: str) -> list[Any]:
    try:
        return [json.loads(text, parse_constant=_refuse)]
    except (ValueError, RecursionError):
        return []


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")

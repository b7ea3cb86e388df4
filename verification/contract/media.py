"""Compares media types of documents and answers, and reads values from the texts of an answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from verification.http.json_body import refuse_constant

_SEQUENCES = frozenset(
    f"application/{name}" for name in ("jsonl", "x-jsonl", "jsonlines", "x-jsonlines", "ndjson", "x-ndjson", "json-seq")
)


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
    def is_json_sequence(self) -> bool:
        """Return whether bodies of this type are several JSON values, one after the other."""
        return self.name in _SEQUENCES

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
        return [json.loads(text, parse_constant=refuse_constant)]
    except (ValueError, RecursionError):
        return []

"""A value for a request's body, from its schema: examples first, placeholders for what must be new at each run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.drafts.document import Document
from verification.journeys import patterns

MARKER = "${marker}"
_TEXTS = {
    "date-time": "${now+30d}",
    "date": "2030-01-15",
    "time": "09:30:00Z",
    "email": "smoke@example.com",
    "uuid": "${uuid}",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
}
_LIKE_A_MARKER = "smoke-0a1b2c3d4e5f"
_DEEPEST = 5
_ROOM = 40
"""The shortest ``maxLength`` that has room for the run's marker."""


class Body:
    """The draft of one body. ``marked`` is the field that holds the run's marker; ``unknown`` needs a person."""

    def __init__(self, document: Document, schema: Mapping[str, Any], example: Any = None) -> None:
        self._document = document
        self.unknown: list[str] = []
        self.marked: str | None = None
        made = self._value(schema, "", 0) if example is None else example
        name, inner = document.inside(schema)
        if name is not None and isinstance(made, Mapping) and isinstance(made.get(name), Mapping):
            self.value: Any = {**made, name: self._marked(inner, made[name])}
        else:
            self.value = self._marked(schema, made) if isinstance(made, Mapping) else made

    def _marked(self, schema: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body with times that are always in the future, and the marker in the first free text."""
        value = dict(made)
        for name, one in schema.get("properties", {}).items():
            flat = self._document.flat(one)
            if name in value and flat.get("format") == "date-time":
                value[name] = _TEXTS["date-time"]
            free = (
                flat.get("type") == "string"
                and not {"format", "enum", "const"} & flat.keys()
                and _allows(flat, _LIKE_A_MARKER)
            )
            room = int(flat.get("maxLength", _ROOM)) >= _ROOM
            if name in value and free and room and self.marked is None and name not in ("id", "type", "status"):
                self.marked, value[name] = name, MARKER
        return value

    def _value(self, schema: Any, name: str, depth: int) -> Any:
        flat = self._document.flat(schema)
        for key in ("const", "example", "default"):
            if flat.get(key) is not None:
                return flat[key]
        for key in ("examples", "enum"):
            if isinstance(flat.get(key), list) and flat[key]:
                return flat[key][0]
        kind = flat.get("type", "object" if "properties" in flat else "string")
        kind = next((one for one in kind if one != "null"), "string") if isinstance(kind, list) else kind
        match kind:
            case "object":
                return self._object(flat, depth)
            case "array":
                return [self._value(flat.get("items", {}), name, depth + 1)] if flat.get("minItems") else []
            case "integer" | "number":
                return _number(flat)
            case "boolean":
                return False
        return self._text(flat, name)

    def _object(self, flat: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = flat.get("properties", {})
        writable = [name for name, one in properties.items() if not self._document.flat(one).get("readOnly")]
        wanted = [name for name in flat.get("required", ()) if name in properties] or writable
        if depth >= _DEEPEST:
            return {}
        return {name: self._value(properties[name], name, depth + 1) for name in wanted if name in writable}

    def _text(self, flat: Mapping[str, Any], name: str) -> str:
        if "format" in flat and flat["format"] in _TEXTS:
            return _TEXTS[flat["format"]]
        text = "smoke check".ljust(int(flat.get("minLength", 0)), "x")[: int(flat.get("maxLength", 1000))]
        if not _allows(flat, text):
            self.unknown.append(f"{name or 'the body'} must match {flat['pattern']}")
        return text


def scalars(value: Any) -> dict[str, Any]:
    """Return the fields of a body that a form can carry: those that are neither a list nor an object."""
    fields = value if isinstance(value, Mapping) else {}
    return {name: one for name, one in fields.items() if not isinstance(one, Mapping | list) and one is not None}


def _allows(flat: Mapping[str, Any], text: str) -> bool:
    """Return whether a text matches the pattern, if there is one; a pattern that Python cannot read or search for in time allows nothing."""
    pattern = str(flat.get("pattern", ""))
    try:
        return patterns.mistake(pattern) is None and patterns.finds(pattern, text)
    except patterns.PatternTooSlow:
        return False


def _number(flat: Mapping[str, Any]) -> int | float:
    """Return a number between the limits, 1 if they allow it. OpenAPI 3.0 writes an exclusive limit as a boolean."""
    above = flat.get("exclusiveMinimum")
    least = flat.get("minimum", 1) + (above is True) if isinstance(above, bool | None) else above + 1
    number: int | float = min(max(1, least), flat.get("maximum", max(1, least)))
    return number

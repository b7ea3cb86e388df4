"""The patterns of path templates, also of two that differ only in the schemas of their parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from verification.contract.document import Node
from verification.contract.servers import normal

PARAMETER = re.compile(r"(\{[^{}]+\})")
_SEGMENT, _REST = "[^/]+", ".+"
_SHAPES = {
    "uuid": r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "integer": r"-?[0-9]+",
    "number": r"-?[0-9]+(?:\.[0-9]+)?",
    "boolean": "true|false",
}
_WORST = 4


def pattern(path: str) -> str:
    """Return the pattern of a path template, in which a parameter has any value."""
    return _joined(path, {})


def narrow(path: str, *fields: Mapping[str, Node]) -> tuple[str, int]:
    """Return the pattern of a path template by its parameters' schemas, and how many parameters have any value.

    ``fields``: those of the path item and of the operation, which goes before. Raises InvalidDocument for a parameter that
    is not one.
    """
    shapes = {
        name: shape for one in fields for name, schema in _parameters(one) if (shape := _shape(schema)) is not None
    }
    names = [part[1:-1] for part in PARAMETER.split(path) if PARAMETER.fullmatch(part)]
    return _joined(path, shapes), sum(name not in shapes for name in names)


def precedence(path: str) -> list[int]:
    """Return a key that sorts concrete segments before templated ones, from left to right."""
    return [
        0
        if "{" not in segment
        else _WORST
        if segment[-2:-1] in ("+", "*")
        else 2
        if PARAMETER.fullmatch(segment)
        else 1
        for segment in path.split("/")
    ]


def _joined(path: str, shapes: Mapping[str, str]) -> str:
    return "".join(
        shapes.get(part[1:-1], _REST if part[-2] in "+*" else _SEGMENT)
        if PARAMETER.fullmatch(part)
        else re.escape(normal(part))
        for part in PARAMETER.split(path)
    )


def _parameters(fields: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    """Yield name and schema of each parameter of the path."""
    listed = fields.get("parameters")
    for index in range(len(listed.value) if listed is not None and isinstance(listed.value, list) else 0):
        one = listed.child(index).object() if listed is not None else None
        if one is not None and one.value.get("in") == "path" and one.value.get("schema") is not None:
            yield str(one.value.get("name")), one.child("schema").object()


def _shape(schema: Node) -> str | None:
    """Return the pattern of a parameter's values, None if the schema allows any text."""
    value = schema.value
    listed: Iterable[object] = [value["const"]] if "const" in value else value.get("enum") or ()
    if isinstance(listed, list) and listed:
        return "(?:" + "|".join(re.escape(normal(str(one))) for one in listed) + ")"
    found = _SHAPES.get(str(value.get("format"))) or _SHAPES.get(str(value.get("type")))
    return f"(?:{found})" if found is not None else None

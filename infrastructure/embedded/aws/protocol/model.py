"""The check of requests and answers against botocore's service models.

`botocore.validate` checks only required members, types and lengths. AWS also refuses a value outside an enum and one
that does not match its pattern. This endpoint also refuses, at any depth, a member that the model lacks, so that a typo
is noticed. One table of rules serves both directions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float),
    "structure": (dict,),
    "list": (list,),
    "map": (dict,),
}

CONTRADICTIONS = {
    # The model requires 32 characters *and* the 36 of a UUID with dashes; App Runner itself answers 32 hex digits.
    ("ServiceId", "pattern"),
    # Elastic Load Balancing's model requires at least one tag, but DescribeTags may answer an empty list.
    ("TagList", "min"),
}


@dataclass(frozen=True)
class Violation:
    """A violation: its path (`SourceConfiguration.ImageRepository.ImageIdentifier`) and the text about the rule."""

    path: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Rule:
    """A constraint of the model: the name of its metadata, the test of a value, and the text about a violation."""

    name: str
    kept: Callable[[Any, Any], bool]
    say: Callable[[Any], str]


def _size(value: Any) -> float:
    return value if isinstance(value, int | float) else len(value)


UNICODE = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s"}
"""Character classes of AWS's patterns that Python's `re` lacks, each with the nearest one that it has."""


@cache
def _pattern(text: str) -> re.Pattern[str]:
    for known, nearest in UNICODE.items():
        text = text.replace(known, nearest)
    return re.compile(text)


RULES = (
    Rule(
        "min", lambda limit, value: _size(value) >= limit, lambda limit: f"must be at least {limit} (value or length)"
    ),
    Rule("max", lambda limit, value: _size(value) <= limit, lambda limit: f"must be at most {limit} (value or length)"),
    Rule(
        "enum", lambda allowed, value: value in allowed, lambda allowed: f"must satisfy enum value set: {list(allowed)}"
    ),
    Rule(
        "pattern",
        lambda pattern, value: _pattern(pattern).fullmatch(value) is not None,
        lambda pattern: f"must satisfy regular expression pattern: {pattern}",
    ),
)


@cache
def service_model(name: str) -> Any:
    """Return botocore's model of a service; it is read once."""
    return botocore.session.Session().get_service_model(name)


def violations(shape: Any, value: Any, path: str = "") -> Iterator[Violation]:
    """Yield every violation of `shape` by the JSON value `value`; timestamps are seconds since the epoch."""
    if not _has_type(shape, value):
        yield Violation(path, f"Value at '{path}' has the wrong type: member must be of type {shape.type_name}")
        return
    yield from _broken_rules(shape, value, path)
    descend = DESCENTS.get(shape.type_name)
    if descend is not None:
        yield from descend(shape, value, path)


def _has_type(shape: Any, value: Any) -> bool:
    if isinstance(value, bool):  # a bool is an int to Python, not to AWS
        return bool(shape.type_name == "boolean")
    return isinstance(value, TYPES[shape.type_name])


def _broken_rules(shape: Any, value: Any, path: str) -> Iterator[Violation]:
    shown = "***" if shape.metadata.get("sensitive") or not isinstance(value, str | int | float) else str(value)[:120]
    for rule in RULES:
        limit = shape.metadata.get(rule.name)
        if limit is None or (shape.name, rule.name) in CONTRADICTIONS:
            continue
        if not rule.kept(limit, value):
            text = f"Value '{shown}' at '{path}' failed to satisfy constraint: Member {rule.say(limit)}"
            yield Violation(path, text)


def _structure(shape: Any, value: dict[str, Any], path: str) -> Iterator[Violation]:
    prefix = f"{path}." if path else ""
    for name in shape.metadata.get("required", ()):
        if value.get(name) is None:
            text = f"Value null at '{prefix}{name}' failed to satisfy constraint: Member must not be null"
            yield Violation(f"{prefix}{name}", text)
    for name, member in value.items():
        if name not in shape.members:
            yield Violation(f"{prefix}{name}", f"Unknown member '{prefix}{name}'; known: {sorted(shape.members)}")
        elif member is not None:  # JSON null is an absent member to AWS
            yield from violations(shape.members[name], member, f"{prefix}{name}")


def _list(shape: Any, value: list[Any], path: str) -> Iterator[Violation]:
    for number, element in enumerate(value):
        yield from violations(shape.member, element, f"{path}[{number}]")


def _map(shape: Any, value: dict[str, Any], path: str) -> Iterator[Violation]:
    for key, element in value.items():
        yield from violations(shape.key, key, f"{path} (key)")
        yield from violations(shape.value, element, f"{path}.{key}")


DESCENTS: dict[str, Callable[[Any, Any, str], Iterator[Violation]]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
}


def complaint(found: list[Violation]) -> str:
    """Return AWS's message about a request's violations."""
    plural = "error" if len(found) == 1 else "errors"
    return f"{len(found)} validation {plural} detected: " + "; ".join(str(violation) for violation in found)


def without_nulls(value: Any) -> Any:
    """Return the JSON value without null members, which AWS treats as absent."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(element) for element in value]
    return value

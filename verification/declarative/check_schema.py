"""Checks the shape of a file of checks by ``checks.schema.json``; messages name the check, the line and the nearest known word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from verification.declarative.placeholder_rules import nearest
from verification.declarative.source import Source, Step
from verification.declarative.wording import expected, expected_text

if TYPE_CHECKING:
    import jsonschema_rs

SCHEMA_FILE = Path(__file__).with_name("checks.schema.json")
_FEW = 20
"""To validate so many checks slowly takes less time than to import the quick validator."""


def mistakes_by_schema(source: Source) -> list[str]:
    """Return each difference from the schema as one line, or several lines for several unknown keys."""
    return [_explain(source, error) for error in _errors(source.value)]


def where(source: Source, path: list[Step]) -> str:
    """Return the name of the check, and the part of it."""
    if len(path) < 2 or path[0] != "checks":
        return ""
    check = source.value["checks"][path[1]]
    name = check.get("name") if isinstance(check, dict) else None
    inner, step = path[2:], ""
    if len(inner) > 1 and inner[0] in ("steps", "undo") and isinstance(check, dict):
        raw = check[str(inner[0])][inner[1]]
        step = (
            f"step {raw['name']!r} of " if isinstance(raw, dict) and "name" in raw else f"step {int(inner[1]) + 1} of "
        )
        inner = inner[2:]
    parts = ".".join(map(str, inner))
    return f" in {f'{parts} of ' if parts else ''}{step}check {f'{name!r}' if name else int(path[1]) + 1}"


@cache
def _document() -> Any:
    return json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(_document())


@cache
def _quick() -> jsonschema_rs.Draft202012Validator:
    """Return a compiled validator: hundreds of times as fast, but its messages do not name the part of the file."""
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(_document())


def _errors(value: Any) -> list[ValidationError]:
    checks = value.get("checks") if isinstance(value, dict) else None
    few = isinstance(checks, list) and len(checks) <= _FEW
    with suppress(ValueError):  # a value that it cannot convert
        if not few and _quick().is_valid(value):
            return []
    return sorted(_validator().iter_errors(value), key=lambda error: [str(step) for step in error.absolute_path])


def _explain(source: Source, error: ValidationError) -> str:
    path: list[Step] = list(error.absolute_path)
    place = where(source, path)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = schema.get("properties", {})
        unknown = [str(key) for key in error.instance if key not in known]
        listed = f"; known: {', '.join(known)}"
        return "\n".join(
            source.error([*path, key], f"unknown key {key!r}{place}{nearest(key, known) or listed}") for key in unknown
        )
    if error.validator == "required":
        return source.error(path, f"{error.message.replace(' is a required property', ' is missing')}{place}")
    value = json.dumps(error.instance, ensure_ascii=False)[:80]
    return source.error(path, f"{value} is not allowed{place}: {_rule(error)}")


def _rule(error: ValidationError) -> str:
    last = str(error.absolute_path[-1]) if error.absolute_path else ""
    if error.validator == "type":
        kinds: Any = error.validator_value
        return expected(last, kinds, error.instance)
    if error.validator == "pattern":
        if "propertyNames" in error.absolute_schema_path:
            return "expected a name of letters, digits and _, for ${name}"
        if last == "name":
            return "expected letters, digits, blanks and _.,'()/- (it becomes part of the check's id)"
        return expected_text(last, error.instance) or f"expected what fits {error.validator_value}"
    if error.validator == "enum":
        allowed = list(map(str, error.validator_value))  # type: ignore[arg-type]  # the stubs allow any value
        kind = "a format that is checked" if last == "format" else "one of"
        return f"expected {kind} ({', '.join(allowed)}){nearest(str(error.instance), allowed)}"
    if error.validator in ("minItems", "minProperties", "minLength"):
        return "it must not be empty"
    return str(error.message)

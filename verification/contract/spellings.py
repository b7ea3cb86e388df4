"""Reads spellings that OpenAPI does not define, but whose meaning is plain, as generators and people write them.

PHP writes an empty mapping as ``[]``, serializers write null for every keyword that a schema lacks, and many people write
``required: true`` at a property. The schema that is read from them is as strict as its author meant it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_ANY_TYPE = ("any", "file")  # "file" is from Swagger 2.0: a body of any content
_NUMBERS = (
    *("multipleOf", "maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "maxLength", "minLength"),
    *("maxItems", "minItems", "maxContains", "minContains", "maxProperties", "minProperties"),
)
_FLAGS = ("uniqueItems", "nullable", "readOnly", "writeOnly")
_MAPS = ("properties", "patternProperties", "dependentSchemas", "dependentRequired")
# Without a value, these keywords say nothing. A `type` or a list of schemas without one was meant to say more.
_EMPTY_IF_NULL = frozenset(
    (*_NUMBERS, *_FLAGS, *_MAPS, "enum", "required", "pattern", "format", "additionalProperties", "discriminator")
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_NOTES = ("description", "title", "example", "examples", "default")
# Regular expressions of Python, Java and Go: the ends of the text, and a named group.
_FOREIGN = re.compile(r"\\.|\(\?P<", re.DOTALL)
_ECMA = {r"\A": "^", r"\Z": "$", r"\z": "$", "(?P<": "(?<"}


def is_true(value: Any) -> bool:
    """Return whether a field is true, also as a text."""
    return value is True or value in ("true", "True")


def flag_of(value: Any) -> Any:
    """Return true or false for a text that says so; any other value as it is."""
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


def plain(value: Any, known: frozenset[str]) -> Any:
    """Return a schema in the spelling of JSON Schema, the same object if it already is; ``known`` has the keywords."""
    if not isinstance(value, Mapping):
        return {} if value == [] else value
    found = {key: one for key, one in value.items() if one is not None or key not in _EMPTY_IF_NULL}
    for key in found:
        found[key] = _plain(key, found[key])
    if isinstance(found.get("type"), str) and found["type"].lower() in _ANY_TYPE:
        del found["type"]
    if isinstance(found.get("required"), bool):  # at a property; the schema around it reads it
        del found["required"]
    if isinstance(properties := found.get("properties"), Mapping) and not isinstance(properties.get("$ref"), str):
        found["properties"] = {name: one for name, one in properties.items() if not _is_note(name, one, known)}
        needed = [name for name, one in properties.items() if isinstance(one, Mapping) and is_true(one.get("required"))]
        if needed and isinstance(listed := found.get("required", []), list):
            found["required"] = list(dict.fromkeys([*listed, *needed]))
    return value if found == value else found


def _plain(key: str, value: Any) -> Any:
    if key in (*_FLAGS, "required", "additionalProperties"):
        value = flag_of(value)
    if key in ("type", "required") and isinstance(value, list):
        value = ["null" if one is None and key == "type" else one for one in value]
        return list(dict.fromkeys(value)) if all(isinstance(one, str) for one in value) else value
    if key == "type" and isinstance(value, str):
        return value.lower() if value.lower() in _TYPES else value
    if key in _NUMBERS and isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    if key in (*_MAPS, "additionalProperties") and value == []:
        return {}
    if key == "discriminator" and isinstance(value, str):
        return {"propertyName": value}
    if key == "pattern" and isinstance(value, str):
        return _FOREIGN.sub(lambda match: _ECMA.get(match[0], match[0]), value)
    return value


def _is_note(name: str, value: Any, known: frozenset[str]) -> bool:
    """Return whether an entry of ``properties`` describes the schema around it, one level too deep, and is not a property."""
    if name not in _NOTES or value is None or isinstance(value, bool) or value == []:
        return False
    return not isinstance(value, Mapping) or (bool(value) and not known & value.keys())

"""Finds fields of a document that have no effect because they are misspelled or at the wrong place.

OpenAPI lets a reader ignore them. Then a document means less than its author wrote, and wrong answers pass.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from verification.contract.document import Node
from verification.contract.spellings import flag_of

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_NEARLY = 0.84  # "typ" for type, "propertys" for properties; "length" is not minLength

_Shape = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_schema(value: Any) -> bool:
    return isinstance(value, Mapping | bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool) or value in ("true", "false", "yes", "no")


def _is_type(value: Any) -> bool:
    return value in _TYPES or (isinstance(value, list) and bool(value) and all(one in _TYPES for one in value))


def _anything(value: Any) -> bool:  # noqa: ARG001 - const allows any value
    return True


def _is_list_or_flag(value: Any) -> bool:
    return isinstance(value, list | bool)


def _is_number_or_flag(value: Any) -> bool:
    return isinstance(value, int | float)


# The keywords by which a value is judged, and the shape of their values.
_ASSERTING: dict[str, _Shape] = {
    "$ref": _is_text,
    "type": _is_type,
    "const": _anything,
    "enum": _is_list,
    "required": _is_list_or_flag,
    **dict.fromkeys(("pattern", "format", "$dynamicRef", "$recursiveRef"), _is_text),
    **dict.fromkeys(("multipleOf", "maximum", "minimum", "maxLength", "minLength", "maxItems", "minItems"), _is_number),
    **dict.fromkeys(("maxContains", "minContains", "maxProperties", "minProperties"), _is_number),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum"), _is_number_or_flag),
    **dict.fromkeys(("uniqueItems", "nullable", "writeOnly"), _is_flag),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), _is_list),
    **dict.fromkeys(("properties", "patternProperties", "dependentSchemas", "dependentRequired"), _is_mapping),
    **dict.fromkeys(("discriminator", "dependencies"), _is_mapping),
    **dict.fromkeys(("not", "if", "then", "else", "contains", "propertyNames", "items", "additionalItems"), _is_schema),
    **dict.fromkeys(("additionalProperties", "unevaluatedItems", "unevaluatedProperties"), _is_schema),
}
_DESCRIBING = frozenset(
    (
        *("$id", "$schema", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "$comment", "$defs"),
        *("definitions", "title", "description", "default", "example", "examples", "deprecated", "readOnly", "xml"),
        *("externalDocs", "contentEncoding", "contentMediaType", "contentSchema"),
    )
)
KEYWORDS = frozenset(_ASSERTING) | _DESCRIBING
"""The keywords of a schema, those that describe included."""
_RESPONSE: dict[str, _Shape] = {"content": _is_mapping, "headers": _is_mapping}
_MEDIA: dict[str, _Shape] = {"schema": _is_schema, "itemSchema": _is_schema}
_HEADER: dict[str, _Shape] = {"schema": _is_schema, "content": _is_mapping, "required": _is_flag}
_OPERATION: dict[str, _Shape] = {"responses": _is_mapping, "servers": _is_list, "security": _is_list}
_PATH_ITEM: dict[str, _Shape] = {**dict.fromkeys(METHODS, _is_mapping), "servers": _is_list}
_OTHERS = frozenset(
    (
        *("$ref", "summary", "description", "links", "example", "examples", "encoding", "prefixEncoding"),
        *("itemEncoding", "deprecated", "allowEmptyValue", "style", "explode", "allowReserved", "tags", "callbacks"),
        *("externalDocs", "operationId", "parameters", "requestBody", "additionalOperations"),
    )
)


def check_path_item(node: Node) -> None:
    """Raise InvalidDocument if a path item has a misspelled method."""
    _misspelled(node, _PATH_ITEM, _OTHERS)


def check_operation(node: Node) -> None:
    """Raise InvalidDocument if an operation has a misspelled field that answers depend on."""
    _misspelled(node, _OPERATION, _OTHERS)


def check_response(node: Node) -> None:
    """Raise InvalidDocument if a response has a misspelled field, or a schema beside its content."""
    _misspelled(node, _RESPONSE, _OTHERS)
    _misplaced(node, ("schema", *_ASSERTING), _RESPONSE, "content, below its media type")


def check_media_type(name: str, place: Node) -> None:
    """Raise InvalidDocument if the name of a media type is a field of one: it stands one level too high."""
    if name in _MEDIA:
        raise place.wrong(f"{name!r} is not a media type: write it below one, such as application/json")


def check_media(node: Node) -> None:
    """Raise InvalidDocument if a media type has a misspelled field, or keywords of a schema beside its schema."""
    _misspelled(node, _MEDIA, _OTHERS)
    _misplaced(node, _ASSERTING, _MEDIA, "schema")


def check_header(node: Node) -> None:
    """Raise InvalidDocument if a header has a misspelled field, or keywords of a schema beside its schema."""
    _misspelled(node, _HEADER, _OTHERS)
    _misplaced(node, _ASSERTING, _HEADER, "schema")


def check_schema(node: Node) -> None:
    """Raise InvalidDocument if a schema has a misspelled keyword, or fields that are not keywords and no keyword."""
    value = node.value
    unknown = [key for key in value if key not in _ASSERTING and key not in _DESCRIBING and not key.startswith("x-")]
    if not unknown:
        return
    _misspelled(node, _ASSERTING, _DESCRIBING)
    names = [key for key in unknown if _looks_like_schema(value[key])]
    if names and "properties" not in value:
        raise node.wrong(
            f"{names[0]!r} is not a keyword of a schema and has no effect: write the names of fields in properties"
        )
    if not any(key in _ASSERTING for key in value) and (
        len(unknown) == len(value) or any(isinstance(value[key], Mapping | list) for key in unknown)
    ):
        raise node.wrong(f"this is not a schema: it has no keyword of one, only {', '.join(map(repr, value))[:120]}")


def flag(node: Node, name: str) -> bool:
    """Return a field that is true or false; false if it is absent. Raises InvalidDocument for another value."""
    value = flag_of(node.value.get(name, False))
    if not isinstance(value, bool):
        raise node.wrong(f"must be true or false, not {value!r}", name)
    return value


def _looks_like_schema(value: Any) -> bool:
    return isinstance(value, Mapping) and (_is_type(value.get("type")) or isinstance(value.get("$ref"), str))


def _misspelled(node: Node, known: Mapping[str, _Shape], others: Iterable[str]) -> None:
    for key in node.value:
        if key in known or key in others or key.startswith("x-"):
            continue
        meant = _meant(key, [name for name, fits in known.items() if fits(node.value[key])])
        if meant is not None:
            raise node.wrong(
                f"{key!r} is not known and has no effect; did you mean {meant!r}? "
                "(begin the name with x- if it is an extension)"
            )


def _misplaced(node: Node, wrong: Iterable[str], own: Mapping[str, _Shape], place: str) -> None:
    for key in wrong:
        if (
            key in node.value
            and key not in own
            and key not in _OTHERS
            and not isinstance(node.value[key], bool)  # "required: true" says nothing that an answer could break
            and _ASSERTING.get(key, _is_schema)(node.value[key])
        ):
            raise node.wrong(f"{key!r} has no effect here: write it in {place}")


def _meant(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that differs only in case, in one exchanged pair of letters, or in few letters."""
    by_spelling = {name.lower(): name for name in known}
    wanted = word.strip().replace("_", "").replace("-", "").lower()
    if wanted in by_spelling:
        return by_spelling[wanted]
    swapped = [wanted[:i] + wanted[i + 1] + wanted[i] + wanted[i + 2 :] for i in range(len(wanted) - 1)]
    close = next((one for one in swapped if one in by_spelling), None) or next(
        iter(difflib.get_close_matches(wanted, by_spelling, n=1, cutoff=_NEARLY)), None
    )
    return by_spelling[close] if close is not None else None

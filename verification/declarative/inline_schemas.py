"""JSON Schemas inside a check: a rule without effect is a mistake, and the properties that they name must be in the answer.

JSON Schema ignores unknown keywords and absent properties. A mistyped name would then turn a rule off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from verification.declarative.source import Step
from verification.journeys import patterns

Mistake = tuple[tuple[Step, ...], str]

MOST = 10_000
_REFERENCE = re.compile(r"#/\$defs/([^/]+)")
_NOTES = frozenset(
    [
        "$schema",
        "$comment",
        "$defs",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
    ]
)
_MAPS = ("properties", "patternProperties", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = ("additionalProperties", "unevaluatedProperties", "propertyNames", "items", "contains", "unevaluatedItems")
_SAME_VALUE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
# There a stricter schema can make the whole one weaker, so nothing is added to it.
_REVERSED = ("not", "if", "oneOf")
_NEEDS = {"then": "if", "else": "if", "minContains": "contains", "maxContains": "contains"}
_TYPES = {
    "object": (
        "properties patternProperties additionalProperties unevaluatedProperties propertyNames required minProperties "
        "maxProperties dependentRequired dependentSchemas"
    ),
    "array": "items prefixItems contains minContains maxContains minItems maxItems uniqueItems unevaluatedItems",
    "string": "minLength maxLength pattern format",
    "number": "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf",
}
_ONLY_FOR = {keyword: type_ for type_, keywords in _TYPES.items() for keyword in keywords.split()}


def mistakes(schema: Mapping[str, Any]) -> list[Mistake]:
    """Return what is wrong with a schema whose keywords are known to be valid: the path to each mistake, and its text."""
    walk = _Walk(schema)
    found = list(walk.mistakes(schema, (), None))
    if walk.visited > MOST:
        return [((), f"the schema has more than {MOST:,} parts, references included")]
    return found


def strict(schema: Mapping[str, Any]) -> Any:
    """Return the schema without references, in which every property that it names is required, and the type of its keywords.

    An object that ``additionalProperties: false`` closes keeps its own list: an answer's real name would not pass there.
    """
    return _strict(schema, schema.get("$defs", {}), reversed_=False)


def error(schema: Mapping[str, Any], value: Any) -> ValidationError | None:
    """Return what is wrong with a value by a schema of ``strict``; None if it is valid. Raises PatternTooSlow."""
    validator = _validator()(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    found: ValidationError | None = best_match(validator.iter_errors(value))
    return found


@cache
def formats() -> tuple[str, ...]:
    """Return the formats that are checked."""
    return tuple(sorted(Draft202012Validator.FORMAT_CHECKER.checkers))


class _Walk:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self.visited = 0
        self._definitions: Mapping[str, Any] = root.get("$defs", {})
        self._used: set[str] = set()

    def mistakes(self, schema: Any, path: tuple[Step, ...], types: frozenset[str] | None) -> Iterator[Mistake]:
        yield from self._inside(schema, path, types, (), False)
        for name in self._definitions:
            if name not in self._used:
                yield ("$defs", name), f"nothing refers to #/$defs/{name}"

    def _inside(
        self,
        schema: Any,
        path: tuple[Step, ...],
        types: frozenset[str] | None,
        open_: tuple[str, ...],
        reversed_: bool,
    ) -> Iterator[Mistake]:
        """``types``: those that the value can have; ``open_``: the references that lead here."""
        self.visited += 1
        if schema is True or (isinstance(schema, dict) and not schema.keys() - _NOTES):
            hint = "delete it, or write a rule; a name in required must be there with any value"
            yield path, f"a schema without a rule accepts every value; {hint if path else 'write type or another rule'}"
        if not isinstance(schema, dict) or self.visited > MOST:
            return
        types = _types(schema) or types
        yield from _without_effect(schema, path, types)
        yield from _beside_a_value(schema, path)
        denied = schema.get("not")
        if isinstance(denied, dict) and "type" in denied and denied.keys() & {"const", "enum"}:
            yield (*path, "not", "type"), "type has no effect beside the values that are denied; write it beside not"
        yield from _unnamed(schema, path, reversed_)
        if path and "$defs" in schema:
            yield (*path, "$defs"), "$defs must stand at the top of the schema"
        if "$ref" in schema:
            yield from self._reference(schema["$ref"], path, types, open_, reversed_)
        for steps, inner in _parts(schema):
            keyword = str(steps[0])
            same = types if keyword in _SAME_VALUE else None
            turned = reversed_ or keyword in _REVERSED or (keyword == "contains" and "maxContains" in schema)
            yield from self._inside(inner, (*path, *steps), same, open_, turned)

    def _reference(
        self,
        reference: str,
        path: tuple[Step, ...],
        types: frozenset[str] | None,
        open_: tuple[str, ...],
        reversed_: bool,
    ) -> Iterator[Mistake]:
        found = _REFERENCE.fullmatch(reference)
        name = found[1] if found else ""
        if name not in self._definitions:
            known = (
                ", ".join(f"#/$defs/{one}" for one in self._definitions) or "none; write them in $defs of this schema"
            )
            yield (*path, "$ref"), f"{reference!r} refers to nothing; known: {known}"
        elif name in open_:
            yield (*path, "$ref"), f"{reference!r} refers to itself; such a schema belongs into the contract"
        else:
            self._used.add(name)
            yield from self._inside(self._definitions[name], ("$defs", name), types, (*open_, name), reversed_)


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """Yield the path and the value of each schema directly inside of this one, without ``$defs``."""
    for keyword in (*_SINGLE, "not", "if", "then", "else"):
        if keyword in schema:
            yield (keyword,), schema[keyword]
    for keyword in _MAPS:
        for name, inner in schema.get(keyword, {}).items():
            yield (keyword, name), inner
    for keyword in _LISTS:
        for number, inner in enumerate(schema.get(keyword, ())):
            yield (keyword, number), inner


def _types(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the types that a schema allows, with number for integer, to which the same keywords apply; None if it allows all."""
    if "type" in schema:
        several = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        return frozenset("number" if one == "integer" else one for one in several)
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if values is None else frozenset(map(_type_of, values))


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _implied(schema: Mapping[str, Any]) -> list[str]:
    """Return the types that the keywords are for."""
    return sorted({_ONLY_FOR[keyword] for keyword in schema if keyword in _ONLY_FOR})


def _without_effect(
    schema: Mapping[str, Any], path: tuple[Step, ...], types: frozenset[str] | None
) -> Iterator[Mistake]:
    yield from _values_of_another_type(schema, path, types)
    if types is None and len(implied := _implied(schema)) > 1:
        yield path, f"the schema has keywords for {' and for '.join(implied)}; write type"
    for keyword in schema:
        only_for = _ONLY_FOR.get(keyword)
        if types is not None and only_for is not None and only_for not in types:
            given = " or ".join(sorted(types))
            yield (*path, keyword), f"{keyword} has no effect on type {given}; it is for type {only_for}"
        if keyword in _NEEDS and _NEEDS[keyword] not in schema:
            yield (*path, keyword), f"{keyword} has no effect without {_NEEDS[keyword]}"
    for keyword in ("pattern", "patternProperties"):
        listed = [schema[keyword]] if keyword == "pattern" and keyword in schema else list(schema.get(keyword, ()))
        for pattern in listed:
            if (what := patterns.mistake(pattern)) is not None:
                yield (*path, keyword), what


def _beside_a_value(schema: Mapping[str, Any], path: tuple[Step, ...]) -> Iterator[Mistake]:
    """Yield the keywords beside ``const`` or ``enum``: the values fit them, and they add nothing, or no value ever fits."""
    for given in ("const", "enum"):
        for keyword in schema if given in schema else ():
            if keyword in _ONLY_FOR:
                yield (
                    (*path, keyword),
                    f"{keyword} has no effect beside {given}, which names the values; delete one of them",
                )


def _values_of_another_type(
    schema: Mapping[str, Any], path: tuple[Step, ...], types: frozenset[str] | None
) -> Iterator[Mistake]:
    found = sorted({_type_of(value) for value in schema.get("enum", ())})
    if "type" not in schema and len(found) > 1:
        yield (
            (*path, "enum"),
            f"the values are of type {' and '.join(found)}; write type: [{', '.join(found)}] if that is meant",
        )
    for keyword, values in (
        ("const", [schema["const"]] if "const" in schema else []),
        ("enum", schema.get("enum", [])),
    ):
        for value in values:
            if types is not None and _type_of(value) not in types:
                yield (
                    (*path, keyword),
                    f"a value of type {_type_of(value)} can never be of type {' or '.join(sorted(types))}",
                )


def _unnamed(schema: Mapping[str, Any], path: tuple[Step, ...], reversed_: bool) -> Iterator[Mistake]:
    """Yield the names that no answer needs to have, so that a mistyped one would never be noticed."""
    properties = schema.get("properties", {})
    for pattern in schema.get("patternProperties", ()):
        if re.escape(pattern) == pattern:
            what = f"{pattern!r} is a name and no pattern; write it in properties, or ^{pattern} for all names that begin with it"
            yield (*path, "patternProperties", pattern), what
    if "patternProperties" in schema and not _closed(schema):
        yield (*path, "patternProperties"), "patternProperties needs additionalProperties: false beside it"
    for keyword in ("dependentRequired", "dependentSchemas"):
        for name in schema.get(keyword, {}):
            if name not in properties:
                yield (*path, keyword, name), f"{name!r} is not in properties, so a mistyped name would have no effect"
    if reversed_ and not _closed(schema):
        for name in properties:
            if name not in schema.get("required", ()):
                yield (
                    (*path, "properties", name),
                    f"{name!r} must also be in required: inside not, if, oneOf and contains with maxContains, "
                    "an absent property would count as a match",
                )


def _closed(schema: Mapping[str, Any]) -> bool:
    return schema.get("additionalProperties") is False or schema.get("unevaluatedProperties") is False


def _strict(schema: Any, definitions: Mapping[str, Any], reversed_: bool) -> Any:
    if not isinstance(schema, dict):
        return schema
    made = {keyword: value for keyword, value in schema.items() if keyword not in ("$defs", "$ref")}
    for steps, inner in _parts(schema):
        keyword = str(steps[0])
        turned = reversed_ or keyword in _REVERSED or (keyword == "contains" and "maxContains" in schema)
        new = _strict(inner, definitions, turned)
        if len(steps) == 1:
            made[keyword] = new
        else:
            made[keyword] = made[keyword].copy() if made[keyword] is schema[keyword] else made[keyword]
            made[keyword][steps[1]] = new
    if "properties" in schema and not reversed_ and not _closed(schema):
        made["required"] = list(dict.fromkeys([*schema.get("required", ()), *schema["properties"]]))
    implied = _implied(schema)
    if not reversed_ and len(implied) == 1 and _types(schema) is None:
        made["type"] = implied[0]
    if "$ref" in schema:
        found = _REFERENCE.fullmatch(schema["$ref"])
        target = _strict(definitions[found[1] if found else ""], definitions, reversed_)
        made["allOf"] = [*made.get("allOf", ()), target]
    return made


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not patterns.finds(pattern, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, given: Mapping[str, Any], value: Any, _schema: Any
) -> Iterator[ValidationError]:
    for pattern, inner in given.items() if isinstance(value, dict) else ():
        for name in value:
            if patterns.finds(pattern, name):
                yield from validator.descend(value[name], inner, path=name, schema_path=pattern)


@cache
def _validator() -> Any:
    """Return a class of validators whose patterns have a time limit; jsonschema's own have none."""
    bounded: dict[str, Any] = {"pattern": _pattern, "patternProperties": _pattern_properties}
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        bounded[keyword] = _by_name(Draft202012Validator.VALIDATORS[keyword], keyword)
    return extend(Draft202012Validator, bounded)  # type: ignore[no-untyped-call]  # jsonschema has no types for it


def _by_name(original: Any, keyword: str) -> Any:
    """Return jsonschema's check of a keyword that depends on the names in an object."""

    def check(validator: Any, given: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if isinstance(value, dict):
            schema = _with_names(schema, value, deep=keyword == "unevaluatedProperties")
            given = schema[keyword]
        yield from original(validator, given, value, schema) or ()

    return check


def _with_names(schema: Any, value: Mapping[str, Any], *, deep: bool) -> Any:
    """Return the schema with properties of ``value`` instead of patterns for names, for which jsonschema would search without a limit.

    ``deep``: also in the schemas inside of this one that apply to the same object.
    """
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    if "patternProperties" in schema:
        properties = made["properties"] = dict(schema.get("properties", {}))
        for pattern, inner in made.pop("patternProperties").items():
            for name in [one for one in value if patterns.finds(pattern, one)]:
                properties[name] = {"allOf": [properties[name], inner]} if name in properties else inner
    for steps, inner in _parts(schema) if deep else ():
        keyword = str(steps[0])
        if keyword in _SAME_VALUE and len(steps) == 1:
            made[keyword] = _with_names(inner, value, deep=True)
        elif keyword in _SAME_VALUE:
            made[keyword] = made[keyword].copy() if made[keyword] is schema[keyword] else made[keyword]
            made[keyword][steps[1]] = _with_names(inner, value, deep=True)
    return made

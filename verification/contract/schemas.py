"""Translates a document's schemas to JSON Schema 2020-12, with which jsonschema-rs validates the service's answers."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from verification.contract.discriminators import ancestors, components, entries, mapped, targets_of
from verification.contract.document import Node
from verification.contract.fields import KEYWORDS, check_schema, flag
from verification.contract.spellings import is_true, plain

# Functions import the library themselves: it takes longer than all of this package, and a service may have no contract.
if TYPE_CHECKING:
    import jsonschema_rs

_URI = "urn:contract"
_OPENAPI_DIALECTS = "https://spec.openapis.org/oas/3."
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# Keywords that apply a schema to the value itself, and to parts of it; alone, in lists, and in mappings.
_SAME = ("not", "if", "then", "else")
_PART = ("contains", "propertyNames", "additionalProperties", "unevaluatedItems", "unevaluatedProperties")
_SAME_LIST = ("allOf", "anyOf", "oneOf")
_PART_MAP = ("properties", "patternProperties")
_ASSERTIONS = {
    *("type", "enum", "const", "multipleOf", "maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"),
    *("maxLength", "minLength", "pattern", "format", "maxItems", "minItems", "uniqueItems", "maxContains"),
    *("minContains", "maxProperties", "minProperties", "required", "dependentRequired"),
}
_INTEGERS = {
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
# A regular expression that is one character repeated: jsonschema-rs refuses large numbers in it.
_REPEATED = re.compile(r"\^(\.|\\[dDsSwW]|\[(?:[^\[\]\\]|\\.)+\])\{([0-9]+)(?:(,)([0-9]*))?\}\$")
_MANY = 1000
_MOST_SCHEMAS = 50_000
_LONGEST = 120


@dataclass(frozen=True)
class _Dialect:
    """The differences of a JSON Schema dialect from 2020-12."""

    ref_alone: bool = False  # keywords beside a $ref have no effect
    listed_items: bool = False  # items: [first, second], additionalItems
    nullable: bool = False


_OPENAPI_30 = _Dialect(ref_alone=True, nullable=True)
_CURRENT = _Dialect()
_DIALECTS = {
    "http://json-schema.org/draft-04/schema": _Dialect(ref_alone=True, listed_items=True),
    "http://json-schema.org/draft-06/schema": _Dialect(ref_alone=True, listed_items=True),
    "http://json-schema.org/draft-07/schema": _Dialect(ref_alone=True, listed_items=True),
    "https://json-schema.org/draft/2019-09/schema": _Dialect(listed_items=True),
    "https://json-schema.org/draft/2020-12/schema": _CURRENT,
}


@dataclass(frozen=True)
class _Around:
    """The context of a schema from the schemas that include it.

    ``unread``: the names of writeOnly properties. ``plain``: schemas whose discriminator was already applied.
    """

    dialect: _Dialect
    unread: frozenset[str] = frozenset()
    plain: frozenset[Node] = frozenset()


class Schemas:
    """The schemas of one document, translated when they are added; each is validated under a name of its own."""

    __slots__ = (
        "_checked",
        "_count",
        "_definitions",
        "_dialect",
        "_includes",
        "_names",
        "_places",
        "_registry",
        "_root",
        "_validators",
    )

    def __init__(self, root: Node) -> None:
        self._root = root
        self._definitions: dict[str, Any] = {}
        self._names: dict[tuple[Node, _Around], str] = {}
        self._places: dict[str, Node] = {}
        self._includes: dict[str, set[str]] = {}
        self._checked: set[str] = set()
        self._count = 0
        self._registry: jsonschema_rs.Registry | None = None
        self._validators: dict[str, jsonschema_rs.Validator] = {}
        if str(root.value.get("openapi")).startswith("3.0"):
            self._dialect = _OPENAPI_30
        else:
            self._dialect = _dialect(root, "jsonSchemaDialect", _CURRENT)

    def add(self, schema: Node) -> str:
        """Return the name of a schema after its translation. Raises InvalidDocument if it is not a schema."""
        return self._name(schema, _Around(self._dialect))

    def complete(self) -> None:
        """Forbid further schemas. Raises InvalidDocument if a schema includes itself without an end."""
        done: set[str] = set()
        for start in self._includes:
            path: list[tuple[str, Iterator[str]]] = [(start, iter(self._includes[start]))]
            while path:
                following = next(path[-1][1], None)
                if following is None:
                    done.add(path.pop()[0])
                elif following in (name for name, _ in path):
                    raise self._places[following].wrong(
                        "the schema includes itself without an end: the $ref is circular"
                    )
                elif following not in done:
                    path.append((following, iter(self._includes[following])))
        import jsonschema_rs

        translated = {"$defs": self._definitions}
        try:
            jsonschema_rs.meta.validate(translated)
        except ValueError as error:
            where: list[Any] = getattr(error, "instance_path", [])
            place = self._places[str(where[1])] if len(where) > 1 else self._root
            raise place.wrong(str(getattr(error, "message", error)).splitlines()[0]) from None
        self._registry = jsonschema_rs.Registry([(_URI, translated)])

    def error(self, name: str, value: Any) -> jsonschema_rs.ValidationError | None:
        """Return what is wrong with a value, the most telling error of several; None if it is valid."""
        validator = self._validators.get(name)
        if validator is None:
            import jsonschema_rs

            self._validators[name] = validator = jsonschema_rs.Draft202012Validator(
                {"$ref": f"{_URI}#/$defs/{name}"},
                registry=self._registry,
                validate_formats=True,
                formats={"byte": _is_base64},
                offline=True,
            )
        return None if validator.is_valid(value) else _most_telling(validator.iter_errors(value))

    def keyword(self, error: jsonschema_rs.ValidationError) -> tuple[str, Any]:
        """Return the keyword of the schema that an error is about, and its value; ``writeOnly`` for a property that must be absent.

        ``nullable`` for a null that 3.1 does not allow, although the schema says so in the words of 3.0.
        """
        schema, parent = {"$defs": self._definitions}, None
        for step in error.schema_path:
            schema, parent = schema[step], schema  # type: ignore[index]  # a path into nested mappings
        if isinstance(parent, Mapping) and parent.get("writeOnly"):
            return "writeOnly", True
        if isinstance(parent, Mapping) and parent.get("nullable") and error.instance is None:
            return "nullable", schema
        return str(error.schema_path[-1]) if error.schema_path else error.kind.name, schema

    def types(self, name: str) -> frozenset[str]:
        """Return the types that a schema or the schemas that it includes name or list values of; empty if there are none."""
        return self._types(self._definitions[name], frozenset())

    def _types(self, schema: Any, seen: frozenset[str]) -> frozenset[str]:
        if not isinstance(schema, Mapping):
            return frozenset()
        named = schema.get("type", ())
        found = frozenset([named] if isinstance(named, str) else named)
        if not found:
            found = frozenset(
                _type_of(one) for one in (*schema.get("enum", ()), *[schema[k] for k in schema if k == "const"])
            )
        target = str(schema.get("$ref", "")).rpartition("/")[2]
        included = [self._definitions[target]] if target and target not in seen else []
        for keyword in _SAME_LIST:
            included += schema.get(keyword, ())
        return found.union(*(self._types(one, seen | {target}) for one in included))

    def fields(self) -> frozenset[str]:
        """Return the names of all properties."""
        found: set[str] = set()
        left: list[Any] = list(self._definitions.values())
        while left:
            value = left.pop()
            if isinstance(value, Mapping):
                properties = value.get("properties")
                found.update(properties if isinstance(properties, Mapping) else ())
                left += value.values()
            elif isinstance(value, list):
                left += value
        return frozenset(found)

    def _name(self, node: Node, around: _Around) -> str:
        found = self._names.get((node, around))
        if found is None:
            found = self._names[node, around] = f"s{len(self._names)}"
            self._places[found] = node
            self._includes[found] = set()
            self._definitions[found] = self._translate(node, around, found)
        return found

    def _refer(self, node: Node, around: _Around, owner: str | None) -> dict[str, Any]:
        """Return a reference to a schema; ``owner`` is the schema that includes it as a whole, if one does."""
        name = self._name(node, around)
        if owner is not None:
            self._includes[owner].add(name)
        return {"$ref": f"#/$defs/{name}"}

    def _translate(self, node: Node, around: _Around, owner: str | None) -> Any:
        """Return a schema in 2020-12. ``owner`` names the schema that this one is or is included in, None for a part of it."""
        value = plain(node.value, KEYWORDS)
        node = node if value is node.value else replace(node, value=value)
        if isinstance(value, bool):
            return value
        if not isinstance(value, Mapping):
            raise node.wrong(f"must be a schema, not {json.dumps(value)[:_LONGEST]}")
        self._count += 1
        if self._count > _MOST_SCHEMAS:
            raise self._root.wrong(f"there are more than {_MOST_SCHEMAS} schemas, because aliases of YAML repeat them")
        check_schema(node)
        dialect = _dialect(node, "$schema", around.dialect)
        if dialect is not around.dialect:
            around = _Around(dialect, around.unread, around.plain)
        if owner is None:
            owner, around = f"part {len(self._includes)}", _Around(dialect)
            self._includes[owner] = set()
            self._places[owner] = node
        for keyword in _REFERENCES:
            if dialect.ref_alone and isinstance(value.get(keyword), str):
                return self._refer(node.child(keyword).target(value[keyword]), around, owner)
        unread = around.unread | self._unread(node)
        chosen = node in around.plain  # its discriminator selected it already
        inside = _Around(dialect, unread, around.plain | ({node} if "discriminator" in value else set()))
        choices = [one for key in ("oneOf", "anyOf") if key in value for one in entries(node.child(key))]
        out = self._assertions(node, dialect, unread.union(*(self._unread(one) for one in choices)))
        for keyword in _REFERENCES:
            if isinstance(value.get(keyword), str):
                whole = node.around("$recursiveAnchor") if (keyword, value[keyword]) == ("$recursiveRef", "#") else None
                target = self._refer(whole or node.child(keyword).target(value[keyword]), inside, owner)
                out.setdefault("allOf", []).append(target)
        self._applicators(node, inside, owner, out, ("oneOf", "anyOf") if chosen else ())
        if "discriminator" in value:
            out = self._discriminated(node, inside, owner, out, chosen)
        return _or_null(out, value, dialect)

    def _assertions(self, node: Node, dialect: _Dialect, unread: frozenset[str]) -> dict[str, Any]:
        value = node.value
        out = _short({keyword: value[keyword] for keyword in value if keyword in _ASSERTIONS})
        for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if isinstance(out.get(exclusive), bool) and out.pop(exclusive) and limit in out:  # also in 3.1, by habit
                out[exclusive] = out.pop(limit)
        patterns = value.get("patternProperties")
        self._check(
            node, {**out, "patternProperties": dict.fromkeys(patterns, True)} if isinstance(patterns, dict) else out
        )
        if (limits := _INTEGERS.get(out.get("format", ""))) is not None:
            out["minimum"] = max(out.get("minimum", limits[0]), limits[0])
            out["maximum"] = min(out.get("maximum", limits[1]), limits[1])
        for name in ("writeOnly", "readOnly", *(("nullable",) if dialect.nullable else ())):
            flag(node, name)
        if not dialect.nullable and value.get("nullable") is True:
            out["nullable"] = True  # no keyword; an error says so
        if unread and "required" in out:
            out["required"] = [name for name in out["required"] if name not in unread]
        if unread and "dependentRequired" in out:
            out["dependentRequired"] = _without(out["dependentRequired"], unread)
        return out

    def _check(self, node: Node, assertions: dict[str, Any]) -> None:
        """Raise InvalidDocument if the assertions of a schema are not valid."""
        text = json.dumps(assertions, sort_keys=True, default=str)
        if text in self._checked:
            return
        import jsonschema_rs

        try:
            jsonschema_rs.Draft202012Validator(assertions, offline=True)
        except ValueError as error:
            where = [str(step) for step in getattr(error, "instance_path", ())]
            got = assertions.get(where[0]) if where else assertions
            problem = str(getattr(error, "message", error)).splitlines()[0]
            if where[:1] == ["type"]:
                problem = "must be array, boolean, integer, null, number, object or string, or a list of them"
            raise node.wrong(f"{json.dumps(got, default=str)[:_LONGEST]} is not valid: {problem}", *where) from None
        self._checked.add(text)

    def _applicators(
        self, node: Node, inside: _Around, owner: str, out: dict[str, Any], without: tuple[str, ...]
    ) -> None:
        value = node.value
        part = _Around(inside.dialect)
        for keyword in (one for one in value if one not in without):
            below = node.child(keyword)
            if keyword in _SAME:
                out[keyword] = self._translate(below, inside, owner)
            elif keyword in _PART:
                out[keyword] = self._property(below, part)
            elif keyword in _SAME_LIST:
                translated = [self._translate(one, inside, owner) for one in entries(below)]
                out[keyword] = [*out.get(keyword, ()), *translated]
            elif keyword in _PART_MAP:
                out[keyword] = {name: self._property(one, part) for name, one in below.entries().items()}
            elif keyword == "dependentSchemas" or (keyword == "dependencies" and inside.dialect.listed_items):
                for name, one in below.entries().items():
                    if isinstance(one.value, list):
                        names = _without({name: one.value}, inside.unread)
                        out["dependentRequired"] = {**out.get("dependentRequired", {}), **names}
                    else:
                        schema = self._translate(one, inside, owner)
                        out["dependentSchemas"] = {**out.get("dependentSchemas", {}), name: schema}
            elif keyword == "prefixItems":
                out[keyword] = [self._translate(one, part, None) for one in entries(below)]
            elif keyword == "items" and isinstance(below.value, list) and inside.dialect.listed_items:
                out["prefixItems"] = [self._translate(one, part, None) for one in entries(below)]
                if "additionalItems" in value:
                    out["items"] = self._translate(node.child("additionalItems"), part, None)
            elif keyword == "items":
                out[keyword] = self._translate(below, part, None)

    def _property(self, node: Node, around: _Around) -> Any:
        if node.value is None:
            return {}  # a name without a schema: any value
        # `not: {}` for a value that may be sent but is never answered.
        return {"writeOnly": True, "not": {}} if _is_unread(node, frozenset()) else self._translate(node, around, None)

    def _unread(self, node: Node, seen: frozenset[Node] = frozenset()) -> frozenset[str]:
        """Return the names of the writeOnly properties of a schema and of all that it includes."""
        value = node.value
        if not isinstance(value, Mapping) or node in seen:
            return frozenset()
        seen |= {node}
        properties = node.child("properties").entries() if "properties" in value else {}
        found = {name for name, one in properties.items() if _is_unread(one, frozenset())}
        included = entries(node.child("allOf")) if "allOf" in value else []
        if isinstance(value.get("$ref"), str):
            included = [*included, node.child("$ref").target(value["$ref"])]
        return frozenset(found).union(*(self._unread(one, seen) for one in included))

    def _discriminated(
        self, node: Node, around: _Around, owner: str, out: dict[str, Any], chosen: bool
    ) -> dict[str, Any]:
        """Return the schema with the choice that its discriminator makes; without any choice if it was made before."""
        discriminator = node.child("discriminator")
        named = discriminator.value.get("propertyName") if isinstance(discriminator.value, Mapping) else None
        if not isinstance(named, str):
            raise discriminator.wrong("must be a mapping with a propertyName")
        keyword = next((one for one in ("oneOf", "anyOf") if one in node.value), None)
        if chosen:
            return out
        choice = {} if keyword is None else {keyword: out.pop(keyword)}
        explicit = {value: mapped(one) for value, one in discriminator.mapping("mapping")}
        if keyword is None:
            targets = {**{one.tokens[-1]: one for one in self._children(node)}, **explicit}
            return _with_all(out, self._choices(named, targets, around, owner))
        targets, inline = targets_of(named, entries(node.child(keyword)), explicit)
        known = {"enum": list(targets)}
        # Each member has its values: another value is wrong. Without a value, one of all members must fit.
        last: dict[str, Any]
        if "defaultMapping" in discriminator.value:  # OpenAPI 3.2: for any other value, and for none
            other = self._refer(mapped(discriminator.child("defaultMapping")), around, owner)
            last = {"if": _having(named, known), "then": True, "else": other}
        else:
            has_value = _having(named, known if inline else True)
            last = {"if": has_value, "then": inline or {"properties": {named: known}}, "else": choice}
        return _with_all(out, [*self._choices(named, targets, around, owner), last])

    def _choices(self, named: str, chosen: Mapping[str, Node], around: _Around, owner: str) -> list[dict[str, Any]]:
        return [
            {
                "if": _having(named, {"const": value}),
                "then": self._refer(target, around, owner),
            }
            for value, target in chosen.items()
        ]

    def _children(self, parent: Node) -> list[Node]:
        """Return the named schemas that include another one by allOf."""
        named = components(self._root).values()
        return [one for one in named if one != parent and parent in ancestors(one, frozenset())]


def _dialect(node: Node, keyword: str, default: _Dialect) -> _Dialect:
    uri = node.value.get(keyword)
    if uri is None:
        return default
    name = re.sub("^https?://json-schema.org/draft-", "http://json-schema.org/draft-", str(uri).rstrip("#"))
    if name.startswith(_OPENAPI_DIALECTS):
        return _CURRENT
    if name not in _DIALECTS:
        raise node.wrong(f"the dialect {uri!r} is not known; known are {', '.join(_DIALECTS)}", keyword)
    return _DIALECTS[name]


def _is_unread(node: Node, seen: frozenset[Node]) -> bool:
    """Return whether a property is writeOnly, itself or by the schemas that it includes."""
    value = node.value
    if not isinstance(value, Mapping) or node in seen:
        return False
    if is_true(value.get("writeOnly")):
        return True
    included = [node.child("$ref").target(value["$ref"])] if isinstance(value.get("$ref"), str) else []
    if isinstance(value.get("allOf"), list):
        included += [node.child("allOf").child(index) for index in range(len(value["allOf"]))]
    return any(_is_unread(one, seen | {node}) for one in included)


def _having(name: str, schema: Any) -> dict[str, Any]:
    """Return the schema of an object whose property has a value that fits."""
    return {"type": "object", "required": [name], "properties": {name: schema}}


def _with_all(out: dict[str, Any], further: list[dict[str, Any]]) -> dict[str, Any]:
    return {**out, "allOf": [*out.get("allOf", ()), *further]} if further else out


def _or_null(out: dict[str, Any], value: Mapping[str, Any], dialect: _Dialect) -> dict[str, Any]:
    """Return the schema, which allows null if ``nullable`` of OpenAPI 3.0 is true."""
    if not (dialect.nullable and value.get("nullable")):
        return out
    if "type" not in out and any(keyword in value for keyword in _SAME_LIST):
        # The specification gives nullable no effect here, but documents use it to mean "that schema, or null".
        return {"anyOf": [{"type": "null"}, out]}
    types = out.get("type", [])
    return {**out, "type": [*([types] if isinstance(types, str) else types), "null"]} if types else out


def _type_of(value: Any) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _short(assertions: dict[str, Any]) -> dict[str, Any]:
    """Return the assertions; a pattern that repeats one character very often becomes a pattern and the lengths of the text."""
    found = _REPEATED.fullmatch(pattern) if isinstance(pattern := assertions.get("pattern"), str) else None
    if (
        found is None
        or max(int(found[2]), int(found[4] or 0)) < _MANY
        or {"minLength", "maxLength"} & assertions.keys()
    ):
        return assertions
    least, most = int(found[2]), int(found[4] or 0) if found[3] else int(found[2])
    lengths = {"minLength": least, **({"maxLength": most} if most else {})}
    return {**assertions, "pattern": f"^{found[1]}*$", **lengths}


def _without(required: Mapping[str, list[str]], unread: frozenset[str]) -> dict[str, list[str]]:
    """Return what other properties require, without the names that are never answered."""
    return {name: [one for one in names if one not in unread] for name, names in required.items()}


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True)) or not text
    except (binascii.Error, ValueError):
        return False


def _most_telling(errors: Iterable[jsonschema_rs.ValidationError]) -> jsonschema_rs.ValidationError:
    """Return the error nearest to the root of the value; of a choice, the error of the branch that fits best."""
    best = min(errors, key=lambda error: (len(error.instance_path), error.kind.name in ("anyOf", "oneOf")))
    context = getattr(best.kind, "context", None)
    if best.kind.name not in ("anyOf", "oneOf") or not context:
        return best
    branches = [_most_telling(branch) for branch in context if branch]
    # A branch for another type fails at once, at the value itself; the intended branch fails inside it.
    inner = [one for one in branches if len(one.instance_path) > len(best.instance_path) or one.kind.name != "type"]
    return max(inner, key=lambda error: len(error.instance_path)) if len(inner) == 1 else best

"""Checks written in YAML: what a file may say (``checks.schema.json``), and each check as it will be asked."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from verification.declarative import inline_schemas, placeholder_rules
from verification.declarative.placeholder_rules import Text, nearest
from verification.declarative.source import InvalidChecks, Source, Step, parse, read_bytes

SCHEMA_FILE = Path(__file__).with_name("checks.schema.json")
SUFFIXES = (".yaml", ".yml")
_HOLE = re.compile(r"\$\{(\w+)\}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


@dataclass(frozen=True)
class DeclaredCheck:
    """One check of a file. ``request`` and ``expect`` are as written, with holes (``${name}``) that parameters fill."""

    file: str
    line: int
    name: str
    request: Mapping[str, Any]
    expect: Mapping[str, Any]
    signed_in: bool = False
    parameters: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def place(self) -> str:
        """Return where it stands: ``suites/health/pages.yaml:3``."""
        return f"{self.file}:{self.line}"


def load(path: Path, shown: str, schemas: Collection[str] | None = None) -> tuple[DeclaredCheck, ...]:
    """Return the checks of a file, which messages call ``shown``.

    ``schemas``: the names of the contract's schemas; None if they are unknown, and the names in checks are then not compared.
    Raise InvalidChecks with every mistake in the file.
    """
    source, checks = _parsed(read_bytes(path, shown), shown)
    if schemas is not None:
        unknown = list(_unknown_schemas(source, schemas))
        if unknown:
            raise InvalidChecks("\n".join(unknown))
    return checks


def fill(value: Any, parameters: Mapping[str, Any]) -> Any:
    """Return the value with its holes filled; a text that is one hole becomes the parameter itself, a number for instance."""
    if isinstance(value, dict):
        return {key: fill(inner, parameters) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, parameters) for inner in value]
    if not isinstance(value, str):
        return value
    whole = _HOLE.fullmatch(value)
    return parameters[whole[1]] if whole else _HOLE.sub(lambda hole: spelt(parameters[hole[1]]), value)


def spelt(value: Any) -> str:
    """Return a value as it stands inside of a text: true, not True."""
    return value if isinstance(value, str) else json.dumps(value)


@lru_cache(maxsize=256)  # collection reads each file several times
def _parsed(data: bytes, shown: str) -> tuple[Source, tuple[DeclaredCheck, ...]]:
    source = parse(data, shown)
    mistakes = [_explain(source, error) for error in _errors(source.value)]
    if not mistakes:
        mistakes = list(_mistakes(source))
    if mistakes:
        raise InvalidChecks("\n".join(dict.fromkeys(mistakes)))
    return source, tuple(_check(source, number, raw) for number, raw in enumerate(source.value["checks"]))


def _check(source: Source, number: int, raw: Mapping[str, Any]) -> DeclaredCheck:
    request, expect = raw["request"], raw["expect"]
    if isinstance(request, str):
        method, _, path = request.partition(" ")
        request = {"method": method, "path": path}
    if isinstance(expect.get("schema"), dict):
        expect = {**expect, "schema": inline_schemas.strict(expect["schema"])}
    parameters = tuple(raw.get("parameters", ()))
    signed_in = bool(raw.get("signed_in", False))
    line = source.line(["checks", number])
    return DeclaredCheck(source.file, line, raw["name"], request, expect, signed_in, parameters)


# -- what is wrong with a file --------------------------------------------------------------------------------------------


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


@cache
def _quick() -> Callable[[Any], bool] | None:
    """Return a compiled validator that says whether a value is valid and gives no message; None if it is not installed."""
    try:
        library = import_module("jsonschema_rs")
    except ImportError:  # it is not built for every platform; without it, large files take seconds
        return None
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    accepts: Callable[[Any], bool] = library.Draft202012Validator(schema).is_valid
    return accepts


def _errors(value: Any) -> list[ValidationError]:
    quick = _quick()
    with suppress(ValueError):  # a value that it cannot convert, such as an integer of 100 digits
        if quick is not None and quick(value):
            return []
    return sorted(_validator().iter_errors(value), key=lambda error: [str(step) for step in error.absolute_path])


def _explain(source: Source, error: ValidationError) -> str:
    path: list[Step] = list(error.absolute_path)
    where = _where(source, path)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = schema.get("properties", {})
        unknown = [str(key) for key in error.instance if key not in known]
        listed = f"; known: {', '.join(known)}"
        return "\n".join(
            source.error([*path, key], f"unknown key {key!r}{where}{nearest(key, known) or listed}") for key in unknown
        )
    if error.validator == "required":
        return source.error(path, f"{error.message.replace(' is a required property', ' is missing')}{where}")
    value = json.dumps(error.instance, ensure_ascii=False)[:80]
    return source.error(path, f"{value} is not allowed{where}: {_rule(error)}")


def _rule(error: ValidationError) -> str:
    last = str(error.absolute_path[-1]) if error.absolute_path else ""
    if error.validator == "type":
        kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        return f"expected {' or '.join(map(str, kinds))}"
    if error.validator == "pattern":
        in_names = "propertyNames" in error.absolute_schema_path
        wanted = _PATTERNS.get("parameters" if in_names else last, f"what fits {error.validator_value}")
        return f"expected {wanted}"
    if error.validator == "enum":
        allowed = list(map(str, error.validator_value))  # type: ignore[arg-type]  # the stubs allow any value
        kind = "a format that is checked" if last == "format" else "one of"
        return f"expected {kind} ({', '.join(allowed)}){nearest(str(error.instance), allowed)}"
    if error.validator in ("minItems", "minProperties", "minLength"):
        return "it must not be empty"
    return str(error.message)


_PATTERNS = {
    "request": "a method and a path, as in 'GET /health'",
    "path": "a path that begins with /",
    "name": "letters, digits, blanks and _.,'()/- (it becomes part of the check's id)",
    "parameters": "a name of letters, digits and _, for ${name}",
}


def _where(source: Source, path: list[Step]) -> str:
    """Return the check, by its name, and the part of it."""
    if len(path) < 2 or path[0] != "checks":
        return ""
    check = source.value["checks"][path[1]]
    name = check.get("name") if isinstance(check, dict) else None
    parts = ".".join(str(step) for step in path[2:])
    return f" in {f'{parts} of ' if parts else ''}check {name!r}" if name else f" in check {int(path[1]) + 1}"


def _mistakes(source: Source) -> Iterator[str]:
    """Yield what a schema cannot say."""
    checks = source.value["checks"]
    often = Counter(check["name"] for check in checks)
    for number, check in enumerate(checks):
        path: list[Step] = ["checks", number]
        name = check["name"]
        if often[name] > 1:
            yield source.error([*path, "name"], f"{often[name]} checks are named {name!r}")
        if name.isidentifier() and name.lower().startswith(("setup", "teardown", "pytest")):
            yield source.error([*path, "name"], f"the name {name!r} means something to pytest; take another")
        texts = [text for part in ("request", "expect") for text in placeholder_rules.texts(check[part], (part,))]
        found = [*_placeholders(check, texts), *_request(check["request"]), *_expectations(check)]
        for inner, what in found or _parameters(check, texts):
            problem, semicolon, hint = what.partition("; ")
            where = _where(source, [*path, *inner[:1]])
            yield source.error([*path, *inner], f"{problem}{where}{semicolon}{hint}")


Mistake = tuple[tuple[Step, ...], str]


def _parameters(check: Mapping[str, Any], texts: Sequence[Text]) -> Iterator[Mistake]:
    sets = check.get("parameters", ())
    names = _names(check)
    for number, one in enumerate(sets):
        if set(one) - {"id"} != names:
            other = ", ".join(sorted((set(one) - {"id"}) ^ names))
            yield ("parameters", number), f"parameters {number + 1} and 1 do not have the same names: {other}"
    if sets and not names:
        yield ("parameters", 0), "parameters without a value send the same request again; name a value beside id"
    for name in sorted(names.difference(*(text.names for text in texts))):
        yield ("parameters", 0, name), f"nothing uses the parameter {name!r}; write ${{{name}}}, or delete it"


def _names(check: Mapping[str, Any]) -> set[str]:
    """Return the names of the parameters; ``id`` is the name of a set in reports."""
    sets = check.get("parameters", ())
    return set(sets[0]) - {"id"} if sets else set()


def _placeholders(check: Mapping[str, Any], texts: Sequence[Text]) -> Iterator[Mistake]:
    yield from placeholder_rules.mistakes(texts, _names(check), "; give it in parameters")
    status = check["expect"]["status"]
    parts = {name for text in texts if _is_part(text) for name in text.names}
    for number, one in enumerate(check.get("parameters", ())):
        at = ("parameters", number)
        for text in placeholder_rules.texts(one, at):
            if text.names or text.is_key:
                yield text.path, f"{text.text!r} is not filled inside of a parameter; write its value"
        for name in sorted(parts & one.keys()):
            if isinstance(one[name], dict | list):
                yield (*at, name), f"{name!r} must be a text or a number: it becomes a part of a text"
        if isinstance(status, str) and not _is_status(one.get(status[2:-1], 200)):
            name = status[2:-1]
            yield (*at, name), f"{json.dumps(one[name])} is not a status; expected 100 to 599"


def _is_part(text: Text) -> bool:
    """Return whether a placeholder in it becomes a part of a text: of a path, a query, a header, or beside other letters."""
    alone = len(text.names) == 1 and text.text == f"${{{text.names[0]}}}"
    return not alone or text.path[:2] in (("request", "query"), ("request", "headers"), ("request", "body"))


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599


def _request(request: Any) -> Iterator[Mistake]:
    if isinstance(request, str):
        request = {"path": request.partition(" ")[2]}
    path = request["path"]
    if (what := placeholder_rules.in_path(path)) is not None:
        yield ("request",), what
    if "?" in path and "query" in request:
        yield (
            ("request", "query"),
            "the path has a query already, which query would replace; write all of it in one place",
        )
    if {"json", "body"} <= request.keys():
        yield ("request", "body"), "a request has json or body, not both"
    yield from _header_names(request.get("headers", {}), ("request", "headers"))
    for name, value in request.get("headers", {}).items():
        if not value.isascii() or not value.isprintable():
            yield ("request", "headers", name), f"the value of {name} has a character that a header cannot have"


def _header_names(headers: Mapping[str, Any], path: tuple[Step, ...]) -> Iterator[Mistake]:
    seen: dict[str, str] = {}
    for name in headers:
        if not _TOKEN.fullmatch(name):
            yield (*path, name), f"{name!r} is not the name of a header"
        if (other := seen.setdefault(name.lower(), name)) != name:
            yield (*path, name), f"{name} and {other} are the same header; one of them would be lost"


def _expectations(check: Mapping[str, Any]) -> Iterator[Mistake]:
    expect = check["expect"]
    yield from _header_names(expect.get("headers", {}), ("expect", "headers"))
    for name, wanted in expect.get("headers", {}).items():
        if isinstance(wanted, dict):
            try:
                re.compile(wanted["matches"])
            except (re.error, RecursionError, OverflowError) as error:
                at: tuple[Step, ...] = ("expect", "headers", name)
                yield at, f"{wanted['matches']!r} is no regular expression; {error}"
    if "body" in expect:
        yield from _says_nothing(expect["body"], ("expect", "body"))
    schema = expect.get("schema")
    if isinstance(schema, dict):
        for inner, what in inline_schemas.mistakes(schema):
            yield ("expect", "schema", *inner), what


def _says_nothing(wanted: Any, path: tuple[Step, ...]) -> Iterator[Mistake]:
    if wanted == {}:
        yield path, "{} accepts every object; name what must be in it, or use schema"
    for key, inner in (
        wanted.items() if isinstance(wanted, dict) else enumerate(wanted if isinstance(wanted, list) else ())
    ):
        yield from _says_nothing(inner, (*path, key))


def _unknown_schemas(source: Source, schemas: Collection[str]) -> Iterator[str]:
    for number, check in enumerate(source.value["checks"]):
        name = check["expect"].get("schema")
        if isinstance(name, str) and name not in schemas:
            path: list[Step] = ["checks", number, "expect", "schema"]
            known = nearest(name, schemas) or f"; there are {', '.join(schemas) or 'none'}"
            yield source.error(path, f"the contract has no schema {name!r}{_where(source, path[:3])}{known}")

"""Checks written in YAML: what a file may say (``checks.schema.json``), and each check as it will be asked."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from verification.declarative.source import InvalidChecks, Source, Step, read

SCHEMA_FILE = Path(__file__).with_name("checks.schema.json")
SUFFIXES = (".yaml", ".yml")
_HOLE = re.compile(r"\$\{(\w+)\}")


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
        """Where it stands: ``suites/health/pages.yaml:3``."""
        return f"{self.file}:{self.line}"


def load(path: Path, shown: str) -> tuple[DeclaredCheck, ...]:
    """The checks of a file, which messages call ``shown``. Raises InvalidChecks with every mistake in it; OSError."""
    source = read(path, shown)
    mistakes = [_explain(source, error) for error in _errors(source.value)]
    if not mistakes:
        mistakes = list(_mistakes(source))
    if mistakes:
        raise InvalidChecks("\n".join(dict.fromkeys(mistakes)))
    return tuple(_check(source, number, raw) for number, raw in enumerate(source.value["checks"]))


def fill(value: Any, parameters: Mapping[str, Any]) -> Any:
    """The value with its holes filled; a text that is one hole becomes the parameter itself, a number for instance."""
    if isinstance(value, dict):
        return {key: fill(inner, parameters) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, parameters) for inner in value]
    if not isinstance(value, str):
        return value
    whole = _HOLE.fullmatch(value)
    return parameters[whole[1]] if whole else _HOLE.sub(lambda hole: str(parameters[hole[1]]), value)


def _check(source: Source, number: int, raw: Mapping[str, Any]) -> DeclaredCheck:
    request = raw["request"]
    if isinstance(request, str):
        method, _, path = request.partition(" ")
        request = {"method": method, "path": path}
    parameters = tuple(raw.get("parameters", ()))
    signed_in = bool(raw.get("signed_in", False))
    line = source.line(["checks", number])
    return DeclaredCheck(source.file, line, raw["name"], request, raw["expect"], signed_in, parameters)


# -- what is wrong with a file --------------------------------------------------------------------------------------------


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def _errors(value: Any) -> list[ValidationError]:
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
    if error.validator == "type":
        kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        return f"expected {' or '.join(map(str, kinds))}"
    if error.validator == "pattern":
        return f"expected {_PATTERNS.get(str(error.absolute_path[-1]), f'what fits {error.validator_value}')}"
    return str(error.message)


_PATTERNS = {
    "request": "a method and a path, as in 'GET /health'",
    "path": "a path that begins with /",
    "name": "letters, digits, blanks and _.,'()/- (it becomes part of the check's id)",
}


def _where(source: Source, path: list[Step]) -> str:
    """In which check, by its name, and in which part of it."""
    if len(path) < 2 or path[0] != "checks":
        return ""
    check = source.value["checks"][path[1]]
    name = check.get("name") if isinstance(check, dict) else None
    parts = ".".join(str(step) for step in path[2:])
    return f" in {f'{parts} of ' if parts else ''}check {name!r}" if name else f" in check {int(path[1]) + 1}"


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'status'?``, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _mistakes(source: Source) -> Iterator[str]:
    """What a schema cannot say."""
    checks = source.value["checks"]
    often = Counter(check["name"] for check in checks)
    for number, check in enumerate(checks):
        path: list[Step] = ["checks", number]
        where = _where(source, path)
        if often[check["name"]] > 1:
            yield source.error([*path, "name"], f"{often[check['name']]} checks are named {check['name']!r}")
        if check["name"].isidentifier() and check["name"].lower().startswith(("setup", "teardown", "pytest")):
            yield source.error([*path, "name"], f"the name {check['name']!r} means something to pytest; take another")
        request = check["request"]
        if isinstance(request, dict) and {"json", "body"} <= request.keys():
            yield source.error([*path, "request", "body"], f"a request has json or body, not both{where}")
        yield from _holes(source, path, check)
        yield from _expectations(source, path, check["expect"])


def _holes(source: Source, path: list[Step], check: Mapping[str, Any]) -> Iterator[str]:
    sets = check.get("parameters", ())
    names = set(sets[0]) - {"id"} if sets else set()  # an id is what a set is called in reports
    for number, one in enumerate(sets):
        if set(one) - {"id"} != names:
            other = ", ".join(sorted((set(one) - {"id"}) ^ names))
            yield source.error(
                [*path, "parameters", number], f"parameters {number + 1} and 1 do not have the same names: {other}"
            )
    for part in ("request", "expect"):
        for hole in sorted(set(_HOLE.findall(json.dumps(check[part])))):
            if hole not in names:
                hint = nearest(hole, names) or "; give it in parameters"
                yield source.error([*path, part], f"${{{hole}}} is no parameter{_where(source, path)}{hint}")


def _expectations(source: Source, path: list[Step], expect: Mapping[str, Any]) -> Iterator[str]:
    where = _where(source, path)
    for name, wanted in expect.get("headers", {}).items():
        if isinstance(wanted, dict):
            try:
                re.compile(wanted["matches"])
            except re.error as error:
                at: list[Step] = [*path, "expect", "headers", name]
                yield source.error(at, f"{wanted['matches']!r} is no regular expression{where}: {error}")
    if isinstance(expect.get("schema"), dict):
        try:
            Draft202012Validator.check_schema(expect["schema"])
        except SchemaError as error:
            yield source.error([*path, "expect", "schema"], f"this is no JSON Schema{where}: {error.message}")

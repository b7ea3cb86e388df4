"""Reads checks written in YAML: each check in the form in which it is sent, one case for each set of its parameters."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from verification.declarative import inline_schemas, rules
from verification.declarative.check_schema import mistakes_by_schema, where
from verification.declarative.exemptions import ADVISORY, REQUIRED, Skip, not_here, today
from verification.declarative.files import Folder, UnusableFile, rows
from verification.declarative.placeholder_rules import nearest
from verification.declarative.source import InvalidChecks, Source, parse, read_bytes, without_garbage_collection
from verification.declarative.source import Step as Key
from verification.declarative.vocabulary import Until, expectation_of, request_of, until_of
from verification.journeys.model import Step
from verification.journeys.placeholders import spelt, variable

SUFFIXES = (".yaml", ".yml")
_HOLE = re.compile(r"\$\{([^{}]*)\}")
ONE_STEP = ""
"""The name of the only step of a check that is written without steps."""


@dataclass(frozen=True)
class DeclaredStep:
    """A request of a check, and its line; ``until``: it is repeated until the answer is as expected.

    ``second``: it is sent in the session of the second account.
    """

    line: int
    step: Step
    until: Until | None = None
    second: bool = False


@dataclass(frozen=True)
class Case:
    """A check with one set of its parameters filled in; ``undo`` steps are always sent."""

    id: str
    steps: tuple[DeclaredStep, ...]
    undo: tuple[DeclaredStep, ...] = ()


@dataclass(frozen=True)
class DeclaredCheck:
    """One check of a file. ``on``: candidate, live, both or each; ``differ``: JSONPaths that may differ if it is both.

    ``session`` is the name of the session that its requests are sent in, ``signed_in`` means the first one of the service.
    ``variables`` are the placeholders ``env.NAME`` and ``secret.NAME``. ``independent``: whether it may run beside others; None
    if the check does not say so. ``severity`` is ``required`` or ``advisory``.
    """

    file: str
    line: int
    name: str
    cases: tuple[Case, ...]
    has_parameters: bool = False
    signed_in: bool = False
    session: str | None = None
    on: str = "candidate"
    differ: tuple[str, ...] = ()
    variables: tuple[str, ...] = field(default=())
    independent: bool | None = None
    severity: str = REQUIRED
    skip: Skip | None = None

    @property
    def place(self) -> str:
        """Return file and line: ``suites/health/pages.yaml:3``."""
        return f"{self.file}:{self.line}"

    @property
    def writes(self) -> bool:
        """Return whether a request of the check may change something."""
        return any(one.step.request.writes for case in self.cases for one in (*case.steps, *case.undo))

    @property
    def has_session(self) -> bool:
        """Return whether its requests are sent in a session."""
        return self.signed_in or self.session is not None

    @property
    def needs_second(self) -> bool:
        """Return whether a step is sent in the session of the second account."""
        return any(one.second for case in self.cases[:1] for one in (*case.steps, *case.undo))

    @property
    def may_overlap(self) -> bool:
        """Return whether the check may run beside others: it says so, or it only reads."""
        return not self.writes if self.independent is None else self.independent


def load(path: Path, shown: str, schemas: Collection[str] | None = None) -> tuple[DeclaredCheck, ...]:
    """Return the checks of a file, which messages call ``shown``.

    ``schemas``: the names of the contract's schemas; None if they are unknown, and the names in checks are then not compared.
    Raise InvalidChecks with every mistake in the file.
    """
    data, folder = read_bytes(path, shown), Folder.of(path)
    found = _loaded(data, shown, folder)
    if not found.unchanged():  # a file that its checks name has changed since
        _loaded.cache_clear()
        found = _loaded(data, shown, folder)
    if schemas is not None:
        unknown = list(_unknown_schemas(found.source, schemas))
        if unknown:
            raise InvalidChecks("\n".join(unknown))
    return found.checks


def fill(value: Any, parameters: Mapping[str, Any]) -> Any:
    """Return the value with its parameters filled in; a text that is one placeholder becomes the parameter itself."""
    if isinstance(value, dict):
        return {key: fill(inner, parameters) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, parameters) for inner in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    whole = _HOLE.fullmatch(value)
    if whole and whole[1] in parameters:
        return parameters[whole[1]]
    return _HOLE.sub(lambda hole: spelt(parameters[hole[1]]) if hole[1] in parameters else hole[0], value)


@dataclass(frozen=True)
class _Loaded:
    """A file's document, its checks, and the files that it names, with size and time of each."""

    source: Source
    checks: tuple[DeclaredCheck, ...]
    files: Mapping[Path, tuple[int, int]]

    def unchanged(self) -> bool:
        return all(_stamp(path) == stamp for path, stamp in self.files.items())


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=256)  # pytest's collection reads each file several times
def _loaded(data: bytes, shown: str, folder: Folder) -> _Loaded:
    with without_garbage_collection():
        source = parse(data, shown)
        mistakes = mistakes_by_schema(source)
        if mistakes:
            raise InvalidChecks("\n".join(dict.fromkeys(mistakes)))
        builder = _Builder(source, folder)
        checks = builder.checks()
    if builder.mistakes:
        raise InvalidChecks("\n".join(dict.fromkeys(builder.mistakes)))
    return _Loaded(source, checks, builder.files)


class _Builder:
    """Builds the checks of a document whose shape is valid, and collects the other mistakes in it."""

    def __init__(self, source: Source, folder: Folder) -> None:
        self.mistakes: list[str] = []
        self.files: dict[Path, tuple[int, int]] = {}
        self._source = source
        self._folder = folder
        self._gate = folder.gate
        self._today = today()

    def checks(self) -> tuple[DeclaredCheck, ...]:
        """Return every check without a mistake."""
        raw = self._source.value["checks"]
        self.mistakes += [self._source.error(path, what) for path, what in rules.names(raw)]
        return tuple(self._check(["checks", number], one) for number, one in enumerate(raw))

    def _mistake(self, path: Sequence[Key], what: str) -> None:
        """Add a mistake; the check is named before the hint, which follows a semicolon."""
        problem, semicolon, hint = what.partition("; ")
        place = where(self._source, list(path[: 5 if "steps" in path[2:3] or "undo" in path[2:3] else 3]))
        self.mistakes.append(self._source.error(path, f"{problem}{place}{semicolon}{hint}"))

    def _check(self, path: list[Key], raw: Mapping[str, Any]) -> DeclaredCheck:
        before = len(self.mistakes)
        sets = self._sets(path, raw.get("parameters"))
        found = rules.texts_of(raw)
        for inner, what in (*rules.mistakes(raw, sets, found), *rules.exemption(raw, self._today)):
            self._mistake([*path, *inner], what)
        exempt = "skip" if "skip" in raw else "severity" if raw.get("severity") == ADVISORY else None
        if exempt is not None and (problem := not_here(self._gate, "skipped" if exempt == "skip" else ADVISORY)):
            self._mistake([*path, exempt], problem)
        cases: tuple[Case, ...] = ()
        if len(self.mistakes) == before:
            cases = tuple(self._case(path, raw, one) for one in sets or [{}])
        asked = {name for text in found for name in text.names}
        return DeclaredCheck(
            self._source.file,
            self._source.line(path),
            raw["name"],
            cases,
            has_parameters=bool(sets),
            signed_in=raw.get("signed_in", False),
            session=raw.get("as"),
            on=raw.get("on", "candidate"),
            differ=tuple(raw.get("differ", ())),
            variables=tuple(sorted(name for name in asked if variable(name) is not None)),
            independent=raw.get("independent"),
            severity=raw.get("severity", REQUIRED),
            skip=Skip(**raw["skip"]) if "skip" in raw else None,
        )

    def _sets(self, path: list[Key], raw: Any) -> list[dict[str, Any]]:
        if not isinstance(raw, dict):
            return list(raw or ())
        try:
            found = self._folder.find(raw["csv"])
            self.files[found] = _stamp(found)
            return rows(found, raw["csv"], raw.get("types", {}))
        except UnusableFile as error:
            self._mistake([*path, "parameters", "csv"], str(error))
            return []

    def _case(self, path: list[Key], raw: Mapping[str, Any], parameters: Mapping[str, Any]) -> Case:
        if "steps" not in raw:
            return Case(_id(parameters), (self._step(path, {**raw, "name": ONE_STEP}, parameters),))
        steps, undo = (
            tuple(self._step([*path, part, number], one, parameters) for number, one in enumerate(raw.get(part, ())))
            for part in ("steps", "undo")
        )
        return Case(_id(parameters), steps, undo)

    def _step(self, path: list[Key], raw: Mapping[str, Any], parameters: Mapping[str, Any]) -> DeclaredStep:
        values = {name: value for name, value in parameters.items() if name != "id"}  # a step can capture an id
        request, expect = fill(raw["request"], values), fill(raw["expect"], values)

        def find(name: str) -> str:
            try:
                found = self._folder.find(name)
            except UnusableFile as error:
                self._mistake([*path, "request"], str(error))
                return name
            self.files[found] = _stamp(found)
            return str(found)

        for inner, what in rules.mistakes_in_filled_expectation(raw["expect"], expect):
            self._mistake([*path, *inner], what)
        made = request_of(request, find)
        for what in rules.mistakes_in_filled(made, parameters):
            self._mistake([*path, "request"], what)
        schema = expect.get("schema")
        strict = inline_schemas.strict(schema) if isinstance(schema, dict) else schema
        step = Step(raw["name"], str(made), made, expectation_of(expect, strict), raw.get("capture", {}))
        return DeclaredStep(self._source.line(path), step, until_of(raw.get("until")), raw.get("account") == "second")


def _id(parameters: Mapping[str, Any]) -> str:
    """Return ``id`` if the parameters have one, else their values; without brackets, which would end the item's id."""
    text = str(parameters["id"]) if "id" in parameters else "-".join(str(value) for value in parameters.values())
    return "".join(letter if letter.isalnum() or letter in " _.,=-" else "_" for letter in text)[:60]


def _unknown_schemas(source: Source, schemas: Collection[str]) -> Iterator[str]:
    for number, check in enumerate(source.value["checks"]):
        for path, raw in rules.steps_of(check):
            name = raw["expect"].get("schema")
            if isinstance(name, str) and name not in schemas:
                whole: list[Key] = ["checks", number, *path, "expect", "schema"]
                known = nearest(name, schemas) or f"; there are {', '.join(schemas) or 'none'}"
                yield source.error(whole, f"the contract has no schema {name!r}{where(source, whole[:-1])}{known}")

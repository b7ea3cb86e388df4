"""The parts of an OpenAPI document that a draft needs: operations, their schemas and their security."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from deployment.errors import Refused
from verification.contract.openapi import Contract

METHODS = ("get", "post", "put", "patch", "delete")
JSON = "json"
FORM = "x-www-form-urlencoded"
_VARIABLE = re.compile(r"\{([^{}]+)\}")
_SESSION = re.compile(r"(?:log|sign)[-_]?(?:in|out|off|on)\b", re.IGNORECASE)
_CHAIN = 20
"""The longest chain of references that is followed."""


@dataclass(frozen=True, eq=False)
class Operation:
    """One documented operation. ``path`` has the base path of ``servers``; ``raw`` is the document's own object."""

    method: str
    path: str
    raw: Mapping[str, Any]
    parameters: tuple[Mapping[str, Any], ...]

    @property
    def variables(self) -> list[str]:
        """The names of the path's variables, in order."""
        return _VARIABLE.findall(self.path)

    @property
    def is_about_sessions(self) -> bool:
        """Whether the path names signing in or out: asking for it is not a way of looking at something."""
        return _SESSION.search(self.path) is not None

    @property
    def needs_query(self) -> bool:
        """Whether a query parameter or a header without a default is required."""
        return any(one.get("required") and one.get("in") in ("query", "header") for one in self.parameters)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Document:
    """An OpenAPI document as it was written; its references are resolved on demand."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        servers = raw.get("servers") or [{}]
        self._base = urlsplit(str(servers[0].get("url", ""))).path.rstrip("/")
        self.operations = tuple(self._operations())

    @property
    def title(self) -> str:
        """The service's title; empty if the document has none."""
        return str(self.resolve(self.raw.get("info", {})).get("title", ""))

    def resolve(self, value: Any) -> Any:
        """Return the object that a chain of local references leads to; an empty object if it leads nowhere."""
        for _ in range(_CHAIN):
            if not (isinstance(value, Mapping) and "$ref" in value):
                return value
            found: Any = self.raw
            for part in str(value["$ref"]).removeprefix("#/").split("/"):
                found = found.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
            value = found
        return {}

    def success(self, operation: Operation) -> tuple[int, Mapping[str, Any]]:
        """Return the first documented status of success and its response; 200 and an empty one if none is documented."""
        responses = operation.raw.get("responses", {})
        found = sorted(int(str(status)) for status in responses if str(status).isdecimal() and str(status)[0] == "2")
        if not found:
            return 200, {}
        response = responses.get(str(found[0]), responses.get(found[0], {}))
        return found[0], self.resolve(response)

    def documents(self, operation: Operation, *statuses: int) -> int | None:
        """Return the first of these statuses that the operation documents."""
        documented = {str(status) for status in operation.raw.get("responses", {})}
        return next((status for status in statuses if str(status) in documented), None)

    def answer_schema(self, operation: Operation) -> Mapping[str, Any]:
        """Return the schema of a successful JSON answer; empty if there is none."""
        return self.schema_of(self.success(operation)[1], JSON)

    def schema_of(self, holder: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
        """Return the schema of the first media type of this kind; empty if there is none."""
        for name, media in self.resolve(holder).get("content", {}).items():
            if kind in name:
                return self.flat(self.resolve(media).get("schema", {}))
        return {}

    def flat(self, schema: Any, depth: int = 0) -> Mapping[str, Any]:
        """Return a schema with its references resolved, ``allOf`` merged, and the first of ``oneOf`` and ``anyOf`` taken."""
        found = self.resolve(schema)
        if not isinstance(found, Mapping) or depth > _CHAIN:
            return {}
        merged: dict[str, Any] = {key: value for key, value in found.items() if key not in ("allOf", "oneOf", "anyOf")}
        parts = [*found.get("allOf", ()), *found.get("oneOf", ())[:1], *_first_that_is_not_null(found.get("anyOf", ()))]
        for part in parts:
            inner = self.flat(part, depth + 1)
            properties = {**merged.get("properties", {}), **inner.get("properties", {})}
            required = [*merged.get("required", ()), *inner.get("required", ())]
            merged = {**inner, **merged}
            merged |= ({"properties": properties} if properties else {}) | ({"required": required} if required else {})
        return merged

    def inside(self, schema: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
        """Return the name and schema of the only property if it is an object, as in ``{"pet": {…}}``; else None and the schema."""
        properties = schema.get("properties", {})
        if len(properties) == 1:
            (name,) = properties
            inner = self.flat(properties[name])
            if "properties" in inner:
                return name, inner
        return None, schema

    def security(self, operation: Operation) -> str | None:
        """Return the name of the first security scheme that the operation needs; None if it can be asked without one."""
        wanted = operation.raw.get("security", self.raw.get("security", ()))
        if not wanted or {} in wanted:
            return None
        return next(iter(wanted[0]), None)

    def schemes(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the security schemes by name."""
        found = self.resolve(self.raw.get("components", {})).get("securitySchemes", {})
        return {name: self.resolve(scheme) for name, scheme in found.items()}

    def _operations(self) -> Iterator[Operation]:
        for path, item in self.raw.get("paths", {}).items():
            shared = self.resolve(item) if str(path).startswith("/") else {}  # the others are extensions
            for method in METHODS:
                raw = shared.get(method)
                if isinstance(raw, Mapping):
                    parameters = [
                        self.resolve(one) for one in (*shared.get("parameters", ()), *raw.get("parameters", ()))
                    ]
                    yield Operation(method.upper(), f"{self._base}{path}", raw, tuple(parameters))


def files_of(path: Path) -> list[Path]:
    """Return a document's file and the files below its folder that its references lead to. Raises OSError, YAMLError."""
    folder, found, unread = path.resolve().parent, [path.resolve()], [path.resolve()]
    while unread:
        one = unread.pop()
        for reference in _references(yaml.safe_load(one.read_text(encoding="utf-8"))):
            target = (one.parent / reference).resolve()
            if target.is_file() and target.is_relative_to(folder) and target not in found:
                found.append(target)
                unread.append(target)
    return found


def _references(value: Any) -> Iterator[str]:
    """Yield the files that references in a JSON value name."""
    if isinstance(value, Mapping):
        file = str(value.get("$ref", "")).partition("#")[0]
        if file and "://" not in file:
            yield file
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _references(one)


def _first_that_is_not_null(choices: Any) -> list[Any]:
    return [one for one in choices if not (isinstance(one, Mapping) and one.get("type") == "null")][:1]


def read_document(path: Path) -> Document:
    """Return an OpenAPI document. Raises Refused if the file cannot be read or is not an OpenAPI 3 document."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(raw, Mapping) and "swagger" in raw:
            raise Refused(
                f"{path} is a Swagger {raw['swagger']} document, but OpenAPI 3 is needed",
                hint="Convert it, for example with `npx swagger2openapi`, or omit --contract.",
            )
        Contract.load(path)
    except OSError as error:
        raise Refused(f"--contract {path} cannot be read: {error.strerror or type(error).__name__}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise Refused(
            f"--contract {path} cannot be used: {' '.join(str(error).split())}",
            hint="Name an OpenAPI 3 document, or omit --contract.",
        ) from None
    return Document(raw)

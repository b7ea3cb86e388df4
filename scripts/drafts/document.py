"""The parts of an OpenAPI document that a draft needs: operations, their schemas and their security."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from deployment.errors import Refused
from verification.contract.document import read
from verification.contract.fields import KEYWORDS
from verification.contract.openapi import Contract
from verification.contract.spellings import plain

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
    """An OpenAPI document as it was written; its references are resolved on demand.

    ``others`` holds the files beside it by their path, which references to them begin with; ``files`` lists all of them.
    """

    def __init__(self, raw: Mapping[str, Any], others: Mapping[str, Any], files: tuple[Path, ...]) -> None:
        self.raw = raw
        self.files = files
        self._others = others
        servers = raw.get("servers") or [{}]
        self._base = _base(servers[0] if isinstance(servers[0], Mapping) else {})
        self.operations = tuple(self._operations())

    @property
    def title(self) -> str:
        """The service's title; empty if the document has none."""
        return str(_mapping(self.resolve(self.raw.get("info"))).get("title", ""))

    def resolve(self, value: Any) -> Any:
        """Return the object that a chain of local references leads to; an empty object if it leads nowhere."""
        for _ in range(_CHAIN):
            if not (isinstance(value, Mapping) and "$ref" in value):
                return value
            file, _, pointer = str(value["$ref"]).partition("#")
            found: Any = self._others.get(file, {}) if file else self.raw
            for part in unquote(pointer).strip("/").split("/") if pointer.strip("/") else ():
                if isinstance(found, list) and part.isdecimal() and int(part) < len(found):
                    found = found[int(part)]
                else:
                    found = _mapping(found).get(part.replace("~1", "/").replace("~0", "~"), {})
            value = found
        return {}

    def success(self, operation: Operation) -> tuple[int, Mapping[str, Any]]:
        """Return the first documented status of success and its response; 200 and an empty one if none is documented."""
        responses = _mapping(self.resolve(operation.raw.get("responses")))
        found = sorted(int(str(status)) for status in responses if str(status).isdecimal() and str(status)[0] == "2")
        if not found:
            return 200, {}
        return found[0], _mapping(self.resolve(responses[str(found[0])]))

    def documents(self, operation: Operation, *statuses: int) -> int | None:
        """Return the first of these statuses that the operation documents."""
        documented = set(_mapping(self.resolve(operation.raw.get("responses"))))
        return next((status for status in statuses if str(status) in documented), None)

    def answer_schema(self, operation: Operation) -> Mapping[str, Any]:
        """Return the schema of a successful JSON answer; empty if there is none."""
        return self.schema_of(self.success(operation)[1], JSON)

    def schema_of(self, holder: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
        """Return the schema of the first media type of this kind; empty if there is none."""
        for name, media in _mapping(_mapping(self.resolve(holder)).get("content")).items():
            if kind in name:
                return self.flat(_mapping(self.resolve(media)).get("schema", {}))
        return {}

    def flat(self, schema: Any, depth: int = 0) -> Mapping[str, Any]:
        """Return a schema with its references resolved, ``allOf`` merged, and the first of ``oneOf`` and ``anyOf`` taken."""
        found = plain(self.resolve(schema), KEYWORDS)
        if not isinstance(found, Mapping) or depth > _CHAIN:
            return {}
        merged: dict[str, Any] = {key: value for key, value in found.items() if key not in ("allOf", "oneOf", "anyOf")}
        parts = [
            *(found.get("allOf") or ()),
            *(found.get("oneOf") or ())[:1],
            *_first_that_is_not_null(found.get("anyOf", ())),
        ]
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
        wanted = operation.raw.get("security", self.raw.get("security")) or ()
        wanted = [wanted] if isinstance(wanted, Mapping) else wanted
        if not wanted or not all(wanted):
            return None
        return next(iter(wanted[0]), None)

    def schemes(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the security schemes by name."""
        found = _mapping(_mapping(self.resolve(self.raw.get("components"))).get("securitySchemes"))
        return {name: _mapping(self.resolve(scheme)) for name, scheme in found.items()}

    def _operations(self) -> Iterator[Operation]:
        for path, item in _mapping(self.resolve(self.raw.get("paths"))).items():
            shared = (
                _mapping(self.resolve(item)) if path.startswith("/") and "#" not in path else {}
            )  # extensions, notes
            for method in METHODS:
                raw = self.resolve(shared.get(method))
                if isinstance(raw, Mapping):
                    parameters = [
                        _mapping(self.resolve(one))
                        for one in (*(shared.get("parameters") or ()), *(raw.get("parameters") or ()))
                    ]
                    yield Operation(method.upper(), f"{self._base}{path}", raw, tuple(parameters))


def files_of(path: Path) -> dict[Path, Any]:
    """Return the contents of a document's file and of the files that its references lead to, by path, the document first.

    A file that cannot be read is left out. Raises OSError or ValueError for the document itself.
    """
    root = path.resolve()
    found, unread = {root: read(root)}, [root]
    while unread:
        one = unread.pop()
        for target in {_file(reference, one) for reference in _references(found[one])} - found.keys():
            try:
                found[target] = read(target)
            except (OSError, ValueError):
                continue
            unread.append(target)
    return found


def _file(reference: str, beside: Path) -> Path:
    name = reference.partition("#")[0]
    return (beside.parent / unquote(name)).resolve() if name else beside


def _references(value: Any) -> Iterator[str]:
    """Yield the references to other files in a JSON value."""
    if isinstance(value, Mapping):
        reference = value.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#") and "://" not in reference:
            yield reference
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _references(one)


def _from_root(value: Any, file: Path, root: Path) -> Any:
    """Return a file's content in which each reference names its file, unless that is the document itself."""
    if isinstance(value, list):
        return [_from_root(one, file, root) for one in value]
    if not isinstance(value, Mapping):
        return value
    made = {key: _from_root(one, file, root) for key, one in value.items()}
    reference = value.get("$ref")
    if isinstance(reference, str) and "://" not in reference:
        target = _file(reference, file)
        made["$ref"] = f"{'' if target == root else target}#{reference.partition('#')[2]}"
    return made


def _base(server: Mapping[str, Any]) -> str:
    """Return the path of a server, with the default values of its variables."""
    url = str(server.get("url") or "")
    for name, variable in _mapping(server.get("variables")).items():
        url = url.replace(f"{{{name}}}", str(_mapping(variable).get("default", "")))
    path = urlsplit(url).path.rstrip("/")
    return path if path.startswith("/") or not path else f"/{path}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _first_that_is_not_null(choices: Any) -> list[Any]:
    return [one for one in choices or () if not (isinstance(one, Mapping) and one.get("type") == "null")][:1]


def read_document(path: Path) -> Document:
    """Return an OpenAPI document. Raises Refused if the file cannot be read or is not an OpenAPI 3 document."""
    try:
        files = files_of(path)
        raw = next(iter(files.values()))
        if "swagger" in _mapping(raw) and "openapi" not in raw:
            raise Refused(
                f"{path} is a Swagger {raw['swagger']} document, but OpenAPI 3 is needed",
                hint="Convert it, for example with `npx swagger2openapi`, or omit --contract.",
            )
        Contract.load(path)
    except OSError as error:
        raise Refused(f"--contract {path} cannot be read: {error.strerror or type(error).__name__}") from None
    except ValueError as error:
        raise Refused(
            f"--contract {path} cannot be used: {' '.join(str(error).split())}",
            hint="Name an OpenAPI 3 document, or omit --contract.",
        ) from None
    root = path.resolve()
    others = {str(file): _from_root(content, file, root) for file, content in files.items()}
    return Document(others.pop(str(root)), others, tuple(files))

"""The operations of a document: their paths, and the answers that it allows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from verification.contract.document import Node
from verification.contract.schemas import Schemas

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
_STATUS = re.compile(r"[1-5](\d\d|XX)|default")
_PARAMETER = re.compile(r"(\{[^{}]+\})")
_SAFE = "!$&'()*+,;=:@-._~"  # RFC 3986: what a segment of a path may have as it is
_WORST = 4


@dataclass(frozen=True)
class Header:
    """A header of an answer; ``schema`` is the name of its schema, None if any value fits."""

    name: str
    required: bool
    schema: str | None
    json: bool = False


@dataclass(frozen=True)
class Answer:
    """The answer to one status: the schema's name for each content type (None: any body of that type), and headers."""

    content: Mapping[str, str | None]
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True)
class Operation:
    """One method of one path template.

    ``statuses`` maps each status that is documented by its number to its content types (none: no body); ``answers`` has
    all that is documented, ``4XX`` and ``default`` too. ``secured`` operations need a token. ``pattern`` matches a path
    with the path of a server before it.
    """

    operation_id: str
    method: str
    path: str
    statuses: Mapping[int, tuple[str, ...]]
    secured: bool
    pattern: re.Pattern[str] = field(repr=False, compare=False)
    answers: Mapping[str, Answer] = field(default_factory=dict, repr=False, compare=False)

    def answer(self, status: int) -> Answer | None:
        """Return the documented answer for a status; None if there is none."""
        key = self.key_of(status)
        return None if key is None else self.answers[key]

    def key_of(self, status: int) -> str | None:
        """Return the key under which a status is documented: itself, before its range, before ``default``."""
        keys = (str(status), f"{status // 100}XX", "default")
        return next((key for key in keys if key in self.answers), None)


def operations(root: Node, schemas: Schemas) -> tuple[Operation, ...]:
    """Return every operation, those with concrete paths before templates. Raises InvalidDocument with the place."""
    found = [
        _operation(root, schemas, path, method, operation, item)
        for path, place in root.mapping("paths")
        for item in (_path_item(place, path),)
        for method, operation in _methods(item)
    ]
    return tuple(sorted(found, key=lambda operation: _precedence(operation.path)))


def normal(path: str) -> str:
    """Return a path in one spelling: only the characters that require it are percent-encoded. A %2F stays in its segment."""
    return "/".join(quote(unquote(segment), safe=_SAFE) for segment in path.split("/"))


def _path_item(place: Node, path: str) -> dict[str, Node]:
    """Return the fields of a path item by name; of two beside and behind its ``$ref``, the one beside it."""
    if not path.startswith("/"):
        raise place.wrong(f"a path must begin with a slash, such as /{path}")
    target = place.object()
    behind = {key: target.child(key) for key in target.value}
    return {**behind, **{key: place.child(key) for key in place.value if key != "$ref"}}


def _methods(item: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    yield from ((method.upper(), item[method].object()) for method in _METHODS if method in item)
    if "additionalOperations" in item:  # OpenAPI 3.2
        further = item["additionalOperations"].object()
        yield from ((method, further.child(method).object()) for method in further.value)


def _operation(
    root: Node, schemas: Schemas, path: str, method: str, place: Node, item: Mapping[str, Node]
) -> Operation:
    answers = {}
    for key, response in place.mapping("responses"):
        status = key.upper() if key[1:].upper() == "XX" else key
        if not _STATUS.fullmatch(status):
            raise response.wrong(f"{key!r} is not a status: it must be a number such as 404, 4XX or default")
        answers[status] = _answer(schemas, response.object())
    security = place.value.get("security", root.value.get("security"))
    servers = next((one["servers"] for one in (_fields(place), item, _fields(root)) if one.get("servers")), None)
    return Operation(
        str(place.value.get("operationId", f"{method} {path}")),
        method,
        path,
        {int(status): tuple(answer.content) for status, answer in answers.items() if status.isdecimal()},
        isinstance(security, list) and bool(security) and {} not in security,
        re.compile(f"(?:{'|'.join(_prefixes(servers))}){_pattern(path)}"),
        answers,
    )


def _fields(node: Node) -> dict[str, Node]:
    return {key: node.child(key) for key in ("servers",) if node.value.get(key)}


def _answer(schemas: Schemas, response: Node) -> Answer:
    content: dict[str, str | None] = {}
    for content_type, place in response.mapping("content"):
        media = place.object()
        content[content_type] = schemas.add(media.child("schema")) if "schema" in media.value else None
    headers = [_header(schemas, name, place.object()) for name, place in response.mapping("headers")]
    # OpenAPI ignores a Content-Type here: the content states it.
    return Answer(content, tuple(header for header in headers if header.name.lower() != "content-type"))


def _header(schemas: Schemas, name: str, place: Node) -> Header:
    required = bool(place.value.get("required", False))
    if "schema" in place.value:
        return Header(name, required, schemas.add(place.child("schema")))
    for content_type, media in place.mapping("content"):
        if content_type.lower().endswith(("/json", "+json")) and "schema" in media.object().value:
            return Header(name, required, schemas.add(media.object().child("schema")), json=True)
    return Header(name, required, None)


def _prefixes(servers: Node | None) -> list[str]:
    """Return patterns of the servers' paths; their hosts are not compared, since each colour has its own."""
    if servers is None:
        return [""]
    if not isinstance(servers.value, list):
        raise servers.wrong("must be a list of servers")
    return list(dict.fromkeys(_prefix(servers.child(index).object()) for index in range(len(servers.value))))


def _prefix(server: Node) -> str:
    url = server.value.get("url", "/")
    if not isinstance(url, str):
        raise server.wrong("must be a text", "url")
    variables = {name: one.object().value for name, one in server.mapping("variables")}
    marks = {f"\0{number}\0": name for number, name in enumerate(variables)}
    for mark, name in marks.items():
        url = url.replace(f"{{{name}}}", mark)
    # A variable may hold the scheme or the whole address: then its default shows where the path begins.
    mark, name = next(((mark, name) for mark, name in marks.items() if url.startswith(mark)), ("", ""))
    if mark and url[len(mark) :][:1] in ("", "/"):
        url = str(variables[name].get("default", "")) + url[len(mark) :]
    path = _path_of(url).rstrip("/")
    if path and not path.startswith("/"):
        path = f"/{path}"
    parts = re.split("(\0\\d+\0)", path)
    return "".join(_values(variables[marks[part]]) if part in marks else re.escape(normal(part)) for part in parts)


def _path_of(url: str) -> str:
    """Return the path of an absolute or relative address, whose host and port may be variables."""
    absolute = re.match(r"[^/?#]*//[^/?#]*", url)
    rest = url[absolute.end() :] if absolute else url
    return re.split(r"[?#]", rest)[0].removeprefix(".")


def _values(variable: Mapping[str, Any]) -> str:
    """Return a pattern of the values that a server's variable may have: its enum, or else its default or any one segment."""
    listed = [str(value) for value in (variable.get("enum") or (variable.get("default", ""),))]
    patterns = [re.escape(normal(value.strip("/"))) for value in listed]
    return f"(?:{'|'.join(patterns if variable.get('enum') else [*patterns, '[^/]+'])})"


def _pattern(path: str) -> str:
    return "".join(
        (".+" if part[-2] in "+*" else "[^/]+") if _PARAMETER.fullmatch(part) else re.escape(normal(part))
        for part in _PARAMETER.split(path)
    )


def _precedence(path: str) -> list[int]:
    """Return a key that sorts concrete segments before templated ones, from left to right."""
    return [
        0
        if "{" not in segment
        else _WORST
        if segment[-2:-1] in ("+", "*")
        else 2
        if _PARAMETER.fullmatch(segment)
        else 1
        for segment in path.split("/")
    ]

"""The operations of a document: their paths, and the answers that it allows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from verification.contract.document import Node
from verification.contract.fields import (
    METHODS,
    check_header,
    check_media,
    check_media_type,
    check_operation,
    check_path_item,
    check_response,
    flag,
)
from verification.contract.media import MediaType
from verification.contract.schemas import Schemas
from verification.contract.servers import prefixes
from verification.contract.templates import PARAMETER, narrow, pattern, precedence

_STATUS = re.compile(r"[1-5]([0-9][0-9]|XX)|default")
_BRACE = re.compile(r"[{}]")


@dataclass(frozen=True)
class Header:
    """A header of an answer; ``schema`` is the name of its schema, None if any value fits."""

    name: str
    required: bool
    schema: str | None
    json: bool = False


@dataclass(frozen=True)
class Answer:
    """The answer to one status: the schema's name for each content type (None: any body of that type), and headers.

    ``items``: the name of the schema of each entry of a body with several JSON values, by content type.
    """

    content: Mapping[str, str | None]
    headers: tuple[Header, ...] = ()
    items: Mapping[str, str] = field(default_factory=dict)


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
    found: dict[tuple[str, str], list[_Found]] = {}
    for path, place in root.mapping("paths", extensible=True):
        item = _path_item(place, path)
        for method, described in _methods(item):
            operation = _operation(root, schemas, path, method, described, item)
            own = {"parameters": described.child("parameters")} if "parameters" in described.value else {}
            one = _Found(operation, place, (item, own))
            found.setdefault((method, operation.pattern.pattern), []).append(one)
    every = [operation for same in found.values() for operation in _told_apart(same)]
    return tuple(sorted(every, key=lambda operation: precedence(operation.path)))


@dataclass(frozen=True)
class _Found:
    """An operation, its path item's place, and the fields in which its parameters are."""

    operation: Operation
    place: Node
    fields: tuple[Mapping[str, Node], ...]


def _told_apart(same: list[_Found]) -> list[Operation]:
    """Return the operations of one method and of templates that differ only in the names of their parameters.

    OpenAPI forbids them, but documents have ``/{id}`` of format uuid beside ``/{name}``: the values tell which is meant. The
    last one, with the fewest limits, takes all other values. Raises InvalidDocument if the schemas are the same.
    """
    if len(same) == 1:
        return [same[0].operation]
    known: dict[str, _Found] = {}
    ranks: list[tuple[int, _Found, str]] = []
    for one in same:
        narrowed, free = narrow(one.operation.path, *one.fields)
        other = known.setdefault(narrowed, one).operation
        if other is not one.operation:
            method, path = one.operation.method, one.operation.path
            raise one.place.wrong(
                f"{method} {path} and {method} {other.path} are the same path: delete one of them, or give their "
                "parameters different schemas, such as an enum or a format"
            )
        ranks.append((free, one, narrowed))
    ranks.sort(key=lambda rank: rank[0])
    told = [_narrowed(one.operation, narrowed) for _, one, narrowed in ranks[:-1]]
    return [*told, ranks[-1][1].operation]


def _narrowed(operation: Operation, narrowed: str) -> Operation:
    servers = operation.pattern.pattern.removesuffix(pattern(operation.path))
    return replace(operation, pattern=re.compile(servers + narrowed))


def _path_item(place: Node, path: str) -> dict[str, Node]:
    """Return the fields of a path item by name; of two beside and behind its ``$ref``, the one beside it."""
    if not path.startswith("/"):
        raise place.wrong(f"a path must begin with a slash, such as /{path.strip().lstrip('/')}")
    if _BRACE.search(PARAMETER.sub("", path)):
        raise place.wrong("a parameter of a path must have a name between braces, such as {id}")
    target = place.object()
    check_path_item(target)
    behind = {key: target.child(key) for key in target.value}
    return {**behind, **{key: place.child(key) for key in place.value or () if key != "$ref"}}


def _methods(item: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    yield from ((method.upper(), item[method].object()) for method in METHODS if method in item)
    if "additionalOperations" in item:  # OpenAPI 3.2
        further = item["additionalOperations"].object()
        yield from ((method, further.child(method).object()) for method in further.value)


def _operation(
    root: Node, schemas: Schemas, path: str, method: str, place: Node, item: Mapping[str, Node]
) -> Operation:
    check_operation(place)
    answers: dict[str, Answer] = {}
    for key, response in place.mapping("responses", extensible=True):
        status = key.upper() if key[1:].upper() == "XX" else key.lower()
        if not _STATUS.fullmatch(status):
            raise response.wrong(f"{key!r} is not a status: it must be a number such as 404, 4XX or default")
        if status in answers:
            raise response.wrong(f"the status {status} is documented twice: delete one of the two")
        answers[status] = _answer(schemas, response.object())
    servers = next((one["servers"] for one in (_servers(place), item, _servers(root)) if _listed(one)), None)
    return Operation(
        str(place.value.get("operationId", f"{method} {path}")),
        method,
        path,
        {int(status): tuple(answer.content) for status, answer in answers.items() if status.isdecimal()},
        _secured(place if "security" in place.value else root),
        re.compile(f"(?:{'|'.join(prefixes(servers))}){pattern(path)}"),
        answers,
    )


def _servers(node: Node) -> dict[str, Node]:
    return {"servers": node.child("servers")} if "servers" in node.value else {}


def _listed(fields: Mapping[str, Node]) -> bool:
    """Return whether servers are listed: an empty list is the same as none."""
    return "servers" in fields and bool(fields["servers"].value)


def _secured(node: Node) -> bool:
    """Return whether an operation needs a token. Raises InvalidDocument if its security is not a list of requirements."""
    security = node.value.get("security") or []
    if isinstance(security, Mapping):
        security = [security]
    if not isinstance(security, list) or not all(isinstance(one, Mapping) or one == [] for one in security):
        raise node.wrong("must be a list of requirements, such as [{bearerAuth: []}]", "security")
    return bool(security) and all(security)  # an empty requirement: also without a token


def _answer(schemas: Schemas, response: Node) -> Answer:
    check_response(response)
    content: dict[str, str | None] = {}
    items: dict[str, str] = {}
    for content_type, place in response.mapping("content"):
        check_media_type(content_type, place)
        media = place.object()
        check_media(media)
        content[content_type] = schemas.add(media.child("schema")) if media.value.get("schema") is not None else None
        if media.value.get("itemSchema") is not None:  # OpenAPI 3.2
            items[content_type] = schemas.add(media.child("itemSchema"))
    headers = [_header(schemas, name, place.object()) for name, place in response.mapping("headers")]
    # OpenAPI ignores a Content-Type here: the content states it.
    return Answer(content, tuple(header for header in headers if header.name.lower() != "content-type"), items)


def _header(schemas: Schemas, name: str, place: Node) -> Header:
    check_header(place)
    required = flag(place, "required")
    if place.value.get("schema") is not None:
        return Header(name, required, schemas.add(place.child("schema")))
    for content_type, media in place.mapping("content"):
        if "schema" in media.object().value:
            schema = schemas.add(media.object().child("schema"))
            return Header(name, required, schema, json=MediaType.parse(content_type).is_json)
    return Header(name, required, None)

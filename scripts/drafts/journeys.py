"""The draft of a journey: create, read, list and delete of one collection, found by path and method."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from scripts.drafts.document import FORM, JSON, Document, Operation
from scripts.drafts.values import MARKER, Body, scalars

_PAGE = ("limit", "per_page", "perPage", "page_size", "pageSize", "size", "count")
"""Query parameters that say how many entries a list has."""
_LONG_PAGE = 100
_PLACE = "${id}"


@dataclass(frozen=True)
class DraftedJourney:
    """A journey as the description has it; ``unknown`` needs a person."""

    name: str
    parts: Mapping[str, Any]
    operations: list[Operation]
    writes: bool
    unknown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Collection:
    """The operations of one path, such as /pets, and of its entries, such as /pets/{id}."""

    path: str
    listing: Operation | None = None
    create: Operation | None = None
    put: Operation | None = None
    read: Operation | None = None
    delete: Operation | None = None

    @property
    def operations(self) -> list[Operation]:
        """The operations that are there."""
        return [one for one in (self.listing, self.create, self.put, self.read, self.delete) if one is not None]

    def journeys(self, document: Document) -> list[DraftedJourney]:
        """Return the drafts of a user's ways through the collection: one that writes, and one that only reads the list."""
        write = self.create or self.put
        drafted = [_write(document, self, write)] if write is not None and self.read is not None else []
        return [*drafted, _look(document, self.path, self.listing)] if _can_be_looked_at(self.listing) else drafted


def _can_be_looked_at(listing: Operation | None) -> TypeGuard[Operation]:
    return listing is not None and not listing.needs_query and not listing.is_about_sessions


def _look(document: Document, path: str, listing: Operation) -> DraftedJourney:
    step = {"name": "read", "request": _reading(document, listing), "expect": _expect(document, listing)}
    return DraftedJourney(f"look at {_noun(path)}", {"steps": [step]}, [listing], writes=False)


def collections(document: Document, beside: Container[str]) -> list[Collection]:
    """Return the collections that a journey can be drafted for, in the document's order: those without variables in their path.

    ``beside`` holds the paths that are asked elsewhere, such as the health check's.
    """
    found: dict[str, dict[str, Operation]] = {}
    for one in document.operations:
        if one.path in beside:
            continue
        if one.method in ("GET", "POST") and not one.variables:
            key = {"GET": "listing", "POST": "create"}[one.method]
            found.setdefault(one.path.rstrip("/") or "/", {}).setdefault(key, one)
        elif one.method in ("GET", "PUT", "DELETE") and len(one.variables) == 1 and one.path.rstrip("/").endswith("}"):
            parent, _, _ = one.path.rstrip("/").rpartition("/")
            key = {"GET": "read", "PUT": "put", "DELETE": "delete"}[one.method]
            found.setdefault(parent or "/", {}).setdefault(key, one)
    every = [Collection(path, **operations) for path, operations in found.items()]
    return [one for one in every if _is_usable(one)]


def _is_usable(one: Collection) -> bool:
    asked = [one.create or one.put, one.read]
    if all(asked) and not any(each.needs_query for each in asked if each is not None):
        return True
    return _can_be_looked_at(one.listing)


def _write(document: Document, one: Collection, write: Operation) -> DraftedJourney:
    """Return the journey that creates an entry, reads it, finds it in the list and deletes it."""
    assert one.read is not None, "only a collection whose entries can be read is written"
    body, kind, unknown = body_of(document, write)
    by_put = write.method == "PUT"
    place = MARKER if by_put else _PLACE
    capture, identity = ({}, None) if by_put else _capture(document, write, one.read)
    sent = body.value.get(one.read.variables[0]) if body is not None and isinstance(body.value, Mapping) else None
    if not by_put and not capture and isinstance(sent, str):
        place = sent  # the service takes the name that the request gives, as in /users/{username}
    elif not by_put and not capture:
        unknown.append(f"journeys: where the answer to {write} names the new entry; $.id is a guess")
        capture, identity = {"id": "$.id"}, None
    entry = f"{one.path.rstrip('/')}/{place}"
    if capture.get("id", "").startswith("header "):
        entry = _PLACE
    request: Any = {"method": write.method, "path": entry if by_put else write.path}
    request |= {kind: body.value} if body is not None else {}
    steps = [
        {
            "name": "create",
            "request": request,
            "expect": _expect(document, write),
            **({"capture": capture} if capture else {}),
        },
        {"name": "read", "request": f"GET {entry}", "expect": _expect(document, one.read, identity)},
    ]
    operations = [write, one.read]
    if one.listing is not None and not one.listing.needs_query:
        found = _list_expectation(document, one.listing, identity)
        steps.append({"name": "find", "request": _reading(document, one.listing), "expect": found})
        operations.append(one.listing)
    undo = _undo(document, one, entry)
    sweep = _sweep(document, one, body, identity) if undo else None
    if not undo:
        unknown.append(f"journeys: nothing deletes what {write} writes; its entries stay")
    elif one.delete is not None:
        operations.append(one.delete)
    parts = {"steps": steps, **({"undo": undo} if undo else {}), **({"sweep": sweep} if sweep else {})}
    return DraftedJourney(f"write to {_noun(one.path)}", parts, operations, writes=True, unknown=unknown)


def _undo(document: Document, one: Collection, entry: str) -> list[dict[str, Any]]:
    if one.delete is None:
        return []
    steps: list[dict[str, Any]] = [
        {"name": "delete", "request": f"DELETE {entry}", "expect": {"status": document.success(one.delete)[0]}}
    ]
    gone = document.documents(one.read, 404, 410) if one.read is not None else None
    if gone is not None:
        steps.append({"name": "gone", "request": f"GET {entry}", "expect": {"status": gone}})
    return steps


def _sweep(document: Document, one: Collection, body: Body | None, identity: str | None) -> dict[str, Any] | None:
    """Return how to find an entry whose answer was lost, if entries of the list have the field with the run's marker."""
    if one.listing is None or one.listing.needs_query or body is None or body.marked is None or identity is None:
        return None
    items, entry = _entries(document, one.listing)
    if items is None or body.marked not in entry.get("properties", {}):
        return None
    where, request = {body.marked: MARKER}, _reading(document, one.listing)
    return {"request": request, "items": items, "where": where, "capture": {"id": f"$.{identity}"}}


def _entries(document: Document, listing: Operation) -> tuple[str | None, Mapping[str, Any]]:
    """Return where the entries are in the answer to a list, and the schema of one; None if the document does not say."""
    schema = document.answer_schema(listing)
    if schema.get("type") == "array":
        return "$", document.flat(schema.get("items", {}))
    inner = {name: document.flat(one) for name, one in schema.get("properties", {}).items()}
    arrays = [name for name, one in inner.items() if one.get("type") == "array"]
    return (f"$.{arrays[0]}", document.flat(inner[arrays[0]].get("items", {}))) if len(arrays) == 1 else (None, {})


def body_of(document: Document, write: Operation) -> tuple[Body | None, str, list[str]]:
    """Return an operation's body (None: it has none that can be drafted), its key in a request (``json`` or ``form``), and its unknown parts."""
    holder = document.resolve(write.raw.get("requestBody", {}))
    if not holder:
        return None, JSON, []
    for kind, key in ((JSON, "json"), (FORM, "form")):
        schema = document.schema_of(holder, kind)
        if not schema:
            continue
        body = Body(document, schema, _example(document, holder, kind))
        unknown = [f"journeys: {write}: {text}" for text in body.unknown]
        if key == "json":
            return body, key, unknown
        sent = scalars(body.value)
        left = [name for name in body.value if name not in sent] if isinstance(body.value, Mapping) else []
        unknown += [f"journeys: {write}: the form's field {name}, which is a list or an object" for name in left]
        body.value = sent
        return body if sent else None, key, unknown
    return None, JSON, [f"journeys: the body of {write}: {', '.join(holder.get('content', {})) or 'unknown'}"]


def _example(document: Document, holder: Mapping[str, Any], kind: str) -> Any:
    """Return the body that the document shows; None if it shows none."""
    media: Mapping[str, Any] = next(
        (document.resolve(one) for name, one in holder.get("content", {}).items() if kind in name), {}
    )
    if "example" in media:
        return media["example"]
    examples = media.get("examples")
    first = document.resolve(next(iter(examples.values()), None)) if isinstance(examples, Mapping) else None
    return first.get("value") if isinstance(first, Mapping) else None


def _capture(document: Document, write: Operation, read: Operation) -> tuple[dict[str, str], str | None]:
    """Return where the answer names the new entry, and the field of an entry that has this name."""
    wrapper, schema = document.inside(document.answer_schema(write))
    properties = schema.get("properties", {})
    ids = [name for name in properties if name.endswith(("_id", "Id"))]
    found = next((name for name in (*read.variables, "id", "uuid", "name", *ids) if name in properties), None)
    if found is not None:
        return {"id": f"$.{found}" if wrapper is None else f"$.{wrapper}.{found}"}, found
    headers = document.success(write)[1].get("headers", {})
    return ({"id": "header Location"}, None) if any(name.lower() == "location" for name in headers) else ({}, None)


def _expect(document: Document, operation: Operation, identity: str | None = None) -> dict[str, Any]:
    expect: dict[str, Any] = {"status": document.success(operation)[0]}
    wrapper, schema = document.inside(document.answer_schema(operation))
    if identity is None or identity not in schema.get("properties", {}):
        return expect
    body: dict[str, Any] = {identity: _PLACE}
    return {**expect, "body": body if wrapper is None else {wrapper: body}}


def _list_expectation(document: Document, listing: Operation, identity: str | None) -> dict[str, Any]:
    """Return that the list contains the new entry, if the document says where its entries are."""
    expect = _expect(document, listing)
    items, _ = _entries(document, listing)
    if identity is None or items is None:
        return expect
    contains = {"contains": {identity: _PLACE}}
    return {**expect, "body": contains if items == "$" else {items.removeprefix("$."): contains}}


def _reading(document: Document, listing: Operation) -> str:
    """Return the request of a list, with the longest page that the document allows."""
    for one in listing.parameters:
        if one.get("in") == "query" and one.get("name") in _PAGE:
            most = document.flat(one.get("schema", {})).get("maximum", _LONG_PAGE)
            return f"GET {listing.path}?{one['name']}={int(most)}"
    return f"GET {listing.path}"


def _noun(path: str) -> str:
    """Return a path as words of a journey's name."""
    return re.sub(r"[^A-Za-z0-9]+", " ", path).strip() or "the start page"

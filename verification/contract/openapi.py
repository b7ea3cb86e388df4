"""Checks answers against the service's OpenAPI document: 3.0, 3.1 or 3.2."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from verification.contract import document
from verification.contract.discriminators import components
from verification.contract.document import InvalidDocument, Node
from verification.contract.leaks import leaks
from verification.contract.media import MediaType, documented, json_values, readings
from verification.contract.operations import Answer, Header, Operation, operations
from verification.contract.schemas import Schemas
from verification.contract.servers import normal
from verification.http.client import curl_for
from verification.http.json_body import json_value
from verification.http.text_body import text_of
from verification.redaction.excerpt import excerpt
from verification.redaction.redactor import is_secret_name

if TYPE_CHECKING:
    import jsonschema_rs
    from jsonschema.exceptions import ValidationError  # its import takes longer than that of all of this package

__all__ = ["Contract", "ContractViolation", "Operation", "explain", "show", "violation"]

PROBLEM = "application/problem+json"
_BODILESS = (204, 205, 304)
_LONGEST_VALUE = 120
_MOST_LISTED = 30


class ContractViolation(AssertionError):
    """An answer that the contract does not allow: the request, the place, got, expected, and a command that repeats it."""


class Contract:
    """A loaded document. Fields that the document does not name are allowed."""

    _bases: tuple[str, ...] = ()

    def __init__(self, document_: Mapping[str, Any] | Node) -> None:
        root = document_ if isinstance(document_, Node) else document.in_memory(document_)
        self._schemas = Schemas(root)
        self.operations = operations(root, self._schemas)
        self._names = {name: self._schemas.add(place) for name, place in components(root).items()}
        self.schemas = tuple(self._names)
        self._schemas.complete()
        self.nearest: dict[tuple[str, str], str] = {}
        """By method and path of a request without an operation: the hint that ``verification.contract.uncompared`` gave."""

    def at(self, *addresses: str | None) -> Contract:
        """Return the contract for requests to these addresses: their own paths before the paths of requests are not compared."""
        found = copy(self)
        found._bases = tuple(filter(None, (normal(urlsplit(one).path).rstrip("/") for one in addresses if one)))
        return found

    @property
    def fields(self) -> frozenset[str]:
        """Return the names of the fields that the document's answers and named schemas have."""
        return self._schemas.fields()

    @classmethod
    def load(cls, path: Path) -> Contract:
        """Return the contract of a YAML or JSON document and of the files that it refers to.

        Raises OSError if it cannot be read, and ValueError with file, JSON pointer and next step if it cannot be used: it is
        not OpenAPI 3, a ``$ref`` leads nowhere or in a circle, or a schema is not one.
        """
        try:
            return cls(document.load(path))
        except InvalidDocument:
            raise
        except RecursionError:
            raise InvalidDocument(f"{path.name} is nested too deep") from None

    def check(self, response: httpx.Response) -> None:
        """Raise ContractViolation if operation, status, headers, content type or body differ from the document."""
        request = response.request
        operation = self.operation_of(request)
        if operation is None:
            raise violation(
                response, f"{request.method} {_path(request)}", "no such operation", f"one of {self._known()}"
            )
        name = f"{operation.operation_id} ({operation.method} {operation.path})"
        answer = operation.answer(response.status_code)
        if answer is None:
            if response.status_code == 429 and "retry-after" in response.headers:
                return  # a rate limit applies before every operation; documents rarely list it
            listed = ", ".join(sorted(operation.answers)) or "none: the contract documents no answer of this operation"
            raise violation(response, name, f"status {response.status_code}", f"status {listed}")
        self._check_headers(response, name, answer.headers)
        self._check_content(response, name, answer)

    def refused(self, response: httpx.Response, *statuses: int) -> None:
        """Raise ContractViolation unless the answer is one of these statuses, as documented, and reveals nothing internal.

        An answer with a status that the operation does not document must still be a problem document, if the contract has a
        schema named Problem. The contract does not cover a request for an unknown operation: then only the status and the
        absence of internal details count.
        """
        request = response.request
        name = f"{request.method} {request.url.path}"
        if response.status_code not in statuses:
            expected = " or ".join(map(str, statuses))
            raise violation(response, name, f"status {response.status_code}", f"status {expected}")
        operation = self.operation_of(request)
        if operation is not None and operation.answer(response.status_code) is not None:
            self.check(response)
        elif operation is not None and "Problem" in self._names:
            self._check_content(response, name, Answer({PROBLEM: self._names["Problem"]}))
        if revealed := leaks(response):
            raise violation(response, name, f"an answer with {revealed[0]}", "one without internal details")

    def validate(self, schema_name: str, value: object) -> None:
        """Check a value against ``components/schemas``. Raises ContractViolation, or KeyError for an unknown schema."""
        if schema_name not in self._names:
            raise KeyError(f"the contract has no schema {schema_name!r}; there are {', '.join(self.schemas)}")
        try:
            error = self._schemas.error(self._names[schema_name], value)
        except ValueError as problem:
            raise ContractViolation(f"{schema_name}: the value is not JSON: {problem}") from None
        if error is not None:
            got, expected = self._explain(error)
            raise ContractViolation(f"{schema_name} at {_json_path(error)}: {got}, expected {expected}")

    def operation_of(self, request: httpx.Request) -> Operation | None:
        """Return the operation of a request that was sent; None if the document has none."""
        return self.operation_for(request.method, _path(request))

    def operation_for(self, method: str, path: str) -> Operation | None:
        """Return the operation of a request, concrete paths before templates; None if the document has none.

        ``path`` may be percent-encoded, and begins with the path of a server if the document names one. The path of an address
        that ``at`` was given may stand before it.
        """
        sent = normal(path)
        behind = (sent.removeprefix(base) for base in self._bases if sent.startswith(f"{base}/"))
        return next(
            (
                one
                for wanted in (sent, *behind)
                for one in self.operations
                if one.method == method.upper() and one.pattern.fullmatch(wanted)
            ),
            None,
        )

    def _known(self) -> str:
        known = sorted({f"{one.method} {one.path}" for one in self.operations})
        more = f" and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
        return ", ".join(known[:_MOST_LISTED]) + more

    def _check_headers(self, response: httpx.Response, name: str, headers: Iterable[Header]) -> None:
        for header in headers:
            text = response.headers.get(header.name)
            if text is None:
                if header.required:
                    raise violation(response, name, f"no header {header.name}", "this header, which is required")
                continue
            if header.schema is None:
                continue
            values = json_values(text) if header.json else readings(text, self._schemas.types(header.schema))
            wrong = self._unless_one_fits(header.schema, values)
            if wrong is not None:
                got = "(hidden)" if is_secret_name(header.name) else show(text)
                raise violation(response, name, got, self._explain(wrong)[1], where=f"header {header.name}")

    def _check_content(self, response: httpx.Response, name: str, answer: Answer) -> None:
        """Raise ContractViolation if content type or body differ from the document."""
        status, sent = response.status_code, response.headers.get("content-type")
        head = response.request.method == "HEAD"
        if head or status in _BODILESS or not answer.content:
            if response.content:
                expected = "no body" if answer.content else "no body, since the contract documents no content"
                raise violation(response, name, f"a body of {len(response.content)} bytes", expected)
            if not (head and answer.content and sent):
                return
        key = documented(answer.content, sent or "")
        if key is None:
            shown = MediaType.parse(sent or "").name or "none"
            shown = sent if sent and any(MediaType.parse(one).name == shown for one in answer.content) else shown
            raise violation(response, name, f"content type {shown}", " or ".join(answer.content))
        if not head:
            self._check_body(response, name, MediaType.parse(key), answer.content[key])
            if key in answer.items and MediaType.parse(sent or "").is_json_sequence:
                self._check_items(response, name, answer.items[key])

    def _check_body(self, response: httpx.Response, name: str, key: MediaType, schema: str | None) -> None:
        got = MediaType.parse(response.headers["content-type"])
        if got.is_json:
            self._check_json(response, name, got, schema)
        elif schema is not None and got.is_text:
            types = self._schemas.types(schema)
            if not ("string" in types or key.is_range or got.name == "text/plain"):
                return
            wrong = self._unless_one_fits(schema, readings(text_of(response), types - {"array", "object"}))
            if wrong is not None:
                raise violation(response, name, show(text_of(response)), self._explain(wrong)[1], where="the body")

    def _check_items(self, response: httpx.Response, name: str, schema: str) -> None:
        """Raise ContractViolation if an entry of a body with several JSON values is not JSON, or does not fit the schema."""
        content = response.content
        parts = content.split(b"\x1e") if b"\x1e" in content else content.splitlines()  # RFC 7464; a value on each line
        for number, entry in enumerate((one for one in parts if one.strip()), start=1):
            try:
                error = self._schemas.error(schema, json_value(entry))
            except ValueError:
                shown = show(entry.decode(errors="replace"))
                raise violation(response, name, shown, "JSON", where=f"entry {number}") from None
            if error is not None:
                shown, expected = self._explain(error)
                raise violation(response, name, shown, expected, where=f"entry {number}, {_json_path(error)}")

    def _check_json(self, response: httpx.Response, name: str, got: MediaType, schema: str | None) -> None:
        try:
            value = json_value(response.content)
        except ValueError as problem:
            reason = "" if isinstance(problem, json.JSONDecodeError) else f" ({problem})"
            raise violation(
                response, name, f"a body that is not JSON{reason}: {show(text_of(response))}", "JSON"
            ) from None
        error = None if schema is None else self._schemas.error(schema, value)
        if error is not None:
            shown, expected = self._explain(error)
            raise violation(response, name, shown, expected, where=_json_path(error))
        if got.name != PROBLEM:
            return
        if not isinstance(value, dict):
            raise violation(response, name, show(value), "an object (RFC 9457)", where="$")
        # RFC 9457, 3.1.2: the member, if present, is the answer's own status.
        if value.get("status", response.status_code) != response.status_code:
            raise violation(response, name, str(value["status"]), str(response.status_code), where="$.status")

    def _unless_one_fits(self, schema: str, values: list[Any]) -> jsonschema_rs.ValidationError | None:
        """Return the first value's error, None if any of the values is valid."""
        errors = [self._schemas.error(schema, value) for value in values]
        return errors[0] if all(error is not None for error in errors) else None

    def _explain(self, error: jsonschema_rs.ValidationError) -> tuple[str, str]:
        keyword, value = self._schemas.keyword(error)
        return _got(error.instance, error.instance_path), _expected(keyword, value)


def _path(request: httpx.Request) -> str:
    """Return a request's path as it was sent: percent-encoded, without the query."""
    return request.url.raw_path.partition(b"?")[0].decode("ascii")


def _json_path(error: jsonschema_rs.ValidationError) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)


def _got(instance: Any, path: Iterable[Any]) -> str:
    return "(hidden)" if any(is_secret_name(str(step)) for step in path) else show(instance)


def _expected(keyword: str, value: Any) -> str:
    if keyword == "writeOnly":
        return "no such property, since it is writeOnly"
    if keyword == "nullable":
        return f"type {json.dumps(value)}, since nullable has no effect in OpenAPI 3.1: add null to its types"
    return f"{keyword} {json.dumps(value, ensure_ascii=False)[:_LONGEST_VALUE]}"


def explain(error: ValidationError) -> tuple[str, str]:
    """Return got and expected of an error of jsonschema, in the schema's own words."""
    return _got(error.instance, error.absolute_path), _expected(str(error.validator), error.validator_value)


def show(value: object) -> str:
    """Return a short text without secrets: only the names of an object's fields."""
    if isinstance(value, dict):
        return excerpt(f"an object with {', '.join(map(str, value)) or 'no fields'}", _LONGEST_VALUE)
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return excerpt(json.dumps(value, ensure_ascii=False, default=str), _LONGEST_VALUE)


def violation(
    response: httpx.Response, operation: str, got: str, expected: str, *, where: str | None = None
) -> ContractViolation:
    """Return the error for an answer: the request, the place, got, expected, and a command that repeats it."""
    status = "" if got.startswith(f"status {response.status_code}") else f"status {response.status_code}, "
    at = f"{where} is " if where else ""
    # The first line is what a report shows as the reason: it has everything except the command that repeats the request.
    return ContractViolation(
        f"{operation}: {status}{at}{got}, expected {expected}\n  again: {curl_for(response.request)}"
    )

"""Checks answers against the service's OpenAPI document (3.1, whose schemas are JSON Schema Draft 2020-12)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from verification.contract.leaks import leaks
from verification.http.client import curl_for
from verification.redaction.redactor import Redactor, is_secret_name

PROBLEM = "application/problem+json"
_DOCUMENT = "urn:contract"
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_LONGEST_VALUE = 120
_REDACTOR = Redactor(())


class ContractViolation(AssertionError):
    """An answer that the contract does not allow, in words that help: what, where, got, expected, and how to see it again."""


@dataclass(frozen=True)
class Operation:
    """One method of one path template.

    ``statuses`` maps a documented status to its content types (none: no body); ``secured`` operations want a token.
    """

    operation_id: str
    method: str
    path: str
    statuses: Mapping[int, tuple[str, ...]]
    secured: bool
    pattern: re.Pattern[str] = field(repr=False, compare=False)


class Contract:
    """A loaded document; its validators are compiled once. Fields that the document does not name are allowed."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        resource = DRAFT202012.create_resource(document)
        self._registry: Registry[Any] = Registry().with_resource(_DOCUMENT, resource)
        self.schemas = tuple(document.get("components", {}).get("schemas", {}))
        self._validators: dict[str, Draft202012Validator] = {}
        self.operations = _operations(document)
        for operation in self.operations:
            for status, types in operation.statuses.items():
                for content_type in types:
                    self._validator(_pointer(operation, status, content_type))
        for name in self.schemas:
            self._validator(f"/components/schemas/{_escape(name)}")

    @classmethod
    def load(cls, path: Path) -> Contract:
        """Reads a YAML document. Raises OSError, or ValueError where it is no OpenAPI document."""
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML was built with libyaml
        try:
            document = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe loaders
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not YAML: {error}") from error
        if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
            raise ValueError(f"{path} is no OpenAPI document: it has no paths")
        try:
            return cls(document)
        except (LookupError, AttributeError, TypeError, Unresolvable) as error:
            raise ValueError(f"{path} is no OpenAPI document: {type(error).__name__}: {error}") from error

    def check(self, response: httpx.Response) -> None:
        """Raises ContractViolation where operation, status, content type or body is not as documented."""
        request = response.request
        operation = self.operation_for(request.method, request.url.path)
        if operation is None:
            known = ", ".join(sorted({f"{o.method} {o.path}" for o in self.operations}))
            raise violation(response, f"{request.method} {request.url.path}", "no such operation", f"one of {known}")
        name = f"{operation.operation_id} ({operation.method} {operation.path})"
        if response.status_code == 429 and "retry-after" in response.headers:
            return  # the document's description allows it for every operation, and lists it for none
        types = operation.statuses.get(response.status_code)
        if types is None:
            documented = ", ".join(str(status) for status in sorted(operation.statuses))
            raise violation(response, name, f"status {response.status_code}", f"status {documented}")
        if not types:
            if response.content:
                raise violation(response, name, f"a body of {len(response.content)} bytes", "no body")
            return
        self._check_body(response, name, types, lambda found: _pointer(operation, response.status_code, found))

    def refused(self, response: httpx.Response, *statuses: int) -> None:
        """Raises ContractViolation unless the answer is one of these statuses, as documented, and tells nothing it should not.

        A status that the operation does not document is still a problem document. Of a request that is no operation of the
        document the contract says nothing: there the status alone counts, and what the answer tells.
        """
        request = response.request
        name = f"{request.method} {request.url.path}"
        if response.status_code not in statuses:
            expected = " or ".join(map(str, statuses))
            raise violation(response, name, f"status {response.status_code}", f"status {expected}")
        operation = self.operation_for(request.method, request.url.path)
        if operation is not None and response.status_code in operation.statuses:
            self.check(response)
        elif operation is not None:
            self._check_body(response, name, (PROBLEM,), lambda _type: "/components/schemas/Problem")
        if told := leaks(response):
            raise violation(response, name, f"an answer with {told[0]}", "one that tells nothing about the inside")

    def _check_body(
        self, response: httpx.Response, name: str, types: tuple[str, ...], pointer: Callable[[str], str]
    ) -> None:
        content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type not in types:
            raise violation(response, name, f"content type {content_type or 'none'}", " or ".join(types))
        try:
            value = response.json()
        except ValueError:
            raise violation(response, name, f"a body that is not JSON: {show(response.text)}", "JSON") from None
        error = best_match(self._validator(pointer(content_type)).iter_errors(value))
        if error is not None:
            got, expected = explain(error)
            raise violation(response, name, got, expected, where=error.json_path)
        # RFC 9457, 3.1.2: the member, where it is there, is the answer's own status.
        if content_type == PROBLEM and value.get("status", response.status_code) != response.status_code:
            raise violation(response, name, str(value["status"]), str(response.status_code), where="$.status")

    def validate(self, schema_name: str, value: object) -> None:
        """Checks a value against ``components/schemas``. Raises ContractViolation; KeyError for a schema that is not there."""
        if schema_name not in self.schemas:
            raise KeyError(f"the contract has no schema {schema_name!r}; there are {', '.join(self.schemas)}")
        error = best_match(self._validator(f"/components/schemas/{_escape(schema_name)}").iter_errors(value))
        if error is not None:
            got, expected = explain(error)
            raise ContractViolation(f"{schema_name} at {error.json_path}: {got}, expected {expected}")

    def operation_for(self, method: str, path: str) -> Operation | None:
        """The operation that a request is; a path without parameters goes before a template that fits as well."""
        fitting = (o for o in self.operations if o.method == method and o.pattern.fullmatch(path))
        return next(fitting, None)

    def _validator(self, pointer: str) -> Draft202012Validator:
        if pointer not in self._validators:
            schema = {"$ref": f"{_DOCUMENT}#{pointer}"}
            checker = Draft202012Validator.FORMAT_CHECKER
            self._validators[pointer] = Draft202012Validator(schema, registry=self._registry, format_checker=checker)
        return self._validators[pointer]


def _operations(document: Mapping[str, Any]) -> tuple[Operation, ...]:
    found = [
        Operation(
            value.get("operationId", f"{method} {path}"),
            method.upper(),
            path,
            {int(s): tuple(r.get("content", {})) for s, r in value["responses"].items() if s.isdecimal()},
            bool(value.get("security", document.get("security"))),
            re.compile("".join("[^/]+" if p.startswith("{") else re.escape(p) for p in re.split(r"(\{[^}]+\})", path))),
        )
        for path, item in document["paths"].items()
        for method, value in item.items()
        if method in _METHODS
    ]
    return tuple(sorted(found, key=lambda operation: operation.path.count("{")))


def _pointer(operation: Operation, status: int, content_type: str) -> str:
    parts = ("paths", operation.path, operation.method.lower(), "responses", str(status), "content", content_type)
    return "".join(f"/{_escape(part)}" for part in (*parts, "schema"))


def _escape(part: str) -> str:
    """RFC 6901; the percent sign because the pointer stands in a URI's fragment."""
    return part.replace("~", "~0").replace("/", "~1").replace("%", "%25")


def explain(error: ValidationError) -> tuple[str, str]:
    """Got and expected, in the schema's own words."""
    hidden = any(is_secret_name(str(step)) for step in error.absolute_path)
    got = "(hidden)" if hidden else show(error.instance)
    return got, f"{error.validator} {json.dumps(error.validator_value, ensure_ascii=False)[:_LONGEST_VALUE]}"


def show(value: object) -> str:
    """Short, and without secrets: of an object its names alone."""
    if isinstance(value, dict):
        return f"an object with {', '.join(map(str, value)) or 'no fields'}"[:_LONGEST_VALUE]
    if isinstance(value, list):
        return f"an array of {len(value)}"
    # Redacted before it is cut: half a token is no longer recognised as one.
    text = _REDACTOR.clean(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def violation(
    response: httpx.Response, operation: str, got: str, expected: str, *, where: str | None = None
) -> ContractViolation:
    """What is wrong with an answer: which, where, got, expected, and a command that shows it again."""
    status = "" if got.startswith(f"status {response.status_code}") else f"status {response.status_code}, "
    at = f"{where} is " if where else ""
    # The first line is what a report shows as the reason: it says everything but how to see it again.
    return ContractViolation(
        f"{operation}: {status}{at}{got}, expected {expected}\n  again: {curl_for(response.request)}"
    )

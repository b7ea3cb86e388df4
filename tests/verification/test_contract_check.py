"""Answers checked against the OpenAPI document: allowed answers and violations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from verification.contract.document import InvalidDocument
from verification.contract.openapi import Contract, ContractViolation

DOCUMENT = Path(__file__).resolve().parents[2] / "suites" / "contract" / "telehealth.openapi.yaml"
ID = "0b0e7a3e-3d5f-4e0b-9d2b-6f0a5f1c2d3e"
CONSULT = {
    "id": ID,
    "patient": "P",
    "reason": "R",
    "starts_at": "2026-01-01T10:00:00Z",
    "status": "booked",
    "created_at": "2026-01-01T09:00:00Z",
}


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract.load(DOCUMENT)


def answer(method: str, path: str, status: int, body: Any = None, **options: Any) -> httpx.Response:
    request = httpx.Request(
        method, f"http://api.telehealth.localhost:1{path}", headers={"Authorization": "Bearer canary-1"}
    )
    if body is not None:
        options["json"] = body
    return httpx.Response(status, request=request, **options)


def test_operations_of_the_document(contract: Contract) -> None:
    assert {o.operation_id for o in contract.operations} == {
        *("health", "healthDatabase", "healthRedis", "login", "logout"),
        *("listConsults", "createConsult", "readConsult", "cancelConsult"),
    }


@pytest.mark.parametrize(
    "response",
    [
        answer("GET", "/health", 200, {"status": "ok", "version": "1.1.0"}),
        answer("GET", "/health", 200, {"status": "ok", "version": "1.1.0", "added": [1]}),
        answer("GET", "/health/database", 200, {"status": "ok", "latency_ms": 0.2}),
        answer("GET", f"/consults/{ID}", 200, CONSULT),
        answer("DELETE", f"/consults/{ID}", 204),
        answer("GET", "/consults?limit=2", 200, {"items": [CONSULT], "next_cursor": None}),
        answer("GET", "/consults", 429, {}, headers={"Retry-After": "3"}),
        answer(
            "GET",
            "/consults",
            401,
            {"title": "no", "status": 401},
            headers={"content-type": "application/problem+json"},
        ),
    ],
    ids=lambda response: f"{response.request.method}-{response.request.url.path}-{response.status_code}",
)
def test_allowed_answer_passes(contract: Contract, response: httpx.Response) -> None:
    contract.check(response)
    assert contract.operation_for(response.request.method, response.request.url.path) is not None


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (answer("GET", "/nowhere", 200, {}), ["no such operation", "GET /health"]),
        (answer("PATCH", "/consults", 200, {}), ["no such operation"]),
        (answer("GET", "/consults", 500, {}), ["listConsults", "status 500", "status 200, 401, 422"]),
        (answer("GET", "/consults", 429, {}), ["status 429"]),
        (
            answer("GET", "/consults", 401, {"title": "no", "status": 401}),
            ["application/json", "application/problem+json"],
        ),
        (
            answer("GET", "/health", 200, {"status": "degraded", "version": "1"}),
            ["$.status", '"degraded"', 'const "ok"'],
        ),
        (answer("GET", "/health", 200, {"status": "ok"}), ["$", "an object with status", "required"]),
        (answer("GET", f"/consults/{ID}", 200, {**CONSULT, "id": "7"}), ["$.id", '"7"', 'format "uuid"']),
        (answer("GET", f"/consults/{ID}", 200, {**CONSULT, "starts_at": "soon"}), ["$.starts_at", "date-time"]),
        (
            answer("GET", "/consults", 200, {"items": [{**CONSULT, "status": 3}], "next_cursor": None}),
            ["$.items[0].status"],
        ),
        (
            answer("GET", "/health", 200, content=b"<html>", headers={"content-type": "application/json"}),
            ["not JSON", "<html>"],
        ),
        (answer("DELETE", f"/consults/{ID}", 204, content=b"x"), ["a body of 1 bytes", "no body"]),
    ],
)
def test_violation_names_the_problem_its_place_and_the_curl_command(
    contract: Contract, response: httpx.Response, words: list[str]
) -> None:
    with pytest.raises(ContractViolation) as caught:
        contract.check(response)
    message = str(caught.value)
    assert [word for word in words if word not in message] == []
    assert "curl -i" in message
    assert "canary" not in message


def test_a_violation_shows_no_token(contract: Contract) -> None:
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"
    for body in ({"access_token": 7, "token_type": "Bearer", "expires_in": 1}, {"access_token": jwt}, jwt):
        with pytest.raises(ContractViolation) as caught:
            contract.check(answer("POST", "/auth/login", 200, body))
        assert "eyJ" not in str(caught.value)
    with pytest.raises(ContractViolation, match="hidden"):
        contract.check(answer("POST", "/auth/login", 200, {"access_token": 7, "token_type": "Bearer", "expires_in": 1}))


def test_document_that_is_already_parsed() -> None:
    responses = {200: {"description": "ok", "content": {"application/json": {"schema": {"type": "object"}}}}}
    parsed = Contract({"openapi": 3.1, "paths": {"/p": {"get": {"responses": responses}}}})
    parsed.check(answer("GET", "/p", 200, {}))
    with pytest.raises(ContractViolation, match='type "object"'):
        parsed.check(answer("GET", "/p", 200, []))
    with pytest.raises(ContractViolation, match="not JSON"):
        contract_with({"type": "object"}).validate("A", {1, 2})


def contract_with(schema: dict[str, Any]) -> Contract:
    return Contract({"openapi": "3.1.0", "paths": {}, "components": {"schemas": {"A": schema}}})


def test_validate_by_schema_name(contract: Contract) -> None:
    contract.validate("Consult", CONSULT)
    with pytest.raises(ContractViolation, match=r"Consult at \$.patient"):
        contract.validate("Consult", {**CONSULT, "patient": 5})
    with pytest.raises(KeyError, match="no schema"):
        contract.validate("Nothing", {})


@pytest.mark.parametrize(
    ("deep", "line"),
    [
        (" " + "[" * 30_000 + "]" * 30_000, 3),
        (" " + "{a: " * 30_000 + "1" + "}" * 30_000, 3),
        ("\n" + "- " * 30_000 + "a", 4),
        ("".join("\n" + " " * column + "-" for column in range(1, 3000)), 1003),
    ],
    ids=["lists", "mappings", "one line of list items", "lines of list items"],
)
def test_a_document_that_is_nested_too_deep_is_refused(tmp_path: Path, deep: str, line: int) -> None:
    """The loader of PyYAML that is written in C calls itself for each level, and would end the process."""
    file = tmp_path / "api.yaml"
    file.write_text(f"openapi: 3.1.0\npaths: {{}}\nx-deep:{deep}\n")
    with pytest.raises(
        InvalidDocument, match=rf"api\.yaml is nested too deep: line {line} begins level 1001 of its values"
    ):
        Contract.load(file)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "!!timestamp abc",
            "!!timestamp 2001-99-99",
            "!!bool abc",
            "!!bool",
            "!!int abc",
            "!!int {a: 1}",
            "!!int [1]",
        ),
        *("!!float abc", "!!float [1]", "!!map abc", "!!map [a]", "!!set [a]", "!!seq abc", "!!binary g", "!<x> a"),
    ],
)
def test_a_value_that_does_not_fit_its_tag_is_refused_with_its_line(tmp_path: Path, value: str) -> None:
    file = tmp_path / "api.yaml"
    for text in (f"openapi: 3.1.0\npaths: {{}}\nx-a: {value}\n", f"# one\n# two\n{value}"):
        file.write_text(text)
        with pytest.raises(InvalidDocument, match=r"api\.yaml is not YAML: .* line 3, column "):
            Contract.load(file)


def test_tags_of_yaml_are_read(tmp_path: Path) -> None:
    file = tmp_path / "api.yaml"
    tags = (
        "!!bool 'true', !!int 1, !!float 1, !!str 1, !!timestamp 2001-01-01, !!null null, !!binary aGk=, !!map {a: 1}"
    )
    file.write_text(f"openapi: !!float 3.1\npaths: {{}}\nx-a: [{tags}]\n")
    Contract.load(file)


@pytest.mark.parametrize("name", ["api.yaml", "api.json"])
def test_a_pipe_in_place_of_a_document_is_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    document = tmp_path / "refers.yaml"
    document.write_text(f"openapi: 3.1.0\npaths: {{/p: {{$ref: {name}}}}}\n")
    for file in (tmp_path / name, document):
        with pytest.raises(InvalidDocument, match=rf"{name} is not a regular file"):
            Contract.load(file)
    with pytest.raises(IsADirectoryError):
        Contract.load(tmp_path)


@pytest.mark.parametrize("ref", ["loop.yaml", '"a\\0b"', "'%00'"])
def test_a_reference_to_no_file_is_refused_with_its_place(tmp_path: Path, ref: str) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    document = tmp_path / "refers.yaml"
    document.write_text(f"openapi: 3.1.0\npaths: {{/p: {{$ref: {ref}}}}}\n")
    with pytest.raises(InvalidDocument, match=r"#/paths/~1p/\$ref: .* names a file that cannot be read \("):
        Contract.load(document)
    with pytest.raises(OSError, match="Too many levels"):
        Contract.load(tmp_path / "loop.yaml")


def test_a_document_with_some_levels_is_read(tmp_path: Path) -> None:
    file = tmp_path / "api.yaml"
    file.write_text("openapi: 3.1.0\npaths: {}\nx-deep: " + "[" * 100 + "]" * 100)
    assert Contract.load(file).operations == ()

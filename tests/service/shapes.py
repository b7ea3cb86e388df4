"""The answers of the wire contract as JSON Schemas, and the form of every error answer."""

from typing import Any

import httpx
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match

_FORMATS = FormatChecker(["uuid", "date-time"])
_TIME = {"type": "string", "format": "date-time"}
_ID = {"type": "string", "format": "uuid"}
HEALTH = {
    "type": "object",
    "required": ["status", "version"],
    "properties": {"status": {"const": "ok"}, "version": {"type": "string"}},
}
DEPENDENCY = {
    "type": "object",
    "required": ["status", "latency_ms"],
    "properties": {"status": {"const": "ok"}, "latency_ms": {"type": "number", "minimum": 0}},
}
TOKEN = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in"],
    "properties": {
        "access_token": {"type": "string"},
        "token_type": {"const": "Bearer"},
        "expires_in": {"type": "integer", "minimum": 1},
    },
}
CONSULT = {
    "type": "object",
    "required": ["id", "patient", "reason", "starts_at", "status", "created_at"],
    "properties": {
        "id": _ID,
        "patient": {"type": "string"},
        "reason": {"type": "string"},
        "starts_at": _TIME,
        "status": {"enum": ["booked", "completed"]},
        "created_at": _TIME,
    },
}
PAGE = {
    "type": "object",
    "required": ["items", "next_cursor"],
    "properties": {"items": {"type": "array", "items": CONSULT}, "next_cursor": {"type": ["string", "null"]}},
}
PROBLEM = {
    "type": "object",
    "required": ["title", "status"],
    "properties": {"type": {"type": "string"}, "title": {"type": "string"}, "detail": {"type": "string"}},
}


def expect(response: httpx.Response, status: int, schema: dict[str, Any]) -> Any:
    """Assert status, content type and shape of an answer; return its document."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    error = best_match(Draft202012Validator(schema, format_checker=_FORMATS).iter_errors(document))
    assert error is None, error
    return document


def expect_problem(response: httpx.Response, status: int) -> None:
    """Assert a problem document with this status and without a traceback."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert best_match(Draft202012Validator(PROBLEM).iter_errors(response.json())) is None, response.text
    assert response.json()["status"] == status
    assert "Traceback" not in response.text
    if status == 401:
        assert response.headers["www-authenticate"].startswith("Bearer ")

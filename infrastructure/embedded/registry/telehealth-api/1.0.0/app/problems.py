"""Errors as RFC 9457 problem documents: every answer from 400 on is one, and none holds a stack trace."""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus

import psycopg
import redis.exceptions
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_log = logging.getLogger("telehealth.problems")


class Problem(Exception):
    """What a handler raises to answer with an error; `detail` is shown to the caller."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def problem_response(status: int, detail: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document; its title is the status's phrase (RFC 9457, 4.2.1: type about:blank)."""
    body: dict[str, object] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    if detail is not None:
        body["detail"] = detail
    return Response(json.dumps(body), status, headers, media_type="application/problem+json")


async def on_problem(_request: Request, error: Exception) -> Response:
    """Answer what a handler raised."""
    assert isinstance(error, Problem)
    return problem_response(error.status, error.detail, error.headers)


async def on_http_exception(_request: Request, error: Exception) -> Response:
    """Answer what the router raised: 404, and 405 with its Allow header."""
    assert isinstance(error, HTTPException)
    return problem_response(error.status_code, headers=error.headers)


async def on_unavailable(_request: Request, error: Exception) -> Response:
    """Answer 503 where PostgreSQL or Redis did not; the caller may try again."""
    name = "redis" if isinstance(error, redis.exceptions.RedisError) else "database"
    _log.warning("dependency unavailable", extra={"fields": {"dependency": name, "exception": type(error).__name__}})
    return problem_response(503, f"the {name} is not reachable", {"Retry-After": "1"})


async def on_unstorable(_request: Request, _error: Exception) -> Response:
    """Answer 422 to a value that passed the schema and that PostgreSQL cannot hold."""
    return problem_response(422, "a value cannot be stored")


EXCEPTION_HANDLERS = {
    Problem: on_problem,
    HTTPException: on_http_exception,
    psycopg.DataError: on_unstorable,
    psycopg.OperationalError: on_unavailable,  # the pool's own timeout is one, too
    redis.exceptions.ConnectionError: on_unavailable,
    redis.exceptions.TimeoutError: on_unavailable,
}

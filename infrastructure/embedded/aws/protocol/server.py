"""The ASGI application: routing, the protocols, and the check of every request and answer against the model."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from infrastructure.embedded.aws.errors import AwsError, unknown_operation
from infrastructure.embedded.aws.protocol import calls, query
from infrastructure.embedded.aws.protocol.calls import Call, Reply
from infrastructure.embedded.aws.protocol.model import complaint, violations, without_nulls

_log = logging.getLogger(__name__)

Handlers = dict[str, Callable[[dict[str, Any]], dict[str, Any]]]


@dataclass(frozen=True)
class Dialect:
    """A service's codes for an invalid request and an internal error, its media type and its name in signatures.

    The service answers `instead` if an operation's model does not declare the error; None sends the error unchanged.
    `region` is the region in signatures for a global service; None means the endpoint's region.
    """

    invalid: str
    internal: str
    media_type: str
    signed_for: str
    instead: str | None = None
    region: str | None = None


DIALECTS = {
    "apprunner": Dialect(
        "InvalidRequestException",
        "InternalServiceErrorException",
        "application/x-amz-json-1.0",
        "apprunner",
        "InvalidRequestException",
    ),
    "ecs": Dialect(
        "InvalidParameterException", "ServerException", "application/x-amz-json-1.1", "ecs", "ClientException"
    ),
    "elbv2": Dialect("ValidationError", "InternalFailure", query.XML, "elasticloadbalancing"),
    "iam": Dialect("InvalidInput", "ServiceFailure", query.XML, "iam", region="us-east-1"),
}
KEY_VALUE_STORE = Dialect(
    "ValidationException", "InternalServerException", "application/json", "cloudfront-keyvaluestore"
)
ALWAYS_ALLOWED = {"ValidationException", "SerializationException", "UnknownOperationException"}


@dataclass(frozen=True)
class Services:
    """The handlers: by service for the JSON and the query protocol, and those of the key value store, if any."""

    json: Mapping[str, Handlers]
    query: Mapping[str, Handlers]
    kvs: Handlers


def application(services: Services, region: str, start: Callable[[], None], stop: Callable[[], None]) -> Starlette:
    """Return the application for one region; `start` runs before the first request, `stop` after the last."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(start)
        yield
        await run_in_threadpool(stop)

    async def ready(_: Request) -> Response:
        return PlainTextResponse("ready\n")

    async def post_endpoint(request: Request) -> Response:
        call = await _call(request)
        if "x-amz-target" not in call.headers and services.query:
            service = query.query_service(call, services.query)
            handlers = services.query[service]
            return _response(await run_in_threadpool(answer_query, call, service, handlers, region), DIALECTS[service])
        try:
            service = calls.json_service(call, services.json)
        except AwsError as exc:
            return _response(calls.error_reply(exc), KEY_VALUE_STORE)
        reply = await run_in_threadpool(answer_json, call, service, services.json[service], region)
        return _response(reply, DIALECTS[service])

    async def rest_endpoint(request: Request) -> Response:
        call = await _call(request)
        return _response(await run_in_threadpool(answer_rest, call, services.kvs), KEY_VALUE_STORE)

    routes = [
        Route("/_ready", ready),
        Route("/", post_endpoint, methods=["POST"]),
        Route("/{path:path}", rest_endpoint, methods=["GET", "PUT", "POST", "DELETE"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def answer_json(call: Call, service: str, handlers: Handlers, region: str) -> Reply:
    """Answer a call of App Runner or ECS."""
    dialect = DIALECTS[service]

    def answer() -> Reply:
        calls.refuse_unsigned(call, "AWS4-HMAC-SHA256", rf"{region}/{dialect.signed_for}")
        operation = calls.json_operation(call, service)
        return Reply(200, {}, _checked(operation, calls.json_parameters(call), handlers, dialect))

    return _guarded(answer, dialect, calls.error_reply)


def answer_query(call: Call, service: str, handlers: Handlers, region: str) -> Reply:
    """Answer a call of Elastic Load Balancing or IAM."""
    dialect = DIALECTS[service]

    def answer() -> Reply:
        calls.refuse_unsigned(call, "AWS4-HMAC-SHA256", rf"{dialect.region or region}/{dialect.signed_for}")
        operation, form = query.query_operation(call, service)
        parameters = query.query_parameters(operation, form)
        return query.query_reply(operation, _checked(operation, parameters, handlers, dialect))

    return _guarded(answer, dialect, query.query_error)


def answer_rest(call: Call, handlers: Handlers) -> Reply:
    """Answer a call of the key value store, which accepts only signatures for all regions (SigV4A)."""

    def answer() -> Reply:
        calls.refuse_unsigned(call, "AWS4-ECDSA-P256-SHA256", KEY_VALUE_STORE.signed_for)
        operation, from_path = calls.rest_operation(call)
        parameters = calls.rest_parameters(operation, call, from_path)
        return calls.rest_reply(operation, _checked(operation, parameters, handlers, KEY_VALUE_STORE))

    return _guarded(answer, KEY_VALUE_STORE, calls.error_reply)


def _checked(operation: Any, parameters: dict[str, Any], handlers: Handlers, dialect: Dialect) -> dict[str, Any]:
    """Check the input against the model, call the handler and check the output against the model."""
    if operation.name not in handlers:
        raise unknown_operation(f"{operation.name} is not supported by the embedded endpoint")
    found = list(violations(operation.input_shape, parameters))
    if found:
        raise AwsError(dialect.invalid, complaint(found))
    try:
        output = handlers[operation.name](without_nulls(parameters))
    except AwsError as exc:
        raise _declared(operation, exc, dialect) from exc
    broken = list(violations(operation.output_shape, output))
    if broken:
        raise RuntimeError(f"the answer of {operation.name} breaks AWS's model: {complaint(broken)}")
    return output


def _declared(operation: Any, error: AwsError, dialect: Dialect) -> AwsError:
    """Return the error, or the service's substitute if the operation's model does not declare the error."""
    declared = {shape.metadata.get("error", {}).get("code", shape.name) for shape in operation.error_shapes}
    if dialect.instead is not None and error.code not in declared | ALWAYS_ALLOWED:
        return AwsError(dialect.instead, error.message)
    return error


def _guarded(answer: Callable[[], Reply], dialect: Dialect, refuse: Callable[[AwsError], Reply]) -> Reply:
    try:
        return answer()
    except AwsError as exc:
        return refuse(exc)
    except Exception as exc:
        _log.exception("internal error of the endpoint")
        return refuse(AwsError(dialect.internal, f"{type(exc).__name__}: see the endpoint's log", 500))


async def _call(request: Request) -> Call:
    body = await request.body()
    raw: bytes = request.scope["raw_path"]
    return Call(request.method, raw.decode(), request.url.query, request.headers, body)


def _response(reply: Reply, dialect: Dialect) -> Response:
    headers = reply.headers | {"x-amzn-requestid": str(uuid.uuid4())}
    body = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
    return Response(body, reply.status, headers, dialect.media_type)

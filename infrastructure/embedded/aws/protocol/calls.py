"""The server's side of two of AWS's wire protocols: JSON (App Runner, ECS) and REST-JSON (the key value store)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from infrastructure.embedded.aws.errors import AwsError, unknown_operation
from infrastructure.embedded.aws.protocol.model import service_model


@dataclass(frozen=True)
class Call:
    """A request, independent of the web framework; `path` is still percent-encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer: a JSON document or a finished text, and headers with output members or the error's name."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any] | str | None


def refuse_unsigned(call: Call, algorithm: str, scope: str) -> None:
    """Raise AWS's error if a signature is absent, of another kind, or made for another service or region.

    The signature itself is not verified: on loopback any key is accepted.
    """
    given = call.headers.get("authorization", "")
    if not given:
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    wanted = rf"{algorithm} Credential=[^/\s]+/\d{{8}}/{scope}/aws4_request\b.*"
    if not re.fullmatch(wanted, given):
        raise AwsError("InvalidSignatureException", f"Credential should be scoped to {scope}, signed {algorithm}", 403)


def json_service(call: Call, services: Iterable[str]) -> str:
    """Return the service that the X-Amz-Target header names. Raises UnknownOperationException for others."""
    target = call.headers.get("x-amz-target", "(no X-Amz-Target)")
    for service in services:
        if target.partition(".")[0] == service_model(service).metadata["targetPrefix"]:
            return service
    raise unknown_operation(f"X-Amz-Target names no service of this endpoint: {target}")


def json_operation(call: Call, service: str) -> Any:
    """Return the model of the operation that the X-Amz-Target header names. Raises UnknownOperationException."""
    model, name = service_model(service), call.headers.get("x-amz-target", "").partition(".")[2]
    if name not in model.operation_names:
        raise unknown_operation(f"{service} has no operation {name}")
    return model.operation_model(name)


def json_parameters(call: Call) -> dict[str, Any]:
    """Return the request's body, a JSON object. Raises SerializationException if it is anything else."""
    try:
        document = json.loads(call.body or b"{}")
    except ValueError as exc:
        raise AwsError("SerializationException", "the body is not JSON") from exc
    if not isinstance(document, dict):
        raise AwsError("SerializationException", "the body is not a JSON object")
    return document


def rest_operation(call: Call) -> tuple[Any, dict[str, Any]]:
    """Return the model of the key value store's operation for method and path, and the members in the path."""
    model = service_model("cloudfront-keyvaluestore")
    for name in model.operation_names:
        operation = model.operation_model(name)
        found = _template(operation.http["requestUri"]).fullmatch(call.path)
        if found and operation.http["method"] == call.method:
            return operation, {member: unquote(value) for member, value in found.groupdict().items()}
    raise unknown_operation(f"the key value store has no operation {call.method} {call.path}")


def rest_parameters(operation: Any, call: Call, from_path: dict[str, Any]) -> dict[str, Any]:
    """Return all input members from path, headers, query and body, including unknown ones, which are refused later."""
    members = operation.input_shape.members
    in_body = [name for name, shape in members.items() if "location" not in shape.serialization]
    parameters = json_parameters(call) if in_body else {}
    hidden = [name for name in parameters if name in members and name not in in_body]
    if hidden:
        raise AwsError("ValidationException", f"members {hidden} do not belong in the body")
    parameters |= from_path
    query = dict(parse_qsl(call.query, keep_blank_values=True))
    for name, shape in members.items():
        wire = shape.serialization.get("name", name)
        if shape.serialization.get("location") == "header" and wire.lower() in call.headers:
            parameters[name] = call.headers[wire.lower()]
        if shape.serialization.get("location") == "querystring" and wire in query:
            parameters[name] = _typed(shape, query.pop(wire))
    return parameters | query


def rest_reply(operation: Any, output: dict[str, Any]) -> Reply:
    """Return the output split into headers and body, according to the model."""
    members = operation.output_shape.members
    headers = {
        members[name].serialization["name"]: str(value)
        for name, value in output.items()
        if members[name].serialization.get("location") == "header"
    }
    body = {name: value for name, value in output.items() if members[name].serialization.get("location") != "header"}
    return Reply(200, headers, body)


def error_reply(error: AwsError) -> Reply:
    """Return an error in header and body, so that both of boto3's parsers understand it."""
    return Reply(error.status, {"x-amzn-errortype": error.code}, {"__type": error.code, "Message": error.message})


def _typed(shape: Any, text: str) -> Any:
    if shape.type_name in ("integer", "long") and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    return text  # `violations` then reports the member and its type


def _template(uri: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(uri)))

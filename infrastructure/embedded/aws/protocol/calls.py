"""Two of AWS's wire protocols, from the server's side: JSON (App Runner, ECS) and REST-JSON (the key value store)."""

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
    """A request as AWS's protocols see it; `path` is raw, still percent-encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What goes back: a JSON document, or a text ready to send, and the headers that carry output members or the error's name."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any] | str | None


def refuse_unsigned(call: Call, algorithm: str, scope: str) -> None:
    """Raises what AWS answers where a signature is absent, of another kind, or made for another service or region.

    The signature itself is not recomputed: on loopback any key will do.
    """
    given = call.headers.get("authorization", "")
    if not given:
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    wanted = rf"{algorithm} Credential=[^/\s]+/\d{{8}}/{scope}/aws4_request\b.*"
    if not re.fullmatch(wanted, given):
        raise AwsError("InvalidSignatureException", f"Credential should be scoped to {scope}, signed {algorithm}", 403)


def json_service(call: Call, services: Iterable[str]) -> str:
    """Which of the services the X-Amz-Target header means; raises UnknownOperationException."""
    target = call.headers.get("x-amz-target", "(no X-Amz-Target)")
    for service in services:
        if target.partition(".")[0] == service_model(service).metadata["targetPrefix"]:
            return service
    raise unknown_operation(f"no service here is meant by {target}")


def json_operation(call: Call, service: str) -> Any:
    """The service's operation model that the X-Amz-Target header names; raises UnknownOperationException."""
    model, name = service_model(service), call.headers.get("x-amz-target", "").partition(".")[2]
    if name not in model.operation_names:
        raise unknown_operation(f"no operation of {service}: {name}")
    return model.operation_model(name)


def json_parameters(call: Call) -> dict[str, Any]:
    """The request's body as a JSON object; raises SerializationException where it is none."""
    try:
        document = json.loads(call.body or b"{}")
    except ValueError as exc:
        raise AwsError("SerializationException", "the body is not JSON") from exc
    if not isinstance(document, dict):
        raise AwsError("SerializationException", "the body is not a JSON object")
    return document


def rest_operation(call: Call) -> tuple[Any, dict[str, Any]]:
    """The key value store's operation model for method and path, with the members that the path carries."""
    model = service_model("cloudfront-keyvaluestore")
    for name in model.operation_names:
        operation = model.operation_model(name)
        found = _template(operation.http["requestUri"]).fullmatch(call.path)
        if found and operation.http["method"] == call.method:
            return operation, {member: unquote(value) for member, value in found.groupdict().items()}
    raise unknown_operation(f"no operation of the key value store: {call.method} {call.path}")


def rest_parameters(operation: Any, call: Call, from_path: dict[str, Any]) -> dict[str, Any]:
    """All input members: from path, headers, query and body; what the model does not know stays in, to be refused."""
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
    """Splits the output into headers and body, as the model says."""
    members = operation.output_shape.members
    headers = {
        members[name].serialization["name"]: str(value)
        for name, value in output.items()
        if members[name].serialization.get("location") == "header"
    }
    body = {name: value for name, value in output.items() if members[name].serialization.get("location") != "header"}
    return Reply(200, headers, body)


def error_reply(error: AwsError) -> Reply:
    """An error that both boto3's parsers understand: by header and by body."""
    return Reply(error.status, {"x-amzn-errortype": error.code}, {"__type": error.code, "Message": error.message})


def _typed(shape: Any, text: str) -> Any:
    if shape.type_name in ("integer", "long") and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    return text  # the walk then names the member and its type


def _template(uri: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(uri)))

"""The server's side of AWS's query protocol (Elastic Load Balancing, IAM): requests are forms, answers are XML.

moto's parser and serialiser are not used because they ignore unknown members, and here a typo must be noticed.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

from infrastructure.embedded.aws.errors import AwsError
from infrastructure.embedded.aws.protocol.calls import Call, Reply
from infrastructure.embedded.aws.protocol.model import service_model

Form = dict[str, str]
XML = "text/xml"


def query_service(call: Call, services: Iterable[str]) -> str:
    """Return the service with the form's Version, or the first one, which then answers InvalidAction."""
    version = dict(parse_qsl(call.body.decode(errors="replace"))).get("Version")
    known = {service_model(one).metadata["apiVersion"]: one for one in services}
    return known.get(version, next(iter(known.values())))


def query_operation(call: Call, service: str) -> tuple[Any, Form]:
    """Return the model of the form's Action and the other members of the form. Raises InvalidAction."""
    form = dict(parse_qsl(call.body.decode(errors="replace"), keep_blank_values=True))
    model = service_model(service)
    action, version = form.pop("Action", ""), form.pop("Version", "")
    if action not in model.operation_names or version != model.metadata["apiVersion"]:
        raise AwsError("InvalidAction", f"Could not find operation {action} for version {version}")
    return model.operation_model(action), form


def query_parameters(operation: Any, form: Form) -> dict[str, Any]:
    """Return the form as members of the operation's input. Raises ValidationError for an unknown key."""
    left = dict(form)
    parameters = _structure(operation.input_shape, left, "")
    if left:
        raise AwsError("ValidationError", f"Unknown parameters: {', '.join(sorted(left))}")
    return parameters


def query_reply(operation: Any, output: dict[str, Any]) -> Reply:
    """Return the output as XML; its timestamps are seconds since the epoch."""
    root = ET.Element(f"{operation.name}Response", xmlns=operation.service_model.metadata["xmlNamespace"])
    shape = operation.output_shape
    wrapper = shape.serialization.get("resultWrapper", f"{operation.name}Result") if shape else "Result"
    result = ET.SubElement(root, wrapper)
    if shape is not None:
        _write_members(result, shape, output)
    ET.SubElement(ET.SubElement(root, "ResponseMetadata"), "RequestId").text = str(uuid.uuid4())
    return Reply(200, {}, ET.tostring(root, encoding="unicode"))


def query_error(error: AwsError) -> Reply:
    """Return an error in this protocol's format."""
    root = ET.Element("ErrorResponse")
    error_element = ET.SubElement(root, "Error")
    for name, text in (
        ("Type", "Sender" if error.status < 500 else "Receiver"),
        ("Code", error.code),
        ("Message", error.message),
    ):
        ET.SubElement(error_element, name).text = text
    ET.SubElement(root, "RequestId").text = str(uuid.uuid4())
    return Reply(error.status, {}, ET.tostring(root, encoding="unicode"))


def _structure(shape: Any, form: Form, prefix: str) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        value = _read(member, form, f"{prefix}{member.serialization.get('name', name)}")
        if value is not None:
            found[name] = value
    return found


def _read(shape: Any, form: Form, key: str) -> Any:
    """Remove the value under `key` from the form and return it; None if there is none."""
    if shape.type_name == "structure":
        there = any(name.startswith(f"{key}.") for name in form)
        return _structure(shape, form, f"{key}.") if there else None
    if shape.type_name == "list":
        return _list(shape, form, key)
    return _scalar(shape, form.pop(key)) if key in form else None


def _list(shape: Any, form: Form, key: str) -> list[Any] | None:
    if form.get(key) == "":  # how clients write an empty list
        del form[key]
        return []
    stem = key if shape.serialization.get("flattened") else f"{key}.{shape.member.serialization.get('name', 'member')}"
    values: list[Any] = []
    while (value := _read(shape.member, form, f"{stem}.{len(values) + 1}")) is not None:
        values.append(value)
    return values or None


def _scalar(shape: Any, text: str) -> Any:
    """Return the text converted to the shape's type; text that does not convert stays, and `violations` refuses it."""
    if shape.type_name in ("integer", "long") and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    if shape.type_name == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def _write_members(parent: ET.Element, shape: Any, value: dict[str, Any]) -> None:
    for name, member in value.items():
        known = shape.members[name]
        _write(parent, known.serialization.get("name", name), known, member)


def _write(parent: ET.Element, name: str, shape: Any, value: Any) -> None:
    element = ET.SubElement(parent, name)
    if shape.type_name == "structure":
        _write_members(element, shape, value)
    elif shape.type_name == "list":
        for one in value:
            _write(element, shape.member.serialization.get("name", "member"), shape.member, one)
    else:
        element.text = _text(shape, value)


def _text(shape: Any, value: Any) -> str:
    if shape.type_name == "timestamp":
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return str(value).lower() if shape.type_name == "boolean" else str(value)

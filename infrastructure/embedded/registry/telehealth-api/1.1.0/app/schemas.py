"""What a request may look like: the contract's JSON Schemas, compiled once, and how a body becomes a document."""

import json
import sys
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

from starlette.requests import Request

from app.problems import Problem

# jsonschema compiles a grammar for the format `iri` where this optional package is installed: a second of
# start-up for a format that no schema here has.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None is Python's own mark for "not there"

from jsonschema import Draft202012Validator, FormatChecker  # noqa: E402  # after the line above, which it obeys
from jsonschema.exceptions import ValidationError, best_match  # noqa: E402

LARGEST_BODY = 256 * 1024  # bytes; the largest valid consult has 75 KiB, were each character escaped

_FORMATS = FormatChecker(["email", "date-time"])
_NO_NUL = r"^[^\x00]*$"


def _compile(properties: dict[str, Any], required: list[str]) -> Draft202012Validator:
    schema = {"type": "object", "required": required, "properties": properties}
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=_FORMATS)


CREDENTIALS = _compile(
    {"email": {"type": "string", "format": "email", "pattern": _NO_NUL}, "password": {"type": "string"}},
    ["email", "password"],
)
NEW_CONSULT = _compile(
    {
        "patient": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": _NO_NUL},
        "reason": {"type": "string", "minLength": 1, "maxLength": 2000, "pattern": _NO_NUL},
        "starts_at": {"type": "string", "format": "date-time"},
        "notes": {"type": ["string", "null"], "maxLength": 4000, "pattern": _NO_NUL},
    },
    ["patient", "reason", "starts_at"],
)


async def read_body(request: Request, validator: Draft202012Validator) -> dict[str, Any]:
    """The request's JSON object, valid. Raises Problem: 413 too large, 422 for anything else that is wrong."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise Problem(413, f"the body has more than {LARGEST_BODY} bytes", {"Connection": "close"})
    document = parse_json(bytes(body))
    error = best_match(validator.iter_errors(document))
    if error is not None:
        raise Problem(422, _broken_rule(error))
    assert isinstance(document, dict)
    return document


def _broken_rule(error: ValidationError) -> str:
    """Where, and which rule; never the value, which may be a password."""
    where = "/".join(map(str, error.absolute_path)) or "the body"
    if error.validator == "required" and isinstance(error.instance, dict):
        missing = set(cast(list[str], error.validator_value)) - set(error.instance)
        return f"{where}: required ({', '.join(sorted(missing))})"
    return f"{where}: {error.validator}"


def parse_json(body: bytes) -> object:
    """A JSON document in UTF-8. Raises Problem (422), also for what Python takes and JSON or UTF-8 does not."""
    try:
        document: object = json.loads(body.decode(), parse_constant=_refuse_constant)
        json.dumps(document, ensure_ascii=False).encode()  # a lone surrogate has no UTF-8, so nothing can store it
    except (ValueError, RecursionError):
        raise Problem(422, "the body is not a JSON document in UTF-8") from None
    return document


def parse_time(text: str) -> datetime:
    """An RFC 3339 time, in UTC. Raises Problem (422) outside of the years 1 to 9999."""
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Problem(422, "the time cannot be represented in UTC") from None


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC, with fractions of a second where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

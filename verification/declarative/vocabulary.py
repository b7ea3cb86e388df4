"""Requests and expectations: the same words in checks and in ``suites/service.yaml``, from YAML to the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from verification.journeys.model import BodyKind, Expectation, Request

BODIES: dict[str, BodyKind] = {
    "json": "json",
    "form": "form",
    "multipart": "multipart",
    "file": "file",
    "body": "text",
}
LONGEST_S = 600.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_DURATION = re.compile(r"([0-9]+)(ms|s|m)")


@dataclass(frozen=True)
class Until:
    """Repeat a request until its answer is as expected: at most ``within_s`` seconds, with a pause of ``every_s`` seconds."""

    within_s: float
    every_s: float


def request_of(raw: Any, find: Callable[[str], str]) -> Request:
    """Return a request as written; ``find`` returns the whole path of a file that the request names."""
    if isinstance(raw, str):
        method, _, path = raw.partition(" ")
        return Request(method, path)
    kind = next((one for one in BODIES if one in raw), None)
    body: Any = None if kind is None else raw[kind]
    if kind == "file":
        body = find(body)
    elif kind == "multipart":
        body = {
            name: {**value, "file": find(value["file"])} if isinstance(value, Mapping) else value
            for name, value in body.items()
        }
    return Request(
        raw["method"],
        raw["path"],
        raw.get("query", {}),
        raw.get("headers", {}),
        "none" if kind is None else BODIES[kind],
        body,
    )


def expectation_of(raw: Mapping[str, Any], schema: Any = None) -> Expectation:
    """Return an expectation as written; ``schema`` is already in its final form."""
    status = raw["status"]
    statuses = tuple(status) if isinstance(status, list) else (status,)
    return Expectation(
        statuses,
        raw.get("headers", {}),
        "body" in raw,
        raw.get("body"),
        raw.get("json", {}),
        schema,
        raw.get("contract", True),
        raw.get("within_ms"),
    )


def until_of(raw: Mapping[str, str] | None) -> Until | None:
    """Return when to stop repeating a request, None if it is sent once."""
    if raw is None:
        return None
    within = seconds(raw["within"])
    return Until(within, seconds(raw["every"]) if "every" in raw else min(0.5, within / 4))


def seconds(duration: str) -> float:
    """Return a duration such as ``500ms``, ``10s`` or ``2m`` in seconds."""
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise ValueError(duration)
    return int(found[1]) * _UNITS[found[2]]

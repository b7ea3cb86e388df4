"""The draft of ``suites/service.yaml``: health, sessions and journeys, found in an OpenAPI document by path, method and schema."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.drafts.document import Document, Operation
from scripts.drafts.journeys import collections
from scripts.drafts.sessions import session_of

HEALTH = (
    "health",
    "healthz",
    "healthcheck",
    "livez",
    "alive",
    "liveness",
    "readyz",
    "ready",
    "readiness",
    "ping",
    "status",
    "up",
)
"""Last segments of a health path, the likeliest first."""
DEPENDENCIES = {
    "database": re.compile(r"database|\bdb\b|postgres|mysql|sql"),
    "redis": re.compile(r"redis|valkey|cache"),
}
NO_PATH = "/health"
LOOKS = 5
"""How many lists and pages a draft reads at most, beside the journeys that write."""
READS, WRITES = 5, 1
"""The weights of journeys."""


@dataclass(frozen=True)
class Draft:
    """The description as JSON values; ``unknown`` lists the parts that a person must check."""

    description: Mapping[str, Any]
    unknown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """What a running service answered: a path that answers 200, and where the version is in that answer (None: nowhere)."""

    path: str
    version: str | None


def draft(name: str, document: Document | None, contract: str | None, asked: Asked | None) -> Draft:
    """Return the draft of a description; ``contract`` is the document's path relative to the description."""
    unknown: list[str] = []
    operations = document.operations if document is not None else ()
    health = _health(document, asked, unknown)
    dependencies = _dependencies(operations, health, unknown)
    is_guess = asked is None and next(health_paths(document), None) is None
    asked_there = (
        [health, *(one for one in dependencies.values() if one != "none")] if dependencies != "none" else [health]
    )
    beside = {one["request"].removeprefix("GET ") for one in asked_there if one is not health or not is_guess}
    sessions, journeys = _users(document, beside, unknown)
    writing = [one for one in journeys.values() if any(request_writes(step) for step in one["steps"])]
    if not journeys:
        unknown.append("journeys: what users do with the service; only the health check is asked")
    if writing:
        unknown.append("journeys: whether the prober and the load may write with them; if so, add `live: true`")
    if len(writing) == len(journeys):  # the prober and the load need a journey that writes nothing
        step = {"name": "ask for health", "request": health["request"], "expect": health["expect"]}
        journeys["see that it is up"] = {"steps": [step]}
    description = {
        "service": name,
        **({"contract": contract} if contract is not None else {}),
        "health": health,
        "dependencies": dependencies,
        "sessions": sessions or "none",
        "journeys": journeys,
    }
    return Draft(description, unknown)


def request_writes(step: Mapping[str, Any]) -> bool:
    """Return whether a drafted step changes something."""
    request = step["request"]
    method = request["method"] if isinstance(request, Mapping) else request.partition(" ")[0]
    return str(method) != "GET"


def health_paths(document: Document | None) -> Iterator[Operation]:
    """Yield the operations that look like a health check, the likeliest first."""
    plain = [one for one in document.operations if one.method == "GET" and not one.variables] if document else []
    for word in HEALTH:
        yield from (one for one in plain if one.path.rstrip("/").rpartition("/")[2].lower() == word)


def _health(document: Document | None, asked: Asked | None, unknown: list[str]) -> dict[str, Any]:
    found = next(health_paths(document), None)
    if asked is not None:
        if asked.version is None:
            unknown.append(
                f"health.version: GET {asked.path} names no version; the platform's digest identifies a release"
            )
        return {"request": f"GET {asked.path}", "expect": {"status": 200}, "version": asked.version or "none"}
    if found is None or document is None:
        path = NO_PATH if document is None else _root(document)
        unknown.append(f"health: no path of a health check was found; GET {path} is a guess")
        return {"request": f"GET {path}", "expect": {"status": 200}, "version": "none"}
    schema = document.answer_schema(found)
    properties = schema.get("properties", {})
    version = "$.version" if "version" in properties else "none"
    if version == "none":
        unknown.append(f"health.version: {found} documents no version; the platform's digest identifies a release")
    status = document.success(found)[0]
    return {
        "request": f"GET {found.path}",
        "expect": {"status": status, **_state(document, properties)},
        "version": version,
    }


def _root(document: Document) -> str:
    """Return the shortest path that can be read without anything else, the default path if there is none."""
    reads = [one for one in document.operations if one.method == "GET" and not one.variables and not one.needs_query]
    found = (one.path for one in reads if document.security(one) is None and not one.is_about_sessions)
    return min(found, key=len, default=NO_PATH)


def _state(document: Document, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the expectation of a body whose ``status`` has one documented value of health."""
    flat = document.flat(properties.get("status", {}))
    values = [flat["const"]] if "const" in flat else list(flat.get("enum", ()))
    good = [one for one in values if str(one).lower() in ("ok", "up", "healthy", "pass", "passing", "alive")]
    return {"body": {"status": good[0]}} if good else {}


def _dependencies(operations: tuple[Operation, ...], health: Mapping[str, Any], unknown: list[str]) -> Any:
    """Return the questions about database and Redis: paths at or below the health path that name one."""
    base = str(health["request"]).removeprefix("GET ").rstrip("/")
    near = [one for one in operations if one.method == "GET" and one.path.startswith(f"{base}/") and not one.variables]
    found = {
        name: next((one for one in near if words.search(one.path[len(base) :].lower())), None)
        for name, words in DEPENDENCIES.items()
    }
    missing = [name for name, one in found.items() if one is None]
    if missing:
        unknown.append(f"dependencies: whether the service has {' or '.join(missing)}; the draft says none")
    if len(missing) == len(found):
        return "none"
    return {
        name: "none" if one is None else {"request": f"GET {one.path}", "expect": {"status": 200}}
        for name, one in found.items()
    }


def _users(
    document: Document | None, beside: Container[str], unknown: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return sessions and journeys; the paths ``beside`` are asked elsewhere."""
    if document is None:
        unknown.append("sessions: how users sign in; the draft says that they do not")
        return {}, {}
    found = collections(document, beside)
    sessions = _sessions(document, {_scheme(document, one) for each in found for one in each.operations}, unknown)
    journeys: dict[str, Any] = {}
    looks = 0
    for drafted in (each for one in found for each in one.journeys(document)):
        needed = {name for one in drafted.operations if (name := _scheme(document, one)) is not None}
        if len(needed) > 1 or not needed <= sessions.keys():
            unknown.append(f"journeys: `{drafted.name}` needs {' and '.join(sorted(needed))}, which the draft lacks")
            continue
        looks += not drafted.writes
        if not drafted.writes and looks > LOOKS:
            continue
        unknown += drafted.unknown
        as_user = {"as": needed.pop()} if needed else {}
        journeys[drafted.name] = {**as_user, "weight": WRITES if drafted.writes else READS, **drafted.parts}
    if not sessions:
        sessions = _unused_session(document, unknown)
    if looks > LOOKS:
        unknown.append(f"journeys: {looks - LOOKS} more lists and pages could be read; the draft has {LOOKS}")
    return sessions, journeys


def _sessions(document: Document, needed: Container[str | None], unknown: list[str]) -> dict[str, Any]:
    """Return a session for each security scheme that an operation of a journey needs."""
    sessions: dict[str, Any] = {}
    for scheme, raw in document.schemes().items():
        name = _session_name(scheme)
        if name in needed:
            made = session_of(document, name, raw)
            unknown += made.unknown
            sessions |= {name: made.session} if made.session is not None else {}
    return sessions


def _unused_session(document: Document, unknown: list[str]) -> dict[str, Any]:
    """Return a session for the scheme that most operations need, since a description without one is refused."""
    names = [name for one in document.operations if (name := _scheme(document, one)) is not None]
    for name in sorted(set(names), key=names.count, reverse=True):
        if sessions := _sessions(document, {name}, unknown):
            unknown.append(
                f"journeys: what a user does who is signed in as `{name}`; no journey of the draft does that"
            )
            return sessions
    return {}


def _scheme(document: Document, operation: Operation) -> str | None:
    """Return the name of the session that an operation needs; None if it needs none."""
    scheme = document.security(operation)
    return None if scheme is None else _session_name(scheme)


def _session_name(scheme: str) -> str:
    name = re.sub(r"[^\w-]+", "-", scheme).strip("-_")
    return name if name[:1].isalpha() else f"session-{name}"

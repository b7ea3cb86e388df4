"""Server-sent events: the first events of a stream, read by httpx-sse with the limits and the record of the check's client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from verification.redaction.excerpt import excerpt

CONTENT_TYPE = "text/event-stream"
_LONGEST = 120


class EventsMissing(AssertionError):
    """A stream did not send the events that were expected; the text names the request and what was answered."""


@dataclass(frozen=True)
class Event:
    """One event: its name (``message`` if the service gives none), its data and its id (empty without one)."""

    name: str
    data: str
    id: str = ""

    def json(self) -> Any:
        """Return the data as a JSON value. Raises EventsMissing if they are not JSON."""
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError):
            raise EventsMissing(f"the data of event {self.name!r} are not JSON: {_shown(self.data)}") from None


def read_events(client: httpx.Client, path: str, count: int = 1, **request: Any) -> list[Event]:
    """Return the first ``count`` events of a stream, and close it.

    ``request``: ``method`` (default GET) and further arguments of ``httpx.Client.stream``. Raises EventsMissing for another
    status than 200, for another content type, and if the stream ends too early; ``httpx.TransportError`` without an answer,
    at the deadline of the request, and for an answer that is too large.
    """
    from httpx_sse import EventSource

    method = request.pop("method", "GET")
    headers = {"Accept": CONTENT_TYPE, "Cache-Control": "no-store", **_headers(request.pop("headers", None))}
    asked = f"{method} {path.partition('?')[0]}"
    found: list[Event] = []
    with client.stream(method, path, headers=headers, **request) as response:
        if response.status_code != 200:
            raise EventsMissing(f"{asked}: status {response.status_code}, expected 200")
        content_type = response.headers.get("content-type", "none")
        if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
            raise EventsMissing(f"{asked}: content type {_shown(content_type)}, expected {CONTENT_TYPE}")
        for one in EventSource(response).iter_sse():
            found.append(Event(one.event, one.data, one.id))
            if len(found) >= count:
                return found
    raise EventsMissing(f"{asked}: the stream ended after {len(found)} events, expected {count}")


def _headers(given: Mapping[str, str] | None) -> dict[str, str]:
    return dict(given or {})


def _shown(text: str) -> str:
    return excerpt(text, _LONGEST)

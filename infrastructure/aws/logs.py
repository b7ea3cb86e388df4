"""The newest lines of CloudWatch Logs groups, merged by time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from deployment.errors import NotFound
from infrastructure.aws.errors import aws_errors
from infrastructure.aws.session import Clients


def newest_lines(
    clients: Clients,
    groups: Mapping[str, str],
    since: datetime,
    limit: int,
    *,
    streams: Mapping[str, str] | None = None,
    events: Sequence[tuple[datetime, str]] = (),
) -> Sequence[str]:
    """Return the newest ``limit`` lines of all ``groups`` (label to name) since then, oldest first.

    A missing group has no lines. ``streams`` (label to prefix) selects the streams of a group; ``events`` are additional
    lines, of the service. FilterLogEvents answers oldest first, so this reads every page but keeps only ``limit`` events.
    """
    found = [_line(int(at.timestamp() * 1000), "service", text) for at, text in events if at >= since]
    for label, group in groups.items():
        found += _events(clients, label, group, since, limit, (streams or {}).get(label))
    found.sort(key=lambda event: event[0])
    return [line for _, line in found[-limit:]] if limit > 0 else []


def _events(
    clients: Clients, label: str, group: str, since: datetime, limit: int, prefix: str | None
) -> list[tuple[int, str]]:
    kept: deque[tuple[int, str]] = deque(maxlen=max(limit, 0))
    start = int(since.timestamp() * 1000)
    which = {"logStreamNamePrefix": prefix} if prefix else {}
    try:
        with aws_errors("logs", "FilterLogEvents"):
            pages = clients.client("logs").get_paginator("filter_log_events")
            for page in pages.paginate(logGroupName=group, startTime=start, **which):
                kept.extend(_line(event["timestamp"], label, event["message"]) for event in page.get("events", ()))
    except NotFound:
        return []
    return list(kept)


def _line(millis: int, label: str, text: str) -> tuple[int, str]:
    at = datetime.fromtimestamp(millis / 1000, tz=UTC)
    return millis, f"{at:%H:%M:%S}.{at.microsecond // 1000:03d} {label}: {text.rstrip()}"

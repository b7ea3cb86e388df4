"""What keeps a check from counting for its gate: it is advisory, or it is skipped until a date."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

NEVER_EXEMPT = ("health", "live")
"""Without every check of these gates a promotion would not know whether the release runs, or whether users reach it."""
LONGEST_DAYS = 90
REQUIRED, ADVISORY = "required", "advisory"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Kind(StrEnum):
    """How a check is exempt. ``EXPIRED``: its skip has ended, so it counts again; ``INVALID``: a marker that cannot be used."""

    ADVISORY = "advisory"
    SKIPPED = "skipped"
    EXPIRED = "expired"
    INVALID = "invalid"


@dataclass(frozen=True)
class Exemption:
    """How one check is exempt, why, and where the file says so (``FILE:LINE``).

    ``until`` is the last day of a skip (ISO 8601, UTC). ``reason`` may be empty if the check is advisory; for ``INVALID`` it is
    the mistake.
    """

    kind: Kind
    reason: str = ""
    until: str = ""
    place: str = ""


def from_facts(facts: Mapping[str, str]) -> Exemption:
    """Return the exemption that a worker described by ``dataclasses.asdict``, as JSON."""
    return Exemption(Kind(facts["kind"]), facts["reason"], facts["until"], facts["place"])


@dataclass(frozen=True)
class Skip:
    """A skip as a file of checks declares it; ``until`` is its last day (ISO 8601, UTC)."""

    reason: str
    until: str


def today() -> date:
    """Return the current day, UTC."""
    return datetime.now(UTC).date()


def mistakes_in_skip(reason: object, until: object, day: date) -> Iterator[tuple[str, str]]:
    """Yield the mistakes in a skip that is declared on this day: ``reason`` or ``until``, and a text with a hint after a semicolon."""
    if not isinstance(reason, str) or not reason.strip():
        yield "reason", "the skip has no reason; say why the check cannot run, and name a ticket"
    latest = day + timedelta(days=LONGEST_DAYS)
    try:
        if not isinstance(until, str) or not _DAY.fullmatch(until):
            raise ValueError  # date.fromisoformat also reads 20261231 and 2026-W53-1
        end = date.fromisoformat(until)
    except ValueError:
        yield "until", f"{until!r} is not a date; write YYYY-MM-DD, at the latest {latest}"
        return
    if end > latest:
        yield "until", f"{until} is more than {LONGEST_DAYS} days away; write {latest} or an earlier day"


def not_here(gate: str, word: str) -> str | None:
    """Return why no check of a gate may be exempt, ``word`` says how; None if it may."""
    if gate not in NEVER_EXEMPT:
        return None
    return f"a check of gate {gate} cannot be {word}; delete the line, or move the check to another gate"

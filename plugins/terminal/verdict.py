"""The last screen of a run: verdict, reason, the most important failures, users, and the report. At most 24 lines of 80 columns."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployment.evidence.sentence import INTERRUPTED, exemptions, headline, unfinished
from plugins.integrity.outcomes import shortened
from plugins.page import view
from verification.redaction.printable import printable

MOST_LINES = 24
MOST_FAILURES = 3
MOST_NOTES = 10
LONGEST_COMMAND = 150
"""A request that is longer is replaced by the command that runs the check alone."""
# A text of several lines keeps so many of them on a terminal; the report has all of it.
MOST_OF_REASON, MOST_OF_REMEDY = 4, 5
LONGEST_MESSAGE = 140
BAD, GOOD, NOTE, PLAIN = "bad", "good", "note", ""
MOODS: Mapping[str, Mapping[str, bool]] = {
    BAD: {"bold": True, "red": True},
    GOOD: {"bold": True, "green": True},
    NOTE: {"bold": True, "yellow": True},
    PLAIN: {},
}
"""How pytest's terminal shows each mood."""
FIRST = ("failed", "error", "inconclusive")
"""The outcomes of checks that did not pass, the most telling first."""


@dataclass(frozen=True)
class Part:
    """Some lines that belong together. ``whole``: their words are one command or path, which is never divided or cut."""

    lines: Sequence[str]
    mood: str = PLAIN
    indent: int = 2
    most: int | None = None
    whole: frozenset[int] = field(default=frozenset())

    def fitted(self, width: int | None) -> list[str]:
        """Return the lines for a terminal of this width; None: a log, in which each line stays as it is."""
        found: list[str] = []
        for number, line in enumerate(self.lines):
            text, space = printable(line).replace("\n", " "), " " * self.indent
            if width is None or number in self.whole:
                found.append(space + text)
                continue
            wrapped = textwrap.wrap(text, max(20, width - self.indent), break_on_hyphens=False) or [""]
            found += [space + one for one in wrapped]
        if width is None or self.most is None or len(found) <= self.most:
            return found
        return [*found[: self.most - 1], f"{shortened(found[self.most - 1], width - 3)} …"]


def height(lines: Iterable[str], width: int | None) -> int:
    """Return how many rows of a terminal the lines take; a line that is wider than the terminal goes on in the next row."""
    return sum(1 if width is None else max(1, -(-len(line) // width)) for line in lines)


def screen(
    data: Mapping[str, Any], page: Path, against: str, width: int | None, to_recover: str | None = None
) -> Iterator[tuple[str, str]]:
    """Yield the lines of the last screen below its heading, each with its mood.

    ``data`` is the content of data.json, ``page`` the report's page, ``against`` the option of ``pytest`` that chooses what a
    single check is run against. ``width``: see ``Part.fitted``. ``to_recover``: the command that does what the run could not do
    at its end, after its journal was closed, and its effect; None: nothing is left to do.
    """
    failures, notes = _failures(data), list(_notes(data))
    head, tail = (
        [*_verdict(data)],
        [*_live(data), *_users(data), *_next(data, failures, to_recover), *_where(data, page)],
    )
    room = MOST_LINES - 2 - sum(height(part.fitted(width), width) for part in (*head, *tail))
    shown, room = _listed(data, failures[:MOST_FAILURES], against, (room, width))
    noted, _ = _as_many(notes[:MOST_NOTES], room, width)
    left_out = [
        f"{count} more {what}{'s' if count > 1 else ''}"
        for what, count in (("failure", len(failures) - len(shown)), ("note", len(notes) - len(noted)))
        if count
    ]
    more = [Part([f"{' and '.join(left_out)}: see the report"])] if left_out else []
    for part in (*head, *shown, *noted, *more, *tail):
        for line in part.fitted(width):
            yield line, part.mood


def _listed(
    data: Mapping[str, Any], failures: Sequence[Mapping[str, Any]], against: str, place: tuple[int, int | None]
) -> tuple[list[Part], int]:
    """Return the failures, without their messages if they do not fit otherwise, and the rows that are left."""
    said = str(data["report"]["reason"])
    shown: tuple[list[Part], int] = ([], 0)
    for brief in (False, True):
        shown = _as_many([_failure(one, said, against, brief=brief) for one in failures], *place)
        if len(shown[0]) == len(failures):
            break
    return shown


def _as_many(parts: Sequence[Part], room: int, width: int | None) -> tuple[list[Part], int]:
    """Return the first parts that fit into so many rows, and how many rows are left."""
    shown: list[Part] = []
    for part in parts:
        needed = height(part.fitted(width), width)
        if needed > room:
            break
        shown.append(part)
        room -= needed
    return shown, room


def _verdict(data: Mapping[str, Any]) -> Iterator[Part]:
    report = data["report"]
    mood = GOOD if report["exit_code"] == 0 else NOTE if unfinished(report) == INTERRUPTED else BAD
    yield Part([headline(data)], mood, 0)
    if report["reason"]:
        yield Part([report["reason"]], most=MOST_OF_REASON)
    for remedy in data["remedies"]:
        yield Part([line.strip() for line in remedy.splitlines()], most=MOST_OF_REMEDY)


def _failures(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the checks that did not pass; the one of the reason comes first."""
    report = data["report"]
    exempt = {one["check"] for one in report.get("exempt", ())}
    required = {gate["name"]: gate["required"] and not gate["waived"] for gate in data["gates"]}
    order, culprit = list(required), str(report["reason"]).partition(":")[0]
    found = [one for one in view.failures(data) if one["id"] not in exempt]

    def importance(one: Mapping[str, Any]) -> tuple[bool, bool, int, int]:
        gate = one["gate"]
        place = order.index(gate) if gate in order else len(order)
        return gate != culprit, not required.get(gate), FIRST.index(one["outcome"]), place

    return sorted(found, key=importance)


def _failure(one: Mapping[str, Any], said: str, against: str, *, brief: bool) -> Part:
    """Return a failure's lines: gate, name, message unless it is to be ``brief`` or the reason ``said`` it, and a command."""
    name, message = f"{one['gate']}: {one['id'].rpartition('::')[2]}", str(one.get("message") or one["outcome"])
    known = brief or said.startswith(f"{name}: {message}")
    text = name if known else f"{name}: {shortened(message, LONGEST_MESSAGE)}"
    commands: Sequence[str] = one["commands"]
    command = commands[0] if len(commands[0]) <= LONGEST_COMMAND else commands[-1]
    command = command.replace("pytest --base-url=URL ", f"pytest {against}")
    return Part([f"FAILED {text}", f"  {command}"], BAD, whole=frozenset({1}))


def _notes(data: Mapping[str, Any]) -> Iterator[Part]:
    """Yield what decided nothing, but must not be hidden."""
    report = data["report"]
    yield from (Part([text], NOTE) for text in data["advisories"])
    yield from (Part([text], NOTE) for text in exemptions(report))
    for gate in view.absent(data["gates"]):
        yield Part([f"gate {gate['name']} is absent: {gate['reason']}"], NOTE)
    if left_out := report.get("not_asked"):
        counts = Counter(one["gate"] for one in left_out)
        gates = ", ".join(f"{gate} ({count})" for gate, count in counts.items())
        partial = "PARTIAL: " if report["partial"] else ""
        yield Part([f"{partial}{len(left_out)} checks were not asked: {gates}: {left_out[0]['reason']}"], NOTE)
    if claimed := report.get("claimed"):
        yield Part([f"{claimed['digest']} is claimed by {claimed['by']}, and was not verified"])
    yield from (Part([f"WARNING  {one['gates']}: {one['text']}"], NOTE) for one in view.warnings(data))


def _live(data: Mapping[str, Any]) -> Iterator[Part]:
    """Yield the live release if the verdict's sentence does not name it."""
    if data["report"]["verdict"] == "rejected" and data["live"]:
        yield Part([f"live: {data['live']}" + ("" if view.records(data, "moved_elsewhere") else ", as before")])


def _next(data: Mapping[str, Any], failures: Sequence[object], to_recover: str | None) -> Iterator[Part]:
    """Yield the place of the logs if no check has failed, and the next step after an interruption or with ``to_recover``."""
    report = data["report"]
    lines = sum(len(one["lines"]) for one in view.records(data, "logs"))
    if to_recover is not None:
        yield Part([f"next: {to_recover}"], NOTE)
    elif unfinished(report) == INTERRUPTED and report["verdict"] in ("rejected", "rolled_back"):
        yield Part(["next: deploy again at any time; there is nothing to recover"])
    if lines and not failures and unfinished(report) != INTERRUPTED:
        yield Part([f"logs: the report has the last {lines} lines of the release's logs, below its journal"])


def _users(data: Mapping[str, Any]) -> Iterator[Part]:
    if words := view.users(data):
        yield Part([f"users: {words}"])


def _where(data: Mapping[str, Any], page: Path) -> Iterator[Part]:
    yield Part([f"report: {page}", f"exit code {data['report']['exit_code']}"], whole=frozenset({0, 1}))

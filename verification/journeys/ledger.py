"""The ledger of a run: which plays of journeys have written data that is not removed yet.

It is one file beside the journal, for all processes of the run: the checks and their workers, the prober, the load. Each
line is appended by one system call and not synchronised to the disk: a killed process loses no line, because the kernel
keeps what it has taken; a power failure may lose the newest lines. So a line costs some microseconds, and the load and the
latency gate are not slowed down. ``recover`` reads the file, and removes the data of a run that was killed.

A line holds the values that ``undo`` and ``sweep`` of the journey need, and no others; a value that is secret is never
written.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from verification.journeys.model import Journey
from verification.journeys.placeholders import Values, names_in
from verification.redaction.redactor import LearningRedactor, hide_fields, is_secret_name

_PRIVATE = 0o600
_MADE = ("marker", "uuid")
"""The values that are made for each play."""
_SEPARATORS = re.compile(r"[\s;,=]+")


def account_key(account: Mapping[str, str]) -> str | None:
    """Return the name that an account has in the ledger, a hash of its address; None without an account."""
    return hashlib.sha256(account["email"].encode()).hexdigest()[:16] if "email" in account else None


def create(path: Path, environment: str, live_url: str) -> None:
    """Create the file, which only its owner can read; its first line says where the journeys write. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _PRIVATE)
    try:
        _write(descriptor, {"environment": environment, "live_url": live_url})
    finally:
        os.close(descriptor)


class Entry:
    """One play's lines in the ledger. Not safe to use from two threads."""

    __slots__ = ("_journey", "_key", "_ledger", "_open", "_written")

    def __init__(self, ledger: Ledger | None = None, journey: Journey | None = None, key: str | None = None) -> None:
        """Without a ledger or a journey nothing is recorded. ``key``: the key of an entry that is open already."""
        self._ledger = ledger
        self._journey = journey
        self._open = key is not None
        self._key = key or secrets.token_hex(8)
        self._written: set[str] = set()

    @property
    def is_open(self) -> bool:
        """Return whether the play may have written data that is not known to be removed."""
        return self._open

    def begin(self, values: Values, session: Mapping[str, str]) -> None:
        """Record, before a request that writes is sent, that the play writes; ``session`` holds the headers of its session."""
        if self._ledger is None or self._journey is None or not (needed := self._ledger.needed(self._journey)):
            return
        self._ledger.learn(*(part for text in session.values() for part in _SEPARATORS.split(text)))
        if self._open:
            return
        self._open = True
        made = {name: values.value(name) for name in _MADE if name == "marker" or name in needed}
        line = {"journey": self._journey.name, "account": account_key(values.account), "values": made}
        self._ledger.append({"play": self._key, **line})
        self.learned(values)

    def learned(self, values: Values) -> None:
        """Record the captured values that removing needs, before the next step is sent."""
        if self._ledger is None or self._journey is None or not self._open:
            return
        needed = self._ledger.needed(self._journey)
        new = {name: value for name, value in values.captured.items() if name in needed and name not in self._written}
        if not new:
            return
        self._written |= set(new)
        kept = {name: value for name, value in new.items() if not self._ledger.is_secret(self._journey, name, value)}
        withheld = sorted(set(new) - set(kept))
        self._ledger.append({"play": self._key, "values": kept, **({"withheld": withheld} if withheld else {})})

    def close(self) -> None:
        """Record that nothing of the play is left."""
        if self._ledger is not None and self._open:
            self._open = False
            self._ledger.append({"play": self._key, "closed": True})


class Ledger:
    """Appends to a run's ledger, from any thread or process. A line that cannot be written is left out, and stops no run."""

    def __init__(
        self, path: Path | str | None, known_secrets: Iterable[str] = (), private_fields: Iterable[str] = ()
    ) -> None:
        """Open the file; None, or a file that does not exist: nothing is recorded.

        ``known_secrets`` are never written, nor values of ``private_fields``.
        """
        self._descriptor = -1
        # Also without a file: messages about answers hide these values.
        self._redactor = LearningRedactor()
        self.learn(*known_secrets)
        hide_fields(private_fields)
        self._needed: dict[str, frozenset[str]] = {}
        if path is None:
            return
        with suppress(OSError):  # the run may have ended, and removed the file
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def entry(self, journey: Journey) -> Entry:
        """Return the entry of a new play of a journey."""
        return Entry(self, journey) if self._descriptor >= 0 else Entry()

    def needed(self, journey: Journey) -> frozenset[str]:
        """Return the placeholders that ``undo`` and ``sweep`` of a journey use; empty if no request removes anything."""
        if journey.name not in self._needed:
            self._needed[journey.name] = _needed(journey)
        return self._needed[journey.name]

    def learn(self, *known_secrets: str) -> None:
        """Never write these values from now on."""
        self._redactor.learn(*known_secrets)

    def is_secret(self, journey: Journey, name: str, value: Any) -> bool:
        """Return whether a captured value must not be written: redaction knows it, its name, or the name of its field."""
        if value_is_secret(self._redactor, value):
            return True
        queries = [step.capture[name] for step in journey.all_steps if name in step.capture]
        fields = [part for query in queries for part in re.findall(r"[A-Za-z_][\w-]*", query)]
        return any(is_secret_name(one) for one in (name, *fields))

    def append(self, line: Mapping[str, Any]) -> None:
        """Append one line."""
        with suppress(OSError):
            _write(self._descriptor, line)

    def close(self) -> None:
        """Close the file; nothing is recorded after that."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def value_is_secret(redactor: LearningRedactor, value: Any) -> bool:
    """Return whether redaction would hide a value, or a part of it."""
    text = json.dumps(value)
    return redactor.clean(text) != text


def _write(descriptor: int, line: Mapping[str, Any]) -> None:
    # The line break is in front: the rest of a line that the disk did not take whole cannot spoil the next one.
    os.write(descriptor, f"\n{json.dumps(line)}".encode())


def _needed(journey: Journey) -> frozenset[str]:
    removing = [step for step in journey.undo if step.request.writes or step.capture]
    if not any(step.request.writes for step in removing):
        return frozenset()
    used = [asdict(step.request) for step in removing]
    if journey.sweep is not None:
        used += [asdict(journey.sweep.step.request), {"where": journey.sweep.where}]
    return frozenset(names_in(used) | {"marker"})


# -- reading ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenPlay:
    """A play whose data may be left: the journey's name, the account's key, the recorded values, the names of the others."""

    key: str
    journey: str
    account: str | None
    values: dict[str, Any] = field(default_factory=dict)
    withheld: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Contents:
    """What a ledger says: the environment, its live URL, and the plays that are open, oldest first."""

    environment: str | None
    live_url: str | None
    open: tuple[OpenPlay, ...]


def read(path: Path) -> Contents:
    """Return the contents of a ledger; lines that were not written whole are left out. Raises OSError."""
    first: Mapping[str, Any] = {}
    plays: dict[str, OpenPlay] = {}
    for text in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            line = json.loads(text)
            if not isinstance(line, dict):
                continue
            if "play" not in line:
                first = first or line
            elif line.get("closed"):
                plays.pop(line["play"], None)
            elif "journey" in line:
                plays[line["play"]] = OpenPlay(line["play"], line["journey"], line["account"], dict(line["values"]))
            elif line["play"] in plays:
                plays[line["play"]].values.update(line["values"])
                plays[line["play"]].withheld.update(line.get("withheld", ()))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            continue
    return Contents(first.get("environment"), first.get("live_url"), tuple(plays.values()))

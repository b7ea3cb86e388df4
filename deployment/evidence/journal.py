"""The journal: intents and outcomes, appended and fsynced, each line chained to the line before by its hash.

It is the audit log, and ``recover`` reads it. Each line is one JSON object: ``{"seq", "time", "actor", "kind", …data…,
"prev", "hash"}``; ``hash`` is SHA-256 over the line's canonical JSON without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployment.errors import JournalBroken
from deployment.ports import Clock

JOURNAL_FILE = "audit.jsonl"
FIRST = "0" * 64


@dataclass(frozen=True)
class Record:
    """One line: its number, its kind, its data, the hash of the line before, and its own."""

    seq: int
    time: str
    actor: str
    kind: str
    data: Mapping[str, Any]
    prev: str
    hash: str


def line_hash(line: Mapping[str, Any]) -> str:
    """Return the hash of a line: over its canonical JSON without ``hash``."""
    body = {key: value for key, value in line.items() if key != "hash"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Journal:
    """Appends to one file. Several threads may share it, several processes must not."""

    def __init__(
        self,
        path: Path,
        actor: str,
        clock: Clock,
        clean: Callable[[str], str] = str,
        uninterrupted: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Open ``path`` and continue its lines. ``clean`` removes secrets from every line before it is written.

        ``uninterrupted`` is entered around each line: no signal's exception may fall between the write and the update
        of this object. Raises JournalBroken if the existing lines cannot be read.
        """
        self.path = path
        self.actor = actor
        self._clock = clock
        self.clean = clean
        self._uninterrupted = uninterrupted
        self._lock = threading.Lock()
        records = list(read(path)) if path.exists() else []
        self._seq = records[-1].seq if records else 0
        self.head = records[-1].hash if records else FIRST
        path.parent.mkdir(parents=True, exist_ok=True)
        drop_torn_line(path)

    def append(self, kind: str, **data: Any) -> Record:
        """Write one line; return when it is on the disk."""
        with self._uninterrupted(), self._lock:
            cleaned: dict[str, Any] = json.loads(self.clean(json.dumps(data, default=str)))
            body = {
                "seq": self._seq + 1,
                "time": self._clock.now().isoformat(timespec="milliseconds"),
                "actor": self.actor,
                "kind": kind,
                **cleaned,
                "prev": self.head,
            }
            line = {**body, "hash": line_hash(body)}
            self._write(json.dumps(line) + "\n")
            self._seq, self.head = line["seq"], line["hash"]
            return record_of(line)

    def _write(self, line: str) -> None:
        """Write the whole line or nothing: half a line would spoil the next one."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        before = os.fstat(descriptor).st_size
        try:
            rest = line.encode()
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except BaseException:
            os.ftruncate(descriptor, before)
            raise
        finally:
            os.close(descriptor)

    def records(self) -> list[Record]:
        """Return every line written so far."""
        return list(read(self.path)) if self.path.exists() else []


def record_of(line: Mapping[str, Any]) -> Record:
    """Return a line's JSON as a record, unchecked. Raises KeyError, TypeError or AttributeError if it is not a line."""
    own = {"seq", "time", "actor", "kind", "prev", "hash"}
    data = {key: value for key, value in line.items() if key not in own}
    return Record(line["seq"], line["time"], line["actor"], line["kind"], data, line["prev"], line["hash"])


def read(path: Path) -> Iterator[Record]:
    """Read a journal and check its chain; skips a last line that a crash left incomplete. Raises JournalBroken."""
    previous, seq = FIRST, 0
    # Not read_text: it converts line ends, so a changed line end would pass as the original one.
    text = path.read_bytes().decode("utf-8", errors="replace")
    lines = text.split("\n")
    complete = lines[:-1]  # the text after the last newline is a line that was not written completely
    for number, raw in enumerate(complete, 1):
        try:
            line = json.loads(raw)
            record = record_of(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise JournalBroken(f"{path}:{number} is not a journal line") from None
        # The hash covers the line's content; its spelling is compared as well, so that no byte can be changed.
        if (
            record.seq != seq + 1
            or record.prev != previous
            or record.hash != line_hash(line)
            or raw != json.dumps(line)
        ):
            raise JournalBroken(
                f"{path}:{number} does not continue the chain: this line, or one before it, was changed"
            )
        previous, seq = record.hash, record.seq
        yield record


def last_data(records: Sequence[Record], kind: str) -> Mapping[str, Any]:
    """Return the data of the last line of that kind, or an empty mapping if there is none."""
    return next((record.data for record in reversed(records) if record.kind == kind), {})


def drop_torn_line(path: Path) -> None:
    """Remove the text after the last newline: a crash in the middle of a write must not spoil the next line."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())

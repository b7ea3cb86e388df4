"""The journal: what was intended and what came of it, appended, fsynced, each line chained to the one before by its hash.

It is the audit log, and what ``recover`` reads. One JSON object a line:
``{"seq", "time", "actor", "kind", …data…, "prev", "hash"}``; ``hash`` is SHA-256 over the line's canonical JSON without it.
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
    """One line: its place, its kind, its data, and the hash that the next line carries."""

    seq: int
    time: str
    actor: str
    kind: str
    data: Mapping[str, Any]
    prev: str
    hash: str


def line_hash(line: Mapping[str, Any]) -> str:
    """The hash that belongs to a line: over its canonical JSON without ``hash``."""
    body = {key: value for key, value in line.items() if key != "hash"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Journal:
    """Appends to one file; several threads may, several processes must not."""

    def __init__(
        self,
        path: Path,
        actor: str,
        clock: Clock,
        clean: Callable[[str], str] = str,
        unbroken: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Opens ``path``, continuing what is there. ``clean`` removes secrets from every line before it is written.

        ``unbroken`` is entered around each line: no signal's exception may fall between the line and what is known of it.

        Raises JournalBroken where what is there cannot be read.
        """
        self.path = path
        self.actor = actor
        self._clock = clock
        self.clean = clean
        self._unbroken = unbroken
        self._lock = threading.Lock()
        records = list(read(path)) if path.exists() else []
        self._seq = records[-1].seq if records else 0
        self.head = records[-1].hash if records else FIRST
        path.parent.mkdir(parents=True, exist_ok=True)
        drop_torn_line(path)

    def append(self, kind: str, **data: Any) -> Record:
        """Writes one line and returns when it is on the disk."""
        with self._unbroken(), self._lock:
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
        """The whole line or nothing: half a line would spoil the next one."""
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
        """Every line written so far."""
        return list(read(self.path)) if self.path.exists() else []


def record_of(line: Mapping[str, Any]) -> Record:
    """A line's JSON as a record, unchecked. Raises KeyError, TypeError or AttributeError where it is none."""
    own = {"seq", "time", "actor", "kind", "prev", "hash"}
    data = {key: value for key, value in line.items() if key not in own}
    return Record(line["seq"], line["time"], line["actor"], line["kind"], data, line["prev"], line["hash"])


def read(path: Path) -> Iterator[Record]:
    """Reads a journal and checks its chain; a last line that a crash left torn is left out. Raises JournalBroken."""
    previous, seq = FIRST, 0
    # Not read_text, which would take a line end that was changed for the one that was written.
    text = path.read_bytes().decode("utf-8", errors="replace")
    lines = text.split("\n")
    complete = lines[:-1]  # what follows the last newline was never finished
    for number, raw in enumerate(complete, 1):
        try:
            line = json.loads(raw)
            record = record_of(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise JournalBroken(f"{path}:{number} is not a line of a journal") from None
        # The hash is over what the line says; its spelling is compared too, so that not one byte can be another.
        if (
            record.seq != seq + 1
            or record.prev != previous
            or record.hash != line_hash(line)
            or raw != json.dumps(line)
        ):
            raise JournalBroken(f"{path}:{number} does not continue the chain: it, or a line before it, was changed")
        previous, seq = record.hash, record.seq
        yield record


def last_data(records: Sequence[Record], kind: str) -> Mapping[str, Any]:
    """Return the data of the last line of that kind, or an empty mapping if there is none."""
    return next((record.data for record in reversed(records) if record.kind == kind), {})


def drop_torn_line(path: Path) -> None:
    """Cuts what follows the last newline: a crash in the middle of a write must not spoil the next line."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())

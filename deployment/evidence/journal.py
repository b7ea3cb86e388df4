"""The journal: intents and outcomes, appended and fsynced, each line chained to the line before by its hash.

It is the audit log, and ``recover`` reads it. Each line is one JSON object: ``{"seq", "time", "actor", "kind", …data…,
"prev", "hash"}``; ``hash`` is SHA-256 over the line's canonical JSON without it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployment.errors import JournalBroken, JournalUnwritable, first_line
from deployment.files import parse_json, problem_of
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
    """Appends to one file. Several threads may share it, several processes must not.

    A line that cannot be written (the disk is full, the folder is gone) raises nothing: it is kept and written before the
    next line, and ``problem`` says why. ``require_written`` raises before an act that the journal must be able to prove;
    the way back never waits for the disk, because the record in the lease item carries its intent.
    """

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
        self._lines = [_spelled(record) for record in records]
        self._written = len(records)  # how many of the lines are on the disk
        self._torn_at: int | None = None  # the end of the last whole line, if the rest could not be cut off
        self._gaps_allowed = False
        self._late = False  # the journal does not say yet that lines were written late
        self.problem: str | None = None
        """Why a line could not be written when it was due; None if every line was."""
        self.head = records[-1].hash if records else FIRST
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            drop_torn_line(path)
        except OSError as error:
            self._fail(error)

    @property
    def unwritten(self) -> int:
        """How many lines, the last ones, are not on the disk."""
        return len(self._lines) - self._written

    def append(self, kind: str, **data: Any) -> Record:
        """Add one line; return when it is on the disk, or when the attempt to write it has failed."""
        with self._uninterrupted(), self._lock:
            record = self._add(kind, data)
            if self._late and not self.unwritten:
                self._late = False
                self._add("gap", {"error": self.problem, "restored": True})
            return record

    def allow_gaps(self) -> None:
        """Let the run act from now on although lines cannot be written: it only makes the world safe."""
        self._gaps_allowed = True

    def require_written(self) -> None:
        """Raise JournalUnwritable if a line could not be written, unless gaps are allowed."""
        if self.problem is not None and not self._gaps_allowed:
            raise JournalUnwritable(f"the journal cannot be written: {self.problem}")

    def require_whole(self) -> None:
        """Raise JournalUnwritable if lines are missing on the disk now: no report may be built from them."""
        if self.unwritten:
            raise JournalUnwritable(
                f"the last {self.unwritten} lines of the journal are not on the disk: {self.problem}"
            )

    def _add(self, kind: str, data: Mapping[str, Any]) -> Record:
        body = {
            "seq": len(self._lines) + 1,
            "time": self._clock.now().isoformat(timespec="milliseconds"),
            "actor": self.actor,
            "kind": kind,
            **cleaned(data, self.clean),
            "prev": self.head,
        }
        line = {**body, "hash": line_hash(body)}
        self._lines.append(json.dumps(line) + "\n")
        try:
            self._write()
        except OSError as error:
            self._fail(error)
        except BaseException:
            self._lines.pop()
            raise
        self.head = line["hash"]
        return record_of(line)

    def _fail(self, error: OSError) -> None:
        """Remember why the disk takes no line. The error's own text is not used: it contains paths."""
        self._late = True
        self.problem = self.problem or problem_of(error)

    def _write(self) -> None:
        """Write the whole of the lines that are not on the disk, or nothing: half a line would spoil the next one."""
        if self._written and not self.path.exists():
            self._written, self._torn_at = 0, None
            self._fail(OSError(errno.ENOENT, "it was deleted during the run"))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            if self._torn_at is not None:
                os.ftruncate(descriptor, self._torn_at)
                self._torn_at = None
            before = os.fstat(descriptor).st_size
            try:
                self._put(descriptor, "".join(self._lines[self._written :]).encode())
            except BaseException:
                self._torn_at = before
                os.ftruncate(descriptor, before)
                self._torn_at = None
                raise
        finally:
            with suppress(OSError):  # the content was synchronised before
                os.close(descriptor)
        self._written = len(self._lines)

    def _put(self, descriptor: int, content: bytes) -> None:
        """Write the content and synchronise it. Raises OSError."""
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)

    def records(self) -> list[Record]:
        """Return every line so far: from the disk, or, once it has failed to take one, from memory."""
        if self.problem is not None:
            return [record_of(json.loads(line)) for line in self._lines]
        return list(read(self.path)) if self.path.exists() else []


def _spelled(record: Record) -> str:
    """Return the line of a record in its only valid spelling."""
    own = {"seq": record.seq, "time": record.time, "actor": record.actor, "kind": record.kind}
    return json.dumps({**own, **record.data, "prev": record.prev, "hash": record.hash}) + "\n"


def cleaned(data: Mapping[str, Any], clean: Callable[[str], str]) -> dict[str, Any]:
    """Return a line's data as JSON has it, without secrets.

    The whole is cleaned at once, so that the name of a field counts. A text with the beginning of a secret and no end, such
    as a key that was cut off, can take the end of the JSON with it; then each part is cleaned alone.
    """
    return _cleaned_pairs(json.loads(json.dumps(data, default=str)), clean)


def _cleaned_pairs(pairs: dict[str, Any], clean: Callable[[str], str]) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(clean(json.dumps(pairs)))
        if isinstance(found, dict) and len(found) == len(pairs):
            return found
    if len(pairs) > 1:
        return {name: one for part in pairs.items() for name, one in _cleaned_pairs(dict([part]), clean).items()}
    return {clean(name): _cleaned_alone(value, clean) for name, value in pairs.items()}


def _cleaned_alone(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return _cleaned_pairs(value, clean)
    return [_cleaned_alone(one, clean) for one in value] if isinstance(value, list) else value


def record_of(line: Mapping[str, Any]) -> Record:
    """Return a line's JSON as a record; its data is unchecked. Raises KeyError, TypeError or AttributeError if it is not a line."""
    own = {"seq", "time", "actor", "kind", "prev", "hash"}
    data = {key: value for key, value in line.items() if key not in own}
    record = Record(line["seq"], line["time"], line["actor"], line["kind"], data, line["prev"], line["hash"])
    texts = (record.time, record.actor, record.kind, record.prev, record.hash)
    if type(record.seq) is not int or not all(isinstance(one, str) for one in texts):
        raise TypeError("a journal line has one number and five texts of its own")
    return record


def read(path: Path) -> Iterator[Record]:
    """Read a journal and check its chain; skips a last line that a crash left incomplete.

    Raises JournalBroken, or OSError if the file cannot be read.
    """
    previous, seq = FIRST, 0
    if path.exists() and not path.is_file():  # a pipe would be read for ever
        raise JournalBroken(f"{path} is not a file")
    # Not read_text: it converts line ends, so a changed line end would pass as the original one.
    text = path.read_bytes().decode("utf-8", errors="replace")
    lines = text.split("\n")
    complete = lines[:-1]  # the text after the last newline is a line that was not written completely
    for number, raw in enumerate(complete, 1):
        try:
            line = parse_json(raw)
            record = record_of(line)
            unchanged = record.hash == line_hash(line) and raw == json.dumps(line)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise JournalBroken(f"{path}:{number} is not a journal line") from None
        # The hash covers the line's content; its spelling is compared as well, so that no byte can be changed.
        if record.seq != seq + 1 or record.prev != previous or not unchanged:
            raise JournalBroken(
                f"{path}:{number} does not continue the chain: this line, or one before it, was changed"
            )
        previous, seq = record.hash, record.seq
        yield record


_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


@contextmanager
def made_of_lines(what: str) -> Iterator[None]:
    """Raise JournalBroken instead of the errors of code that reads fields which a line does not have, or of another type.

    Such a line is in no journal that this framework wrote: somebody wrote the whole chain again. ``what`` names the
    document that the code makes.
    """
    try:
        yield
    except _MALFORMED as error:
        problem = f"{type(error).__name__}: {first_line(error)}"
        raise JournalBroken(f"its lines do not have the fields of which {what} is made ({problem})") from error


def last_data(records: Sequence[Record], kind: str) -> Mapping[str, Any]:
    """Return the data of the last line of that kind, or an empty mapping if there is none."""
    return next((record.data for record in reversed(records) if record.kind == kind), {})


def last_gates(records: Sequence[Record]) -> Sequence[Mapping[str, Any]]:
    """Return the gates of the run's end, else the last ones that it noted before it died; empty if it noted none."""
    if ended := last_data(records, "gates").get("gates"):
        return list(ended)
    return next((one.data["gates"] for one in reversed(records) if one.kind in ("tally", "verified")), [])


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

"""How a run's evidence is closed: the journal's last lines, the report, the copy in the store, the signature, the anchor.

In this order, since each of them covers those before it. Nothing of it decides a run: what fails is told, in the journal
as long as that may grow (up to the signature), then on the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from deployment.errors import CloudError, DeploymentError, NoKey, StoredOtherwise, first_line
from deployment.evidence import report
from deployment.evidence.attestation import ENVELOPE_FILE, Signer, digests, statement
from deployment.evidence.journal import Journal, Record
from deployment.files import replace_file
from deployment.ports import AuditStore, Lease

HEADS_NOTE = "heads"
HEADS_KEPT = 20
ANCHOR_TRIES = 5
PAGE_FILE = "report.html"
Page = Callable[[Sequence[Record]], str]
REDACTED = (".xml", ".html", ".log", ".txt")
"""Files of a report that plugins and processes write by themselves."""
COPIES = 10
"""One, and one more for each time that a halted deployment was settled anew."""


@dataclass(frozen=True)
class Archive:
    """Where the evidence of an environment's runs goes beyond the folder of the report.

    ``signer`` reads the key when it is called and raises NoKey or CloudError; ``store`` is None where there is none.
    ``lease`` is given for runs that held it: their journal's head is kept beside it.
    """

    environment: str
    signer: Callable[[], Signer]
    store: AuditStore | None
    lease: Lease | None = None


def _unreached() -> Signer:
    raise NoKey("no environment was reached")


NOWHERE = Archive("", _unreached, None)
"""The archive of a run that reached no environment."""


@dataclass(frozen=True)
class EvidenceWriter:
    """Writes the evidence of another run, whose process is dead. ``clean`` removes secrets from every line.

    ``archive``, ``say`` and ``page`` are the arguments of ``close``.
    """

    clean: Callable[[str], str] = str
    archive: Archive = NOWHERE
    say: Callable[[str], None] = lambda _: None
    page: Page | None = None

    def close(self, journal: Journal, folder: Path, closing: dict[str, Any]) -> None:
        """Ends the journal with how it ended, then the rest of it."""
        close(journal, folder, [("closed", closing)], self.archive, self.say, self.page)


LOCAL_EVIDENCE = EvidenceWriter()
"""Writes to this disk only, and removes nothing."""


def close(
    journal: Journal,
    folder: Path,
    closing: Sequence[tuple[str, dict[str, Any]]],
    archive: Archive = NOWHERE,
    say: Callable[[str], None] = lambda _: None,
    page: Page | None = None,
) -> dict[str, Any]:
    """Appends the ``closing`` lines, writes the report and moves ``latest`` to it, then archives; returns the report.

    ``page`` makes report.html of the journal, where nobody else has made one.
    """
    signer = _signer(journal, archive)
    for kind, data in closing:
        journal.append(kind, **data)
    built = report.build(journal.records())
    if page is not None:
        try:
            replace_file(folder / PAGE_FILE, page(journal.records()))
        except Exception as error:  # whatever a page cannot show must not keep a run from being settled
            say(f"{PAGE_FILE} was not written: {type(error).__name__}: {first_line(error)}")
    _redact(folder, journal)
    report.write(folder, built)
    _archive(journal, folder, archive, signer, say)
    return built


def _redact(folder: Path, journal: Journal) -> None:
    """What others wrote into the folder (junit.xml, logs, the page) before every secret was known; the journal is clean."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path != journal.path and path.suffix in REDACTED:
            text = path.read_text(encoding="utf-8", errors="replace")
            if (cleaned := journal.clean(text)) != text:
                replace_file(path, cleaned)


def _signer(journal: Journal, archive: Archive) -> Signer | None:
    try:
        return archive.signer()
    except DeploymentError as error:
        journal.append("unsigned", reason=first_line(error))
        return None


def _archive(
    journal: Journal, folder: Path, archive: Archive, signer: Signer | None, say: Callable[[str], None]
) -> None:
    """Each of these where it can be done, whatever became of the others."""
    if archive.store is not None:
        problem = _tried(lambda: _copy(archive, folder, journal.path))
        if problem:
            say(f"the journal was not copied to the audit store: {problem}")
            _tried(lambda: journal.append("not_stored", error=problem))
    if signer is not None:
        problem = _tried(lambda: _sign(journal, folder, signer))
        if problem:
            say(f"the report was not signed: {problem}")
        elif archive.store is not None and (problem := _tried(lambda: _copy(archive, folder, folder / ENVELOPE_FILE))):
            say(f"the signature was not copied to the audit store: {problem}")
    lease = archive.lease
    if lease is not None and (problem := _tried(lambda: anchor(lease, folder.name, journal))):
        say(f"the journal was not anchored beside the lease: {problem}")


def _tried(act: Callable[[], object]) -> str | None:
    """What went wrong, None where nothing did."""
    try:
        act()
    except (OSError, ValueError, DeploymentError) as error:
        return first_line(error)
    return None


def _copy(archive: Archive, folder: Path, file: Path) -> None:
    if archive.store is not None:
        put(archive.store, archive.environment, folder.name, file.name, file.read_bytes())


def _sign(journal: Journal, folder: Path, signer: Signer) -> None:
    signed = signer.sign(statement(journal.records(), digests(folder)))
    replace_file(folder / ENVELOPE_FILE, signed.decode())


# -- the store -------------------------------------------------------------------------------------------------------------


def names(environment: str, run_id: str, file: str) -> Iterator[str]:
    """Under which names a file is kept: a run that was closed, and settled later, has a second copy, of more lines."""
    stem, dot, rest = file.partition(".")
    for number in count(1):
        yield f"{environment}/{run_id}/{stem}{'' if number == 1 else f'-{number}'}{dot}{rest}"


def put(store: AuditStore, environment: str, run_id: str, file: str, content: bytes) -> None:
    """Keeps a copy beside the earlier ones. Raises CloudError; StoredOtherwise where there are more than a run can have."""
    for _, name in zip(range(COPIES), names(environment, run_id, file), strict=False):
        try:
            store.put(name, content)
        except StoredOtherwise:
            continue
        return
    raise StoredOtherwise(f"the audit store has {COPIES} other copies of {run_id}/{file}")


def copies(store: AuditStore, environment: str, run_id: str, file: str) -> list[bytes]:
    """Every copy, oldest first. Raises CloudError."""
    found = []
    for _, name in zip(range(COPIES), names(environment, run_id, file), strict=False):
        content = store.get(name)
        if content is None:
            break
        found.append(content)
    return found


# -- the anchor beside the lease ---------------------------------------------------------------------------------------------


def anchor(lease: Lease, run_id: str, journal: Journal) -> None:
    """Notes a journal's head beside the lease, with those of the newest others. Raises CloudError."""
    last = journal.records()[-1]
    for _ in range(ANCHOR_TRIES):
        seen = lease.notes().get(HEADS_NOTE)
        kept: dict[str, list[Any]] = json.loads(seen) if seen else {}
        kept.pop(run_id, None)
        newest = dict([*kept.items(), (run_id, [last.seq, last.hash])][-HEADS_KEPT:])
        if lease.swap_note(HEADS_NOTE, seen, json.dumps(newest)):
            return
    raise CloudError(f"the head of {run_id} could not be noted beside the lease: others kept noting theirs")


def anchored(lease: Lease, run_id: str) -> tuple[int, str] | None:
    """The head of a run's journal as the lease item has it: number of lines and last hash. Raises CloudError."""
    seen = lease.notes().get(HEADS_NOTE)
    head = json.loads(seen).get(run_id) if seen else None
    return None if head is None else (int(head[0]), str(head[1]))

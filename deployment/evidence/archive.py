"""The end of a run's evidence: the journal's last lines, the report, the copy in the store, the signature, the anchor.

They are written in this order, because each covers those before it. A failure here changes no run's outcome: it is
reported in the journal (until the signature, after which the journal must not grow), then on the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deployment.errors import CloudError, DeploymentError, NoKey, first_line
from deployment.evidence import junit, report
from deployment.evidence.attestation import ENVELOPE_FILE, SIGNED_FILES, SUMMARY_FILE, Signer
from deployment.evidence.data import content, details
from deployment.evidence.intoto import summary
from deployment.evidence.journal import Journal, last_data
from deployment.evidence.store.copies import DEADLINE_S, Upload
from deployment.files import replace_file
from deployment.plan import note_object
from deployment.ports import AuditStore, Lease

HEADS_NOTE = "heads"
HEADS_KEPT = 20
ANCHOR_TRIES = 5
PAGE_FILE = "report.html"
Page = Callable[[Mapping[str, Any]], str]
"""Renders the page from the content of ``data.json``."""
REDACTED = (".xml", ".html", ".log", ".txt")
"""The kinds of files in a report's folder that plugins and other processes write themselves."""


@dataclass(frozen=True)
class Archive:
    """The places that keep an environment's evidence besides the report's folder.

    ``signer`` reads the key when it is called and raises NoKey or CloudError; ``store`` is None if there is none.
    ``lease`` is given for runs that held it: the journal's head is kept beside it. ``upload_s``: the seconds that all
    uploads to the store may take together.
    """

    environment: str
    signer: Callable[[], Signer]
    store: AuditStore | None
    lease: Lease | None = None
    upload_s: float = DEADLINE_S


def _unreached() -> Signer:
    raise NoKey("the run reached no environment")


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
        """Append the line ``closed`` with this data, then write the rest of the evidence."""
        close(journal, folder, [("closed", closing)], self.archive, self.say, self.page)


LOCAL_EVIDENCE = EvidenceWriter()
"""Writes to this disk only, and removes no secrets."""


def close(
    journal: Journal,
    folder: Path,
    closing: Sequence[tuple[str, dict[str, Any]]],
    archive: Archive = NOWHERE,
    say: Callable[[str], None] = lambda _: None,
    page: Page | None = None,
) -> dict[str, Any]:
    """Append the ``closing`` lines, write the report, move ``latest`` to it, and archive all of it; return the report.

    ``page`` renders report.html from the data. Raises JournalUnwritable or OSError if the report cannot be written.
    """
    signer = _signer(journal, archive)
    for kind, data in closing:
        journal.append(kind, **(_naming(signer, data) if kind == "closed" else data))
    built = report.build(journal.records())
    _write_page(journal, folder, page, say)
    _write_junit(journal, folder, say)
    _redact(folder, journal)
    journal.require_whole()
    report.write(folder, built)
    (folder / details.DETAILS_FILE).unlink(missing_ok=True)
    _archive(journal, folder, archive, signer, say)
    return built


def _naming(signer: Signer | None, closed: dict[str, Any]) -> dict[str, Any]:
    """Return the line ``closed`` with the key that signs now; a line that is closed again can name another one."""
    unnamed = {name: value for name, value in closed.items() if name != "signed_by"}
    return unnamed if signer is None else {**unnamed, "signed_by": signer.checker.fingerprint}


def _write_page(journal: Journal, folder: Path, page: Page | None, say: Callable[[str], None]) -> None:
    """Write data.json and the page, which is rendered from it. An error of either must not stop a run from being closed."""
    file = content.DATA_FILE
    try:
        data = content.build(journal.records(), content.details_of(folder))
        content.write(folder, data)
        if page is not None:
            file = PAGE_FILE
            replace_file(folder / file, page(data))
    except Exception as error:
        say(f"{file} was not written: {type(error).__name__}: {first_line(error)}")


def _write_junit(journal: Journal, folder: Path, say: Callable[[str], None]) -> None:
    """Complete junit.xml with the steps and the verdict, which pytest did not know when it wrote the file."""
    records = journal.records()
    if last_data(records, "opened").get("mode") not in junit.MODES:
        return
    path = folder / junit.JUNIT_FILE
    try:
        replace_file(path, junit.build(records, path, journal.clean))
    except Exception as error:  # an error of this file must not stop a run from being closed
        with suppress(OSError):  # what pytest wrote shows no verdict, and may be green
            path.unlink(missing_ok=True)
        say(f"{junit.JUNIT_FILE} was not completed: {type(error).__name__}: {first_line(error)}")


def _redact(folder: Path, journal: Journal) -> None:
    """Remove secrets from files that others wrote (junit.xml, logs, the page) before every secret was known.

    The journal is clean.
    """
    for path in sorted(folder.iterdir()):
        if path.is_file() and path != journal.path and path.suffix in REDACTED:
            text = path.read_text(encoding="utf-8", errors="replace")
            if (cleaned := journal.clean(text)) != text:
                _replace_or_remove(path, cleaned)


def _replace_or_remove(path: Path, cleaned: str) -> None:
    """Replace a file that contains secrets; if the disk takes no other content, remove it."""
    try:
        replace_file(path, cleaned)
    except OSError:
        path.unlink(missing_ok=True)


def _signer(journal: Journal, archive: Archive) -> Signer | None:
    try:
        return archive.signer()
    except DeploymentError as error:
        journal.append("unsigned", reason=first_line(error))
        return None


def _archive(
    journal: Journal, folder: Path, archive: Archive, signer: Signer | None, say: Callable[[str], None]
) -> None:
    """Copy, sign and anchor; each is tried even if another one failed."""
    upload = None if archive.store is None else Upload(archive.store, archive.environment, archive.upload_s)
    if upload is not None and (problem := _problem_of(lambda: upload.file(journal.path))):
        say(f"the journal was not copied to the audit store: {problem}")
        _problem_of(lambda: journal.append("not_stored", error=problem))
    if signer is None:
        for name in (ENVELOPE_FILE, SUMMARY_FILE):
            _problem_of(partial((folder / name).unlink, missing_ok=True))  # of an earlier end, about other content
    elif problem := _problem_of(lambda: _sign(journal, folder, signer)):
        say(f"the report was not signed: {problem}")
    lease = archive.lease
    if lease is not None and (problem := _problem_of(lambda: anchor(lease, folder.name, journal))):
        say(f"the journal was not anchored beside the lease: {problem}")
    if upload is not None:
        _copy(upload, folder, journal.path, say)


def _copy(upload: Upload, folder: Path, journal: Path, say: Callable[[str], None]) -> None:
    """Copy the files of the report to the audit store, the signature first."""
    paths = [folder / name for name in (ENVELOPE_FILE, SUMMARY_FILE, *SIGNED_FILES)]
    lost: dict[str, list[str]] = {}
    for path in paths:
        if path != journal and path.is_file() and (problem := _problem_of(partial(upload.file, path))):
            lost.setdefault(problem, []).append(path.name)
    for problem, names in lost.items():
        say(f"{', '.join(names)}: not copied to the audit store: {problem}")


def _problem_of(act: Callable[[], object]) -> str | None:
    """Call ``act``; return its error as text, None if it succeeded."""
    try:
        act()
    except (OSError, ValueError, DeploymentError) as error:
        return first_line(error)
    return None


def _sign(journal: Journal, folder: Path, signer: Signer) -> None:
    summary.sign(folder, journal.records(), signer)


# -- the anchor beside the lease ---------------------------------------------------------------------------------------------


def anchor(lease: Lease, run_id: str, journal: Journal) -> None:
    """Note a journal's head beside the lease, together with the heads of the newest other runs. Raises CloudError."""
    last = journal.records()[-1]
    for _ in range(ANCHOR_TRIES):
        seen = lease.notes().get(HEADS_NOTE)
        kept = note_object(seen)
        kept.pop(run_id, None)
        newest = dict([*kept.items(), (run_id, [last.seq, last.hash])][-HEADS_KEPT:])
        if lease.swap_note(HEADS_NOTE, seen, json.dumps(newest)):
            return
    raise CloudError(f"the head of {run_id} could not be noted beside the lease: other runs kept changing that note")


def anchored(lease: Lease, run_id: str) -> tuple[int, str] | None:
    """Return the head of a run's journal from the lease item: number of lines and last hash; None if it has none.

    Raises CloudError, or ValueError if the note is not a journal's head.
    """
    match note_object(lease.notes().get(HEADS_NOTE)).get(run_id):
        case None:
            return None
        case [int(lines), str(digest)] if lines > 0:
            return lines, digest
    raise ValueError(f"the note about {run_id} is not the head of a journal")

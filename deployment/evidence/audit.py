"""Audits a run's evidence: the journal's chain and end, its anchors, the report, the files and the signature.

Pure: the caller passes the folder and the anchors in. Each check yields one finding.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

from deployment.errors import DeploymentError, JournalBroken, first_line
from deployment.evidence import report
from deployment.evidence.attestation import (
    ENVELOPE_FILE,
    SIGNED_FILES,
    SUMMARY_FILE,
    Checker,
    digests,
    envelope_of,
    statement,
    why_unsigned,
)
from deployment.evidence.chain import chain
from deployment.evidence.intoto.summary import summary
from deployment.evidence.journal import Record, last_data
from deployment.evidence.opening import JOURNAL_ONLY

MOST_OF_KEY = 15
"""How much of a key's fingerprint a message shows, with the name of the hash."""
AFTER_CLOSED = frozenset({"not_stored"})
"""The kinds of lines that a journal may have after it was closed, before it was signed."""


class Outcome(Enum):
    """The result of one check."""

    GOOD = "ok"
    BAD = "BAD"
    UNCHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """The result of one check: ``what`` is its name, ``detail`` says why, and which line."""

    what: str
    outcome: Outcome
    detail: str

    @property
    def good(self) -> bool:
        """Whether the check was made and passed."""
        return self.outcome is Outcome.GOOD


@dataclass(frozen=True)
class Anchors:
    """A journal's traces in other places.

    ``head``: number of lines and last hash, as noted beside the lease. ``journals`` and ``envelopes``: the copies in
    the audit store, oldest first. ``unread`` says what could not be read, and why.
    """

    head: tuple[int, str] | None = None
    journals: Sequence[bytes] = ()
    envelopes: Sequence[bytes] = ()
    unread: Sequence[str] = ()


def examine(folder: Path, journal_file: str, anchors: Anchors, checker: Callable[[], Checker]) -> list[Finding]:
    """Return every finding about one report; the evidence is intact if all are good."""
    content = _bytes(folder / journal_file)
    if content is None:
        return [Finding("chain", Outcome.BAD, _missing(folder / journal_file))]
    records, broken = chain(content)
    findings = [Finding("chain", Outcome.BAD, broken) if broken else _good("chain", f"{len(records)} lines, unbroken")]
    mode = last_data(records, "opened").get("mode")
    if mode in JOURNAL_ONLY and not (anchors.envelopes or (folder / report.REPORT_FILE).exists()):
        alone = f"`{mode}` writes a journal alone: it has no report, and no signature"
        return [*findings, *_anchored(content, records, anchors), Finding("report", Outcome.UNCHECKED, alone)]
    if not broken:
        findings.append(_closed(records))
    findings += _anchored(content, records, anchors)
    if broken:
        findings.append(Finding("report", Outcome.UNCHECKED, "the journal is broken, and the report is built from it"))
    else:
        findings.append(_report(folder, records))
    whole = None if broken else records
    signed = _signed(folder, whole, anchors, checker)
    holds = not broken and all(finding.good for finding in signed)
    return [*findings, *signed, *_summarized(folder, records, checker, holds=holds)]


# -- the journal alone, and its anchors --------------------------------------------------------------------------------


def _closed(records: Sequence[Record]) -> Finding:
    rest = [record for record in records if record.kind not in AFTER_CLOSED]
    if rest and rest[-1].kind == "closed":
        return _good("closed", f"with verdict {rest[-1].data.get('verdict')} at line {rest[-1].seq}")
    last = records[-1]
    return Finding(
        "closed",
        Outcome.BAD,
        f"the journal ends with {last.kind!r} at line {last.seq}: it was truncated, or the run died",
    )


def _anchored(content: bytes, records: Sequence[Record], anchors: Anchors) -> list[Finding]:
    findings = [Finding("anchor", Outcome.UNCHECKED, text) for text in anchors.unread]
    if anchors.head is not None:
        findings.append(_against_head(records, *anchors.head))
    if anchors.journals:
        findings.append(_against_copy(content, anchors.journals))
    if not findings:
        findings.append(
            Finding(
                "anchor",
                Outcome.UNCHECKED,
                "not anchored: neither the lease nor an audit store has a trace of this journal",
            )
        )
    return findings


def _against_head(records: Sequence[Record], seq: int, digest: str) -> Finding:
    if len(records) < seq:
        return Finding(
            "head", Outcome.BAD, f"lines {len(records) + 1} to {seq} are missing, or broken: there were {seq}"
        )
    if records[seq - 1].hash != digest:
        return Finding("head", Outcome.BAD, f"line {seq} is not the one noted beside the lease: it was rewritten")
    if len(records) > seq:
        return Finding("head", Outcome.BAD, f"line {seq + 1} was added: the journal had {seq} lines when it was closed")
    return _good("head", f"line {seq} is the one noted beside the lease")


def _against_copy(content: bytes, copies: Sequence[bytes]) -> Finding:
    newest = copies[-1]
    late = content.startswith(newest) and all(_is_late(line) for line in content[len(newest) :].splitlines())
    if not late and (difference := _difference(content, newest)):
        return Finding("copy", Outcome.BAD, f"{difference} in the audit store's copy")
    for number, (earlier, later) in enumerate(pairwise(copies), 2):
        if not later.startswith(earlier) and b'"reconstructed": true' not in later.partition(b"\n")[0]:
            return Finding("copy", Outcome.BAD, f"copy {number} in the audit store does not continue the one before it")
    return _good("copy", "identical to the audit store's copy")


def _is_late(line: bytes) -> bool:
    """Return whether a line says that the copy was not stored: the store took the copy after the run had given up."""
    try:
        return json.loads(line)["kind"] in AFTER_CLOSED
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


def _difference(ours: bytes, theirs: bytes) -> str | None:
    """Return the first line in which two journals differ, as the start of a sentence; None if they are equal."""
    if ours == theirs:
        return None
    mine, other = ours.split(b"\n"), theirs.split(b"\n")
    number = next(
        (i for i, (a, b) in enumerate(zip(mine, other, strict=False), 1) if a != b), min(len(mine), len(other))
    )
    if number > len(mine) - 1:
        return f"lines {number} to {len(other) - 1} are missing, but they are"
    if number > len(other) - 1:
        return f"line {number} was added; it is not"
    return f"line {number} differs from the one"


# -- the report --------------------------------------------------------------------------------------------------------------


def _report(folder: Path, records: Sequence[Record]) -> Finding:
    content = _bytes(folder / report.REPORT_FILE)
    if content is None:
        return Finding("report", Outcome.BAD, _missing(folder / report.REPORT_FILE))
    try:
        written = json.loads(content)
        built = report.build_like(records, written)
        if content == report.to_json(built).encode():
            return _good("report", "verification.json follows from the journal")
        fields = [n for n in {**built, **written} if n not in written or built.get(n, ...) != written[n]]
    except JournalBroken as error:
        return Finding("report", Outcome.BAD, f"it cannot be built from the journal: {first_line(error)}")
    except (ValueError, TypeError, RecursionError):
        return Finding("report", Outcome.BAD, "verification.json is not a JSON object any more")
    what = f"contradicts the journal: {', '.join(fields)}" if fields else "is not spelled as it was written"
    return Finding("report", Outcome.BAD, f"verification.json {what}")


# -- the signature -------------------------------------------------------------------------------------------------------------


def _signed(
    folder: Path, records: Sequence[Record] | None, anchors: Anchors, checker: Callable[[], Checker]
) -> list[Finding]:
    content = _bytes(folder / ENVELOPE_FILE)
    lines = [(record.kind, record.data) for record in records or ()]
    reason = why_unsigned(lines)
    if reason is not None and sum(kind == "closed" for kind, _ in lines) > 1:
        # The audit store keeps the signature of each end, and what is fetched from it has the signature of an earlier one.
        older = "" if content is None else f"; {ENVELOPE_FILE} is of an earlier end of this run"
        return [Finding("signature", Outcome.UNCHECKED, f"unsigned: {reason}{older}")]
    if content is None:
        if anchors.envelopes:
            return [Finding("signature", Outcome.BAD, f"{ENVELOPE_FILE} was removed: the audit store has it")]
        if reason is None:
            detail = f"{ENVELOPE_FILE} is missing, and the journal gives no reason for that"
            return [Finding("signature", Outcome.BAD, detail)]
        return [Finding("signature", Outcome.UNCHECKED, f"unsigned: {reason}")]
    findings = []
    if anchors.envelopes and anchors.envelopes[-1] != content:
        findings.append(Finding("signature", Outcome.BAD, f"{ENVELOPE_FILE} is not the one in the audit store"))
    try:
        envelope = envelope_of(content)
    except ValueError as error:
        return [*findings, Finding("signature", Outcome.BAD, f"{ENVELOPE_FILE} was changed: {error}")]
    findings.append(_signature(envelope, signing_key(records or ()), checker))
    try:
        signed = json.loads(envelope.payload)
        return findings + _contents(folder, records, signed)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return [*findings, Finding("files", Outcome.BAD, "the signed content is not a statement about a report")]


def signing_key(records: Sequence[Record]) -> str | None:
    """Return the fingerprint of the key that a journal names; older journals name none."""
    named = last_data(records, "closed").get("signed_by")
    return None if named is None else str(named)


def _signature(envelope: Any, named: str | None, checker: Callable[[], Checker]) -> Finding:
    try:
        key = checker()
    except DeploymentError as error:
        return Finding("signature", Outcome.UNCHECKED, first_line(error))
    signer = key.signed_by(envelope)
    if signer is None:
        return Finding("signature", Outcome.BAD, _foreign(named, key))
    if named not in (None, signer):
        return Finding("signature", Outcome.BAD, f"made by the key {signer}, but the journal names {named}")
    return _good(
        "signature", "by the environment's key" if signer == key.fingerprint else f"by an earlier key, {signer}"
    )


def _foreign(named: str | None, key: Checker) -> str:
    """Return why no key of the environment made a signature."""
    if named is None or named in key.pems:
        return "not made by the environment's key, or the statement was changed"
    return (
        f"the run names the key {named[:MOST_OF_KEY]}…, this environment has {key.fingerprint[:MOST_OF_KEY]}…: it was signed "
        "elsewhere, or this is not the run's environment (an embedded one has a new key after `down`)"
    )


def _summarized(
    folder: Path, records: Sequence[Record], checker: Callable[[], Checker], *, holds: bool
) -> list[Finding]:
    """Check the verification summary. ``holds``: the journal and the signed statement, from which it follows, are good.

    A run that has no summary, and should have none, yields no finding.
    """
    content, envelope = _bytes(folder / SUMMARY_FILE), _bytes(folder / ENVELOPE_FILE)
    try:
        expected = summary(records, envelope) if holds and envelope is not None else None
    except JournalBroken as error:
        return [Finding("summary", Outcome.BAD, first_line(error))]
    if content is None:
        bad = f"{SUMMARY_FILE} is missing: a run that verified an image has one"
        return [] if expected is None else [Finding("summary", Outcome.BAD, bad)]
    try:
        signed = envelope_of(content)
        stated = json.loads(signed.payload)
    except (ValueError, RecursionError) as error:
        return [Finding("summary", Outcome.BAD, f"{SUMMARY_FILE} was changed: {error}")]
    by_key = _signature(signed, signing_key(records), checker)
    if not by_key.good:
        return [Finding("summary", by_key.outcome, by_key.detail)]
    if not holds:
        return [Finding("summary", Outcome.UNCHECKED, "the statement that it sums up does not hold")]
    if stated != expected:
        return [Finding("summary", Outcome.BAD, "it does not follow from the journal and the signed statement")]
    return [_good("summary", f"{stated['predicate']['verificationResult']}, by the environment's key")]


def _contents(folder: Path, records: Sequence[Record] | None, stated: dict[str, Any]) -> list[Finding]:
    """Compare the statement with the present files one by one, then as a whole with the journal."""
    present = digests(folder)
    signed = {subject["name"]: subject["digest"].get("sha256") for subject in stated["subject"]}
    findings = []
    for name in SIGNED_FILES:
        if name not in present and name not in signed:
            continue
        if name not in signed:
            findings.append(Finding(name, Outcome.BAD, "was added: the signature does not cover it"))
        elif name not in present:
            findings.append(Finding(name, Outcome.BAD, "was removed: the signature covers it"))
        elif present[name] != signed[name]:
            findings.append(Finding(name, Outcome.BAD, "was changed: it is not the signed content"))
        else:
            findings.append(_good(name, "as it was signed"))
    if records is not None and all(finding.good for finding in findings):
        findings += _follows(records, present, stated)
    return findings


def _follows(records: Sequence[Record], present: Mapping[str, str], stated: dict[str, Any]) -> list[Finding]:
    """Return a finding unless the signed statement follows from the journal."""
    try:
        if statement(records, present) == stated:
            return []
    except JournalBroken as error:
        return [Finding("statement", Outcome.BAD, first_line(error))]
    return [Finding("statement", Outcome.BAD, "the signed statement does not follow from the journal")]


def _good(what: str, detail: str) -> Finding:
    return Finding(what, Outcome.GOOD, detail)


def _bytes(path: Path) -> bytes | None:
    """Return the content of a file; None without it, or if a pipe, which would be read for ever, is in its place."""
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return None


def _missing(path: Path) -> str:
    """Return why there is no content of a file."""
    return f"{path.name} is not a file that can be read" if os.path.lexists(path) else f"{path.name} does not exist"

"""A journal's hash chain, checked alone: which line was changed, removed, added or moved. Stricter than ``journal.read``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from deployment.evidence.journal import FIRST, Record, line_hash, record_of
from deployment.files import parse_json


def chain(content: bytes) -> tuple[list[Record], str | None]:
    """Return the records up to the first bad line, and that line's problem; None if every line is good."""
    records: list[Record] = []
    lines = content.split(b"\n")
    seqs = [_seq(line) for line in lines]
    for number, raw in enumerate(lines[:-1], 1):
        previous = records[-1] if records else None
        record, problem = _record(raw)
        if record is None:
            return records, f"line {number} {problem}"
        if record.seq != number or record.prev != (previous.hash if previous else FIRST):
            return records, _misplaced(number, record, previous, seqs)
        records.append(record)
    if lines[-1]:
        return records, f"line {len(lines)} is incomplete"
    return (records, None) if records else (records, "it is empty")


def _record(raw: bytes) -> tuple[Record | None, str]:
    try:
        text = raw.decode()
        line = parse_json(text)
        record = record_of(line)
        if type(record.seq) is int and line_hash(line) == record.hash and json.dumps(line) == text:
            return record, ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, "was changed: it is not a journal line any more"
    return None, "was changed: its hash does not match"


def _seq(raw: bytes) -> int | None:
    try:
        seq = parse_json(raw)["seq"]
    except (ValueError, KeyError, TypeError):
        return None
    return seq if type(seq) is int else None


def _misplaced(number: int, record: Record, previous: Record | None, seqs: Sequence[int | None]) -> str:
    """Describe a complete, unchanged line that does not follow the line before it."""
    if record.seq > number:
        if number in seqs:
            return f"line {number} was moved: its number is {record.seq}, and line {number} is further down"
        one = record.seq == number + 1
        missing = (
            f"line {number} of the journal was" if one else f"lines {number} to {record.seq - 1} of the journal were"
        )
        return f"{missing} removed: line {record.seq} is in that place"
    if record.seq < number:
        return f"line {number} was added, or moved: its number is {record.seq}"
    after = f"line {number - 1}" if previous else "the beginning"
    return f"line {number} does not continue {after}: one of the two was replaced"

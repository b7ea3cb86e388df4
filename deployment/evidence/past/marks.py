"""What a person said about a run later. The marks are outside of the runs' folders, so no signed file changes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MARKS_FILE = "marks.jsonl"
FALSE_ALARM, REWORK = "false_alarm", "rework"
MARKS = (FALSE_ALARM, REWORK)


@dataclass(frozen=True)
class Mark:
    """One mark: ``mark`` is one of ``MARKS``, ``time`` is ISO 8601 in UTC."""

    deployment_id: str
    mark: str
    reason: str
    by: str
    time: str


def add(reports: Path, mark: Mark) -> None:
    """Append the mark to the file, and return when it is on the disk. Raises OSError."""
    path = reports / MARKS_FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    with os.fdopen(descriptor, "rb+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # a writer died in the middle of its line
        line = json.dumps(asdict(mark)) + "\n"
        file.write(f"\n{line}".encode() if torn else line.encode())
        os.fsync(descriptor)


def read(reports: Path) -> tuple[Mapping[str, Mapping[str, Mark]], list[str]]:
    """Return the newest mark of each kind by the run's id, and the problem of each line that is none."""
    found: dict[str, dict[str, Mark]] = {}
    problems: list[str] = []
    try:
        lines = (reports / MARKS_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return found, problems
    except OSError as error:
        return found, [f"{MARKS_FILE}: {error.strerror}"]
    for number, line in enumerate(lines, 1):
        if mark := _mark(line):
            found.setdefault(mark.deployment_id, {})[mark.mark] = mark
        elif line.strip():
            problems.append(f"{MARKS_FILE}: line {number} is not a mark")
    return found, problems


def _mark(line: str) -> Mark | None:
    try:
        values: Mapping[str, Any] = json.loads(line)
        mark = Mark(**values)
    except (ValueError, TypeError, RecursionError):
        return None
    return mark if mark.mark in MARKS and all(isinstance(one, str) for one in values.values()) else None

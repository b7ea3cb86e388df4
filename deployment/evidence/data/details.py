"""What a run saw in detail: the result of each check, and series of measured values for the report's pictures.

The lines go to a file beside the journal as they come, so that ``recover`` can report on a run that died. They decide
nothing. They are not fsynced: what a killed process wrote survives it, and only a dead machine loses the last lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deployment.evidence.journal import cleaned

DETAILS_FILE = "details.jsonl"
"""Exists while a run works; ``data.json`` contains its lines and replaces it."""

CHECK, SERIES, REASONS = "check", "series", "reasons"
"""The kinds of lines: a check's result, a series by name, the reasons why gates did not pass."""


NOT_COMPARED = "not compared: "
"""How the value begins of a check that had nothing to compare the release with; the reason follows."""


class Details:
    """Appends lines to the file. A line that cannot be written is left out: details never stop a run."""

    __slots__ = ("_clean", "_path")

    def __init__(self, path: Path, clean: Callable[[str], str] = str) -> None:
        """``clean`` removes secrets from every line before it is written."""
        self._path = path
        self._clean = clean

    def add(self, kind: str, **data: Any) -> None:
        """Append one line."""
        line = json.dumps(cleaned({"kind": kind, **data}, self._clean), separators=(",", ":"))
        with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def reasons_line(reasons: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the data of a line REASONS, by the names of the gates.

    A gate's name is a value and not a key: redaction removes the value of a key such as ``auth``.
    """
    return {"gates": [{"name": name, "reason": reason} for name, reason in reasons.items()]}


def reasons_of(line: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the reasons of a line REASONS, by the names of the gates; lines of earlier versions are a mapping."""
    gates = line["gates"]
    return dict(gates) if isinstance(gates, Mapping) else {one["name"]: one["reason"] for one in gates}


def read(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a file; none without the file. Torn lines, and lines that are not objects, are left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return
    for line in lines:
        with suppress(ValueError, RecursionError):
            value = json.loads(line) if line else None
            if isinstance(value, dict) and isinstance(value.get("kind"), str):
                yield value

"""Writes the results for the process that started the load, in addition to Locust's own statistics."""

from __future__ import annotations

import json
import os
import re
from typing import Any


def write(path: str, noted: dict[str, Any]) -> None:
    """Write a file completely or not at all: another process may be waiting for it."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(noted, file)
    os.replace(f"{path}.new", path)


def failures(stats: Any) -> list[tuple[str, int]]:
    """Return each kind of failure, in words, and its count; the most frequent first."""
    found = [(_words(entry), int(entry.occurrences)) for entry in stats.errors.values()]
    return sorted(found, key=lambda one: -one[1])


def _words(entry: Any) -> str:
    """Return the failure in the words of the user that met it, without Locust's own class around it."""
    text = entry.parse_error(entry.error)
    own = re.fullmatch(r"CatchResponseError\((['\"])(.*)\1\)", text)
    name = str(entry.name)
    asked = name if name.startswith(f"{entry.method} ") else f"{entry.method} {name}"
    return f"{asked}: {own[2] if own else text}"[:300]

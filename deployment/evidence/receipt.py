"""A run's receipt: how the process that started a run learns which report is the report of that run.

The parent names a fresh file in the environment variable ``DEPLOYMENT_RECEIPT``, and the run writes the path of its
report's folder there. An exit code alone proves nothing: a check can replace or end the whole process, and the newest
report may belong to another run.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from deployment.errors import JournalBroken
from deployment.evidence.journal import JOURNAL_FILE, last_data, read
from deployment.evidence.report import REPORT_FILE
from deployment.files import replace_file

RECEIPT = "DEPLOYMENT_RECEIPT"
"""The environment variable with the path of the receipt."""


def leave(folder: Path, variables: MutableMapping[str, str]) -> None:
    """Write the report's folder to the file that ``variables`` names, if they name one. Raises OSError.

    The variable is removed, so that no process that a check starts can leave a receipt of its own.
    """
    path = variables.pop(RECEIPT, None)
    if path:
        replace_file(Path(path), f"{folder}\n")


def folder_of(receipt: Path) -> Path | None:
    """Return the folder of the report that the receipt names; None if no run has left one."""
    try:
        text = receipt.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return Path(text) if text else None


def report_of(folder: Path) -> dict[str, Any] | None:
    """Return the report of a run that has ended; None unless its journal is closed and says the same."""
    try:
        report = json.loads((folder / REPORT_FILE).read_bytes())
        closed = last_data(list(read(folder / JOURNAL_FILE)), "closed")
        same = all(report[name] == closed.get(name) for name in ("verdict", "exit_code"))
        return dict(report) if same and report["deployment_id"] == folder.name else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError, JournalBroken):
        return None

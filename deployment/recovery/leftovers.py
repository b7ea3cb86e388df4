"""Removes the data that the journeys of dead runs left in the service, once traffic is safe; it changes no outcome."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deployment.evidence.journal import Journal
from deployment.plan import Ports
from deployment.ports import JourneyData
from deployment.recovery.complete_report import run_ended

LEDGER_FILE = "journeys.jsonl"
"""The ledger of a run, beside its journal: the data that its journeys have written and not removed yet."""
WITHIN_S = 30.0
"""The time (s) for one run's data."""
AT_THE_END_S = 15.0
"""The time (s) in which a run removes what its own processes left."""


def remove_of_run(ports: Ports, journal: Journal, folder: Path, say: Callable[[str], None]) -> None:
    """Remove what the journeys of a recovered run left; write the result to its journal and to ``say``."""
    found = ports.data.remove(folder / LEDGER_FILE, WITHIN_S)
    if found is None:
        return
    journal.append("leftovers", removed=found.removed, gone=found.gone, left=list(found.left))
    if not found.nothing:
        say(f"{folder.name}: {found}")


def remove_of_ended_runs(data: JourneyData, reports: Path, say: Callable[[str], None]) -> int:
    """Remove what the journeys of all runs left that have ended on this host; return how many plays had left something."""
    removed = 0
    for ledger in sorted(reports.glob(f"*/{LEDGER_FILE}")):
        if ledger.parent.is_symlink() or not run_ended(reports, ledger.parent.name):
            continue
        found = data.remove(ledger, WITHIN_S)
        if found is not None and not found.nothing:
            say(f"{ledger.parent.name}: {found}")
            removed += found.removed
    return removed


def remove_own(data: JourneyData, folder: Path, say: Callable[[str], None]) -> None:
    """Remove, at the end of a run, what its own processes could not remove; the ledger stays if something is left."""
    found = data.remove(folder / LEDGER_FILE, AT_THE_END_S)
    if found is not None and found.left:
        say(f"{found}. `python scripts/deploy.py recover` tries again.")

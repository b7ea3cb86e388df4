"""Results of runs whose report could not be written: kept beside the lease until ``recover`` completes the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deployment.errors import CloudError
from deployment.evidence.journal import Journal
from deployment.evidence.report import VERDICTS
from deployment.model import Reason
from deployment.phases import Phase
from deployment.plan import note_object
from deployment.ports import Lease

NOTE = "unreported"
KEPT = 5
"""How many results are kept: enough for the runs of one full disk, and small in the lease item."""
LONGEST_REASON = 500
FIELDS = frozenset({"verdict", "reason", "problem", "lost", "head"})
"""The fields of a result."""


def lost_report(journal: Journal, phase: Phase, reason: Reason | None, problem: str) -> dict[str, Any]:
    """Return a run's result as the lease item stores it; ``problem`` says why its report could not be written.

    The exit code of such a run is 3 or 11, so the verdict is never a promotion's.
    """
    return {
        "verdict": VERDICTS.get(phase, VERDICTS[Phase.REJECTED]),
        "reason": journal.clean(str(reason))[:LONGEST_REASON] if reason else None,
        "problem": problem,
        "lost": journal.unwritten,
        "head": journal.head,
    }


def note_of(lease: Lease, run_id: str, result: Mapping[str, Any]) -> dict[str, str]:
    """Return the note that adds a run's result to those that are kept; without an answer of AWS it replaces them."""
    try:
        kept = results(lease)
    except CloudError:
        kept = {}
    kept.pop(run_id, None)
    return {NOTE: json.dumps(dict([*kept.items(), (run_id, dict(result))][-KEPT:]))}


def results(lease: Lease) -> dict[str, dict[str, Any]]:
    """Return the kept results by the id of their run; without those that are not complete. Raises CloudError."""
    found = note_object(lease.notes().get(NOTE))
    return {run: one for run, one in found.items() if isinstance(one, dict) and one.keys() >= FIELDS}

"""``history``: all runs of a folder of reports as a page, as JSON and as CSV, and a person's marks."""

from __future__ import annotations

import csv
import getpass
import io
import json
import socket
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from deployment.errors import Refused
from deployment.evidence.past import marks as marking
from deployment.evidence.past.figures import COUNTED, Figures, figures, slowest
from deployment.evidence.past.marks import Mark
from deployment.evidence.past.runs import Past, Run, read
from deployment.files import problem_of
from plugins.page import refresh
from plugins.page.history import INDEX_FILE, flakiest_checks
from plugins.page.view import duration
from scripts.commands.console import one_line

FAILED = 1
LISTED = 5
DEADLINE_S = 300.0
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""The first characters of cells that a spreadsheet would calculate."""
COLUMNS = (
    "id", "kind", "environment", "verdict", "reason", "release", "digest", "actor", "started_at", "finished_at", "seconds",
    "moved_at", "restored_at", "committed_at", "undoes", "reason_given", "false_alarm", "rework",
)  # fmt: skip


def page(reports: Path) -> int:
    """Write index.html and print the figures; return 0, or 1 if the page could not be written."""
    shown = refresh(reports, lambda text: click.echo(text, err=True), DEADLINE_S)
    if shown is None:
        return FAILED
    for one in shown.figures:
        click.echo(one_line(_line(one)))
    for name, problem in shown.left_out:
        click.echo(one_line(f"left out: {name}: {problem}"), err=True)
    click.echo(f"history: {reports / INDEX_FILE}")
    return 0


def as_json(reports: Path, past: Past) -> int:
    """Print the runs, the figures and how they were counted as one JSON object; return 0."""
    marks, problems = marking.read(reports)
    flaky, unread = flakiest_checks(reports, past.seen)
    document = {
        "runs": [_row(run, marks.get(run.id, {})) | {"gates": run.gates} for run in past.runs],
        "figures": [asdict(one) for one in figures(past.runs, marks)],
        "counted": COUNTED,
        "flakiest_checks": [
            {"check": name, **(one.chance_data() or {}), "flaky_releases": one.flaky, "last_run": one.last_run}
            for name, one in flaky
        ],
        "slowest_gates": [asdict(one) for one in slowest(past.runs)],
        "left_out": [{"name": name, "problem": problem} for name, problem in [*past.left_out, *unread]]
        + [{"name": marking.MARKS_FILE, "problem": problem} for problem in problems],
    }
    click.echo(json.dumps(document, indent=2))
    return 0


def as_csv(reports: Path, past: Past) -> int:
    """Print one line for each run as CSV; return 0. A text that a spreadsheet would calculate begins with an apostrophe."""
    marks, _ = marking.read(reports)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for run in past.runs:
        writer.writerow({name: _cell(value) for name, value in _row(run, marks.get(run.id, {})).items()})
    for name, problem in past.left_out:
        click.echo(one_line(f"left out: {name}: {problem}"), err=True)
    click.echo(text.getvalue(), nl=False)
    return 0


def mark(reports: Path, run_id: str, kind: str, reason: str) -> int:
    """Record a person's mark for a run and return 0. Raises Refused if there is no such run, or it cannot be written."""
    known = [run.id for run in read(reports).runs]
    if run_id not in known:
        newest = ", ".join(list(reversed(known))[:LISTED]) or "none"
        raise Refused(f"no report of run {run_id} was found in {reports}", hint=f"The newest: {newest}")
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        marking.add(reports, Mark(run_id, kind, reason, by, now))
    except OSError as error:
        raise Refused(f"{reports / marking.MARKS_FILE} cannot be written: {problem_of(error)}") from None
    refresh(reports, lambda text: click.echo(text, err=True))
    click.echo(f"{run_id} is marked as {kind.replace('_', ' ')}: {reason}")
    return 0


def _line(one: Figures) -> str:
    parts = [
        f"{one.environment or 'no environment'}: {one.promotions} promotion{'' if one.promotions == 1 else 's'}",
        "frequency unknown" if one.per_week is None else f"{one.per_week:.1f} per week",
        f"{one.failed} failed" + ("" if one.failure_rate is None else f" ({one.failure_rate:.0%})"),
        "time to restore unknown" if one.restore_s is None else f"restored within {duration(one.restore_s)}",
        "lead time unknown"
        if one.lead_s is None
        else f"lead time {duration(one.lead_s)} ({one.leads} of {one.promotions})",
        f"{one.rework} marked as rework",
    ]
    return ", ".join(parts)


def _row(run: Run, marks: Mapping[str, Mark]) -> dict[str, Any]:
    """Return the columns of a run; times are ISO 8601, and a mark is its reason."""
    values = {name: getattr(run, name) for name in COLUMNS if name not in marking.MARKS}
    times = {name: value.isoformat() for name, value in values.items() if isinstance(value, datetime)}
    return values | times | {name: marks[name].reason if name in marks else None for name in marking.MARKS}


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value

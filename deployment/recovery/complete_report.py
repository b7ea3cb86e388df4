"""Runs that died before they touched anything: their lock is released, and their report is completed.

A run that touches something records itself beside the lease first; ``deployment.recovery.recover`` recovers such runs.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from deployment.clock import process_runs
from deployment.errors import JournalBroken, JournalUnwritable, LeaseHeld, LeaseLost, first_line
from deployment.evidence.archive import LOCAL_EVIDENCE, EvidenceWriter
from deployment.evidence.journal import JOURNAL_FILE, Journal, Record, read
from deployment.evidence.report import REPORT_FILE, VERDICTS, build
from deployment.files import exclusive_lock
from deployment.flow.lease import this_process
from deployment.model import DIED
from deployment.phases import Phase
from deployment.plan import Ports
from deployment.ports import Clock
from deployment.recovery.lock_wait import dead_lock_token
from deployment.settings import DeploymentLimits

NO_RESULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
VERIFY_MODE = "verify"
REPORTING_MODES = ("deploy", "rollback", VERIFY_MODE)
"""The modes of runs that write a report."""
LONGEST_SILENCE_S = 2 * 86_400.0
"""No wait of a run may be set to more than a day, and it writes its journal before and after each."""
TOUCHING_STEPS = ("provision", "rollback")
"""The first step of a deployment, and of a rollback, that changes anything.

The record beside the lease is written before it.
"""


@dataclass(frozen=True)
class Recoverer:
    """Who completes the reports, and the reason that this caller gave; None: none."""

    actor: str
    reason: str | None = None


def free_lock(ports: Ports, actor: str, limits: DeploymentLimits) -> str | None:
    """Release the lock of a process of this host that died before it touched anything; return its deployment's id.

    Returns None if no dead process holds the lock, or if another process took it first.
    """
    holder, token = ports.lease.current(), dead_lock_token(ports)
    if holder is None or token is None:
        return None
    owner = this_process(holder.deployment_id, actor, ports.clock, limits, f"free the lock of {holder.deployment_id}")
    try:
        ports.lease.release(ports.lease.acquire(owner, take_over=token))
    except (LeaseHeld, LeaseLost):
        return None
    return holder.deployment_id


def touched_runs(reports: Path) -> Iterator[tuple[str, str]]:
    """Yield id and environment of each run that died on this host without a report after it touched something.

    Oldest first.
    """
    for folder, records in _dead_runs(reports):
        environment = records[0].data.get("environment")
        if isinstance(environment, str) and _writes_report(records[0], environment) and _touched(records):
            yield folder.name, environment


def may_have_moved(folder: Path) -> bool:
    """Return whether the run began to move traffic, or its journal cannot say that it did not."""
    try:
        return any(
            record.kind == "intent" and record.data.get("step") == "promote" for record in read(folder / JOURNAL_FILE)
        )
    except (JournalBroken, OSError):
        return True


def _dead_runs(reports: Path) -> Iterator[tuple[Path, list[Record]]]:
    """Yield folder and journal of each run of this host whose process has ended without a report."""
    for path in sorted(reports.glob(f"*/{JOURNAL_FILE}")):
        folder = path.parent
        if folder.is_symlink() or (folder / REPORT_FILE).exists():
            continue
        try:
            records = list(read(path))
        except (JournalBroken, OSError):  # a changed or unreadable journal is evidence: leave it as it is
            continue
        if records and _process_ended(records[0], path):
            yield folder, records


def complete(
    reports: Path,
    environment: str,
    *,
    by: Recoverer,
    clock: Clock,
    evidence: EvidenceWriter = LOCAL_EVIDENCE,
    lost: Mapping[str, Mapping[str, Any]] = NO_RESULTS,
) -> int:
    """Complete the reports of all untouched runs, and of those whose results are in ``lost``; return how many.

    ``lost``: results by run, as ``deployment.flow.lost_reports`` keeps them. A report that cannot be written is
    reported and kept for later. Each journal records the caller's reason, if there is one.
    """
    completed = 0
    for folder in _incomplete_runs(reports, environment, lost):
        try:
            with exclusive_lock(folder / JOURNAL_FILE) as locked:  # two processes must not write one journal
                if not locked or (folder / REPORT_FILE).exists():
                    continue  # another process completes it, or has just done so
                journal = Journal(folder / JOURNAL_FILE, by.actor, clock, evidence.clean)
                build(journal.records())  # before any line is added: a journal without a report's fields stays as it is
                result = lost.get(folder.name)
                if result is not None and result["head"] != journal.head:
                    journal.append("gap", error=result["problem"], restored=False, lines=result["lost"])
                if by.reason is not None:
                    journal.append("recovering", by=by.actor, reason=by.reason)
                closing = _closing(journal.records(), clock) if result is None else _closing_of(result, clock)
                evidence.close(journal, folder, closing)
        except (OSError, JournalBroken, JournalUnwritable) as error:
            evidence.say(f"the report of {folder.name} was not completed: {first_line(error)}")
            continue
        why = (
            "died before it touched anything" if result is None else f"could not write its report ({result['problem']})"
        )
        evidence.say(f"run {folder.name} {why}: {closing['verdict']}, report in {folder}")
        completed += 1
    return completed


def _incomplete_runs(reports: Path, environment: str, lost: Mapping[str, Mapping[str, Any]]) -> Iterator[Path]:
    """Yield the folders of the runs whose reports can be completed, oldest first."""
    for folder, records in _dead_runs(reports):
        if _writes_report(records[0], environment) and (folder.name in lost or not _touched(records)):
            yield folder


def _closing_of(result: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    """Return the line ``closed`` of a run that ended, but could not write its report."""
    return {
        "verdict": result["verdict"],
        "exit_code": None,
        "reason": result["reason"],
        "recovered": True,
        "finished_at": clock.now().isoformat(timespec="milliseconds"),
    }


def _closing(records: list[Record], clock: Clock) -> dict[str, Any]:
    """Return the line ``closed``: as the run itself wrote it, if it came that far."""
    closed = next((record.data for record in reversed(records) if record.kind == "closed"), None)
    if closed is not None:
        return dict(closed)
    steps = [str(record.data.get("step")) for record in records if record.kind == "intent"]
    verifying = records[0].data.get("mode") == VERIFY_MODE
    where = steps[-1] if steps else VERIFY_MODE if verifying else "lease"
    return {
        "verdict": "failed" if verifying else VERDICTS[Phase.REJECTED],
        "exit_code": None,
        "reason": f"{where}: {DIED}" + ("" if verifying else " before it had touched anything"),
        "recovered": True,
        "finished_at": clock.now().isoformat(timespec="milliseconds"),
    }


def _writes_report(opened: Record, environment: str) -> bool:
    return opened.data.get("environment") == environment and opened.data.get("mode") in REPORTING_MODES


def _touched(records: list[Record]) -> bool:
    return any(record.kind == "intent" and record.data.get("step") in TOUCHING_STEPS for record in records)


def run_ended(reports: Path, run_id: str) -> bool:
    """Return whether the run's process, on this host, has certainly ended, by the first line of its journal."""
    path = reports / run_id / JOURNAL_FILE
    try:
        opened = next(read(path), None)
    except (JournalBroken, OSError):
        return False
    return opened is not None and "pid" in opened.data and _process_ended(opened, path)


def _process_ended(opened: Record, path: Path) -> bool:
    """Return whether the run's process, on this host, has ended; ``path`` is its journal.

    If its identity belongs to another boot, PID namespace or machine of the same name, the process counts as ended if the
    journal was not written since this machine's boot, or for longer than any step of a run may last.
    """
    if opened.data.get("host") != socket.gethostname():
        return False
    identity = opened.data.get("process_identity")
    if identity is None:
        return _ended_by_clock(opened)
    runs = process_runs(str(identity))
    if runs is not None:
        return not runs
    try:
        return path.stat().st_mtime < max(psutil.boot_time(), time.time() - LONGEST_SILENCE_S)
    except OSError:
        return False


def _ended_by_clock(opened: Record) -> bool:
    """Return it for a journal without an identity, as an earlier version writes it, by the clock.

    A later process of the same pid began after the line ``opened``.
    """
    try:
        process = psutil.Process(int(opened.data["pid"]))
        began = process.create_time() - 1.0
        return began > datetime.fromisoformat(opened.time).timestamp() or process.status() == psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, ValueError, TypeError, OverflowError):
        return True

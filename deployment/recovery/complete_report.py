"""Runs that died before they touched anything: their lock is given back, and their report is completed.

Whoever touches something notes it beside the lease first, and is settled by ``deployment.recovery.recover``.
"""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from deployment.errors import JournalBroken, LeaseHeld, LeaseLost, first_line
from deployment.evidence.archive import LOCAL_EVIDENCE, EvidenceWriter
from deployment.evidence.journal import JOURNAL_FILE, Journal, Record, read
from deployment.evidence.report import REPORT_FILE, VERDICTS
from deployment.flow.lease import this_process
from deployment.phases import Phase
from deployment.plan import Ports
from deployment.ports import Clock
from deployment.recovery.lock_wait import abandoned
from deployment.settings import DeploymentLimits

VERIFYING = "verify"
REPORTED = ("deploy", "rollback", VERIFYING)
"""The modes of runs that write a report."""
TOUCHING = ("provision", "rollback")
"""The first step of a deployment, and of a rollback, that changes anything; the note beside the lease comes before it."""


def free_lock(ports: Ports, actor: str, limits: DeploymentLimits) -> str | None:
    """Gives back the lock of a process of this host that died before it touched anything; returns whose it was.

    None where there is none, or where somebody else took it meanwhile.
    """
    holder, token = ports.lease.current(), abandoned(ports)
    if holder is None or token is None:
        return None
    owner = this_process(holder.deployment_id, actor, ports.clock, limits, f"free the lock of {holder.deployment_id}")
    try:
        ports.lease.release(ports.lease.acquire(owner, take_over=token))
    except (LeaseHeld, LeaseLost):
        return None
    return holder.deployment_id


def unfinished(reports: Path, environment: str) -> Iterator[Path]:
    """The folders of an environment's runs that died on this host, untouched and without a report; oldest first."""
    for folder, records in _dead(reports):
        if _reports(records[0], environment) and not _touched(records):
            yield folder


def half_done(reports: Path) -> Iterator[tuple[str, str]]:
    """The runs that died on this host after they had touched something, without a report: id and environment; oldest first."""
    for folder, records in _dead(reports):
        environment = records[0].data.get("environment")
        if isinstance(environment, str) and _reports(records[0], environment) and _touched(records):
            yield folder.name, environment


def _dead(reports: Path) -> Iterator[tuple[Path, list[Record]]]:
    """Folder and journal of each run of this host that is gone, and has no report."""
    for path in sorted(reports.glob(f"*/{JOURNAL_FILE}")):
        folder = path.parent
        if folder.is_symlink() or (folder / REPORT_FILE).exists():
            continue
        try:
            records = list(read(path))
        except (JournalBroken, OSError):  # whatever was done to it, it is left as the evidence that it is
            continue
        if records and _gone(records[0]):
            yield folder, records


def complete(
    reports: Path,
    environment: str,
    *,
    actor: str,
    clock: Clock,
    evidence: EvidenceWriter = LOCAL_EVIDENCE,
) -> int:
    """Completes the reports of all such runs; returns how many. What cannot be written is said, and left for the next."""
    completed = 0
    for folder in unfinished(reports, environment):
        try:
            with _alone(folder / JOURNAL_FILE) as mine:
                if not mine or (folder / REPORT_FILE).exists():
                    continue  # somebody else does it, or has just done it
                journal = Journal(folder / JOURNAL_FILE, actor, clock, evidence.clean)
                closing = _closing(journal.records(), clock)
                evidence.close(journal, folder, closing)
        except (OSError, JournalBroken) as error:
            evidence.say(f"the report of {folder.name} was not completed: {first_line(error)}")
            continue
        evidence.say(f"{folder.name} had died before it touched anything: {closing['verdict']}, report in {folder}")
        completed += 1
    return completed


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether this process is the only one at it, as long as the block lasts; two must not write one journal."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _closing(records: list[Record], clock: Clock) -> dict[str, Any]:
    """As the run itself had said, where it came that far."""
    said = next((record.data for record in reversed(records) if record.kind == "closed"), None)
    if said is not None:
        return dict(said)
    steps = [str(record.data["step"]) for record in records if record.kind == "intent"]
    verifying = records[0].data.get("mode") == VERIFYING
    where = steps[-1] if steps else VERIFYING if verifying else "lease"
    return {
        "verdict": "failed" if verifying else VERDICTS[Phase.REJECTED],
        "exit_code": None,
        "reason": f"{where}: the run died" + ("" if verifying else " before it had touched anything"),
        "recovered": True,
        "finished_at": clock.now().isoformat(timespec="milliseconds"),
    }


def _reports(opened: Record, environment: str) -> bool:
    return opened.data.get("environment") == environment and opened.data.get("mode") in REPORTED


def _touched(records: list[Record]) -> bool:
    return any(record.kind == "intent" and record.data.get("step") in TOUCHING for record in records)


def _gone(opened: Record) -> bool:
    """Whether the run's process, of this host, has ended; a later process of the same pid began after that line."""
    if opened.data.get("host") != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(opened.data["pid"]))
        began = process.create_time() - 1.0
        return began > datetime.fromisoformat(opened.time).timestamp() or process.status() == psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, ValueError):
        return True

"""Settling leftovers, report included: what ``recover`` does, and what the next run does by itself before it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from deployment.errors import JournalBroken
from deployment.events import Listener
from deployment.evidence.archive import PLAIN, Keeping
from deployment.evidence.journal import Journal
from deployment.evidence.report import VERDICTS
from deployment.flow.lease import OpenDeployment
from deployment.flow.machine import Machine
from deployment.flow.notices import Notices, about
from deployment.phases import Phase
from deployment.plan import DeploymentRecord, Ports
from deployment.ports import Notifier
from deployment.recovery.recover import UNDECIDED, Decision, plan_of, recover
from deployment.settings import DeploymentLimits

JOURNAL_FILE = "audit.jsonl"


def recover_run(
    found: OpenDeployment,
    ports: Ports,
    limits: DeploymentLimits,
    *,
    actor: str,
    reports: Path,
    listener: Listener,
    keeping: Keeping = PLAIN,
    notifier: Notifier | None = None,
    decision: Decision = UNDECIDED,
) -> Phase:
    """Settles one unsettled deployment and completes its report; returns the phase that it ended in.

    Raises LeaseHeld, and what ``recover`` raises where a decision does not fit.
    """
    record = found.record
    folder = reports / record.deployment_id
    journal = _journal(folder / JOURNAL_FILE, record, actor, ports, keeping.clean)
    notices = Notices(notifier, journal, replace(about(plan_of(record), folder), actor=actor), listener, keeping.say)
    machine = recover(found, actor, limits, ports, journal, notices, decision)
    notices.send_end(machine.phase, machine.reason)
    notices.flush()
    keeping.close(journal, folder, _closing(journal, machine, ports))
    if problem := machine.let_go():
        keeping.say(problem)
    return machine.phase


def _journal(path: Path, record: DeploymentRecord, actor: str, ports: Ports, clean: Callable[[str], str]) -> Journal:
    """The dead run's own journal where this disk has it, else one that begins with what the lease item knows."""
    try:
        journal = Journal(path, actor, ports.clock, clean)
    except JournalBroken:
        path.rename(path.with_suffix(".broken.jsonl"))
        journal = Journal(path, actor, ports.clock, clean)
    if not journal.records():
        journal.append(
            "opened",
            deployment_id=record.deployment_id,
            environment=record.environment,
            target=record.target,
            by=record.actor,
            started_at=record.started_at,
            host=record.host,
            pid=record.pid,
            reconstructed=True,
        )
        journal.append(
            "planned",
            target=record.target,
            image=record.image.name,
            digest=record.image.digest,
            version=record.image.version,
            by=record.actor,
        )
        if record.phase in (Phase.PROMOTING, Phase.BAKING, Phase.ROLLING_BACK, Phase.HALTED):
            journal.append("intent", step="promote", what="known from the lease item")
    return journal


def _closing(journal: Journal, machine: Machine, ports: Ports) -> dict[str, Any]:
    """How it ended: as the dead run itself had said, where it came that far and that is what came of it."""
    said = next((record.data for record in reversed(journal.records()) if record.kind == "closed"), None)
    if said is not None and said.get("verdict") == VERDICTS[machine.phase]:
        return dict(said)
    return {
        "verdict": VERDICTS[machine.phase],
        "exit_code": None,
        "reason": machine.reason,
        "recovered": True,
        "finished_at": ports.clock.now().isoformat(timespec="milliseconds"),
    }

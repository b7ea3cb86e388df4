"""Recovering an interrupted run with its report: the work of ``recover``, which the next deployment does as well before it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from deployment.errors import JournalBroken, JournalUnwritable
from deployment.evidence.archive import LOCAL_EVIDENCE, EvidenceWriter
from deployment.evidence.journal import JOURNAL_FILE, Journal, last_data
from deployment.evidence.opening import plan_release, written_by
from deployment.evidence.report import VERDICTS, build
from deployment.files import problem_of
from deployment.flow.lease import OpenDeployment
from deployment.flow.machine import Machine
from deployment.flow.notices import Audience, Notices, about
from deployment.phases import Phase
from deployment.plan import DeploymentRecord, Operation, Promotion
from deployment.recovery.leftovers import remove_of_run
from deployment.recovery.recover import UNDECIDED, Decision, recover, undone_by


def recover_run(
    found: OpenDeployment,
    by: Operation,
    reports: Path,
    audience: Audience,
    evidence: EvidenceWriter = LOCAL_EVIDENCE,
    decision: Decision = UNDECIDED,
) -> Phase:
    """Recover one open deployment and complete its report; return the phase in which it ended.

    A full disk does not prevent that: the report then stays incomplete, ``evidence.say`` reports why, and the result is
    kept beside the lease. Raises what ``recover`` raises.
    """
    record = found.record
    folder = reports / record.deployment_id
    journal = _journal(folder / JOURNAL_FILE, record, by, evidence.clean)
    journal.allow_gaps()
    notice = replace(about(record.plan, folder), actor=by.actor)
    notices = Notices(audience.notifier, journal, notice, audience.listener, evidence.say)
    machine = recover(found, by, journal, notices, decision)
    notices.send_end(machine.phase, machine.reason)
    notices.flush()
    unreported = None
    if machine.phase is not Phase.HALTED:
        remove_of_run(by.ports, journal, folder, evidence.say)
    try:
        evidence.close(journal, folder, _closing(journal, machine))
    except (OSError, JournalUnwritable) as error:
        unreported = journal.problem or problem_of(error)
        evidence.say(f"the report of {record.deployment_id} was not written: {unreported}")
    if problem := machine.let_go(unreported):
        evidence.say(problem)
    return machine.phase


def _journal(path: Path, record: DeploymentRecord, by: Operation, clean: Callable[[str], str]) -> Journal:
    """Return the dead run's own journal, or, if this disk does not have it, one that begins with what the lease item says."""
    undone = undone_by(record, by.ports)
    try:
        journal = Journal(path, by.actor, by.ports.clock, clean)
        build(journal.records())  # else its report could not be written once traffic is safe
    except JournalBroken:
        path.rename(path.with_suffix(".broken.jsonl"))
        journal = Journal(path, by.actor, by.ports.clock, clean)
    if not journal.records():
        plan, owner = record.plan, record.owner
        target = plan.target if undone is None else undone.previous.colour
        journal.append(
            "opened",
            deployment_id=plan.deployment_id,
            environment=plan.environment,
            target=target,
            by=plan.actor,
            started_at=plan.started_at.isoformat(),
            host=owner.host,
            pid=owner.pid,
            process_identity=owner.process_identity,
            reconstructed=True,
            **written_by(),
        )
        if undone is not None:
            _reconstruct_undo(journal, record, undone)
            return journal
        plan_release(journal, plan.target, plan.image, plan.actor)
        if record.previous is not None:
            journal.append("live_before", live=record.previous.as_journal("; ".join(record.previous.problems) or None))
        if record.phase in (Phase.PROMOTING, Phase.BAKING, Phase.ROLLING_BACK, Phase.HALTED):
            journal.append("intent", step="promote", what="known from the lease item")
    return journal


def _reconstruct_undo(journal: Journal, record: DeploymentRecord, undone: Promotion) -> None:
    """Append what the lease item says about a rollback by hand: its release, and the release that was live before."""
    back, image = undone.previous, undone.image
    known = {"digest": back.digest, "version": back.version}
    plan_release(journal, back.colour, None, record.plan.actor, known=known, undoes=undone.deployment_id)
    live = {"colour": undone.target, "image": image.name, "version": image.version, "digest": image.digest}
    journal.append("live_before", live=live)
    journal.append("intent", step="rollback", what="known from the lease item")


def _closing(journal: Journal, machine: Machine) -> dict[str, Any]:
    """Return the line ``closed``: as the dead run itself wrote it, if it came that far and ended like that."""
    closed = last_data(journal.records(), "closed")
    if closed.get("verdict") == VERDICTS[machine.phase]:
        kept = {"recovered": True} if last_data(journal.records(), "kept") else {}
        return {**closed, **kept}
    return {
        "verdict": VERDICTS[machine.phase],
        "exit_code": None,
        "reason": str(machine.reason) if machine.reason else None,
        "recovered": True,
        "finished_at": machine.ports.clock.now().isoformat(timespec="milliseconds"),
    }

"""Recovers what a dead run left: read its record, ask router and platform for the current state, finish or undo."""

from __future__ import annotations

import os
from dataclasses import dataclass

from deployment.errors import DeploymentError, LeaseHeld, Refused, StepFailed
from deployment.events import Listener
from deployment.evidence.journal import Journal
from deployment.flow.lease import OpenDeployment, open_deployment, owner_alive, this_process
from deployment.flow.machine import Machine
from deployment.flow.reverify import live_problem
from deployment.model import DIED, Colour, Holder, Reason
from deployment.phases import Phase
from deployment.plan import DeploymentRecord, Operation, Ports, Promotion
from deployment.polling import poll


def take_over(found: OpenDeployment, by: Operation) -> Holder:
    """Take the lease of a dead run: at once if its process certainly died on this host, else when the lease expires.

    Raises LeaseHeld if the lease is renewed while this waits: then its owner is alive.
    """
    lease, clock = by.ports.lease, by.ports.clock
    run_id = found.record.deployment_id
    owner = this_process(run_id, by.actor, clock, by.limits, f"recover {run_id}")
    holder = found.holder
    if holder is None:
        return lease.acquire(owner)
    dead_here = owner_alive(holder) is False
    if dead_here:
        return lease.acquire(owner, take_over=holder.token)

    def attempt() -> Holder | None:
        try:
            return lease.acquire(owner)
        except LeaseHeld as error:
            if error.holder.expires_at > holder.expires_at or error.holder.token != holder.token:
                raise
            return None

    left = max(0.0, (holder.expires_at - clock.now()).total_seconds())
    return poll(
        clock,
        attempt,
        timeout_s=left + by.limits.lease_ttl,
        waiting_for=lambda: f"the lease of {holder.deployment_id} on {holder.host} did not expire",
    )


@dataclass(frozen=True)
class Decision:
    """An operator's decision about a halted deployment, with its reason; None: not decided.

    ``keep``: traffic stays on the live colour. ``back``: traffic goes back although the release's migration is
    irreversible. ``reason``: why an operator recovers the run; it decides nothing.
    """

    keep: str | None = None
    back: str | None = None
    reason: str | None = None


UNDECIDED = Decision()


def recover(
    found: OpenDeployment, by: Operation, journal: Journal, listener: Listener, decision: Decision = UNDECIDED
) -> Machine:
    """Finish or undo the deployment of a dead run; return its machine, which has ended.

    Before the promote intent the candidate is stopped. From there until the bake's outcome traffic goes back, unless the
    release's migration is irreversible. After that the promotion stands. A rollback by hand goes on, but moves no traffic
    from a healthy colour to an unhealthy one. Raises LeaseHeld if the owner is alive, Refused if
    another process recovered the deployment first or if the decision does not fit, StepFailed.
    """
    run_id = found.record.deployment_id
    if decision.keep is not None and found.record.phase not in (Phase.HALTED, Phase.BAKING):
        raise Refused(
            f"deployment {run_id} is neither halted nor live without a final record (phase {found.record.phase}), so no decision "
            "is needed",
            hint="Run `python scripts/deploy.py recover` without --keep-live.",
        )
    owner = found.holder
    if owner is not None and owner_alive(owner):
        raise LeaseHeld(owner)
    _refuse_live_process(found.record)
    holder = take_over(found, by)
    now = open_deployment(by.ports)
    if now is None or now.record.deployment_id != run_id:
        by.ports.lease.release(holder)
        raise Refused(f"deployment {run_id} was recovered by another process")
    record = now.record  # read again, now that the lease is ours
    undone = undone_by(record, by.ports)
    machine = Machine.resume(record, by.limits, by.ports, journal, listener, holder)
    facts = {"phase": record.phase, "step": record.step, "by": by.actor}
    if decision.reason is not None:
        facts["reason"] = decision.reason
    if decision.keep is not None:
        live = _colour_to_keep(machine)
        journal.append("recovering", **facts)
        machine.keep_live(live, decision.keep, by.actor)
        return machine
    journal.append("recovering", **facts)
    if decision.back is not None:
        machine.allow_back(decision.back, by.actor)
    _finish(machine, record, undone)
    return machine


def undone_by(record: DeploymentRecord, ports: Ports) -> Promotion | None:
    """Return the promotion that this run undoes by hand; None if it is a deployment, or has not begun to undo it.

    The note of the promotion stays until ``rollback`` has ended; a deployment writes its own at its end.
    """
    if record.phase not in (Phase.ROLLING_BACK, Phase.HALTED):
        return None
    text = ports.lease.notes().get("promotion")
    if text is None:
        return None
    promotion = Promotion.load(text)
    same = promotion.target is record.plan.target and promotion.previous == record.previous
    return promotion if same else None


def _colour_to_keep(machine: Machine) -> Colour:
    """Return the live colour of a halted deployment, on which traffic shall stay. Raises StepFailed if it is unhealthy.

    Nothing is journalled before this check: the journal of a halted run is closed and signed, and stays so if it fails.
    """
    try:
        if problem := live_problem(machine.ports):
            raise StepFailed(f"the live colour is unhealthy, so it is not kept: {problem}")
        return machine.ports.router.observe().live
    except DeploymentError:
        machine.stay_halted()
        raise


def _refuse_live_process(record: DeploymentRecord) -> None:
    """Raise Refused if the run lost its lock and its process still runs here: two processes would write one journal."""
    owner = record.owner
    if owner.pid != os.getpid() and owner_alive(owner):
        raise Refused(
            f"the process of deployment {record.deployment_id} is alive (pid {owner.pid} on this host), although it lost its lock",
            hint=f"End it first (`kill -CONT {owner.pid}; kill {owner.pid}`), then run `python scripts/deploy.py recover`.",
        )


def _finish(machine: Machine, record: DeploymentRecord, undone: Promotion | None) -> None:
    died = Reason(record.step or "verify", f"{DIED} in phase {record.phase}")
    if machine.phase is Phase.BAKING and _passed(machine.journal, "bake"):
        machine.complete_resumed()
    elif machine.ended:
        machine.retire_resumed()
    elif undone is not None:
        machine.undo_resumed(undone, died)
    else:
        machine.abandon(died, moved=record.step == "promote" or _began(machine.journal, "promote"))


def _began(journal: Journal, step: str) -> bool:
    return any(record.kind == "intent" and record.data.get("step") == step for record in journal.records())


def _passed(journal: Journal, step: str) -> bool:
    """Return whether the step passed, and no later line ``decided`` revoked that."""
    passed = False
    for record in journal.records():
        if record.kind == "outcome" and record.data.get("step") == step:
            passed = record.data.get("outcome") == "passed"
        elif record.kind == "decided":
            passed = False
    return passed

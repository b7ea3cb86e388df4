"""Settling what a run that died left behind: read its note, ask the world, finish or undo."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime

from deployment.errors import DeploymentError, LeaseHeld, Refused, StepFailed
from deployment.events import Listener
from deployment.evidence.journal import Journal
from deployment.flow.lease import OpenDeployment, open_deployment, owner_alive, this_process
from deployment.flow.machine import Machine
from deployment.flow.reverify import unwell
from deployment.model import Holder
from deployment.phases import Phase
from deployment.plan import DeploymentRecord, Plan, Ports
from deployment.polling import poll
from deployment.settings import DeploymentLimits


def take_over(ports: Ports, found: OpenDeployment, actor: str, limits: DeploymentLimits) -> Holder:
    """Takes the lease of a dead run: at once where its process was this host's, else when it expires.

    Raises LeaseHeld where it was renewed meanwhile: its owner lives.
    """
    owner = this_process(
        found.record.deployment_id, actor, ports.clock, limits, f"recover {found.record.deployment_id}"
    )
    holder = found.holder
    if holder is None:
        return ports.lease.acquire(owner)
    dead_here = owner_alive(holder.host, holder.pid, holder.process_started) is False
    if dead_here:
        return ports.lease.acquire(owner, take_over=holder.token)

    def attempt() -> Holder | None:
        try:
            return ports.lease.acquire(owner)
        except LeaseHeld as error:
            if error.holder.expires_at > holder.expires_at or error.holder.token != holder.token:
                raise
            return None

    left = max(0.0, (holder.expires_at - ports.clock.now()).total_seconds())
    return poll(
        ports.clock,
        attempt,
        timeout_s=left + limits.lease_ttl,
        waiting_for=lambda: f"the lease of {holder.deployment_id} on {holder.host} to run out",
    )


@dataclass(frozen=True)
class Decision:
    """What a person has decided about a halted deployment, and why; None: nothing.

    ``keep``: traffic stays where it is. ``back``: it goes back although the release's migration is irreversible.
    """

    keep: str | None = None
    back: str | None = None


UNDECIDED = Decision()


def recover(
    found: OpenDeployment,
    actor: str,
    limits: DeploymentLimits,
    ports: Ports,
    journal: Journal,
    listener: Listener,
    decision: Decision = UNDECIDED,
) -> Machine:
    """Finishes or undoes the deployment of a dead run; the returned machine is settled.

    Before the promote intent the candidate is stopped; from there until the bake's outcome traffic goes back, unless the
    release's migration is irreversible; after that the promotion stands. Raises LeaseHeld where its owner lives, Refused
    where somebody else settled it meanwhile or the decision does not fit.
    """
    if decision.keep is not None and found.record.phase is not Phase.HALTED:
        raise Refused(
            f"deployment {found.record.deployment_id} is not halted (phase {found.record.phase}): there is nothing to decide",
            hint="Run `python scripts/deploy.py recover` without --keep-live.",
        )
    owner = found.holder
    if owner is not None and owner_alive(owner.host, owner.pid, owner.process_started):
        raise LeaseHeld(owner)
    _ended(found.record)
    holder = take_over(ports, found, actor, limits)
    now = open_deployment(ports)
    if now is None or now.record.deployment_id != found.record.deployment_id:
        ports.lease.release(holder)
        raise Refused(f"deployment {found.record.deployment_id} was settled meanwhile")
    record = now.record  # not the one that was read before the lease was ours
    machine = Machine(plan_of(record), limits, ports, journal, listener)
    # HALTED is where an earlier rollback gave up: it is tried again.
    machine.phase = Phase.ROLLING_BACK if record.phase is Phase.HALTED else record.phase
    machine.reason = record.reason
    machine.previous = record.previous
    machine.touched = record.touched
    machine.doubtful = True  # whatever the dead run was doing
    machine.back_allowed = record.back_allowed or decision.back is not None
    machine.hold(replace(holder, doing=f"recover {record.deployment_id}"))
    journal.append("recovering", phase=record.phase, step=record.step, by=actor)
    if decision.back is not None:
        journal.append("irreversible", reason=decision.back, by=actor)
    if decision.keep is not None:
        machine.phase = Phase.HALTED
        try:
            _keep_live(machine, decision.keep, actor)
        except DeploymentError:
            machine.let_go()  # it stays halted: note and lock stay, and nobody renews the lock
            raise
    else:
        _finish(machine, record, ports)
    return machine


def plan_of(record: DeploymentRecord) -> Plan:
    """What the deployment of a note was to do."""
    return Plan(
        record.deployment_id,
        record.environment,
        record.target,
        record.image,
        record.actor,
        datetime.fromisoformat(record.started_at),
    )


def _keep_live(machine: Machine, reason: str, by: str) -> None:
    """Ends a halted deployment by leaving traffic where it is: the lock is given back, and the next one fixes it forward.

    Raises StepFailed where what is live is not well.
    """
    if problem := unwell(machine.ports):
        raise StepFailed(f"what is live is not well, so it is not left like this: {problem}")
    machine.journal.append("kept", live=machine.ports.router.observe().live, reason=reason, by=by)
    machine.kept = True


def _ended(record: DeploymentRecord) -> None:
    """Raises Refused where the run lost its lock and still lives on this host: two would write one journal."""
    if record.pid != os.getpid() and owner_alive(record.host, record.pid, record.process_started):
        raise Refused(
            f"the process of deployment {record.deployment_id} lives (pid {record.pid} on this host), though its lock is gone",
            hint=f"End it first (`kill -CONT {record.pid}; kill {record.pid}`), then run `python scripts/deploy.py recover`.",
        )


def _finish(machine: Machine, record: DeploymentRecord, ports: Ports) -> None:
    died = f"{(record.step or 'verify')}: the run died in phase {record.phase}"
    if machine.phase is Phase.BAKING and (record.baked or _passed(machine.journal, "bake")):
        machine.promoted_generation = ports.router.observe().generation
        machine.complete()
    elif machine.settled:
        machine.finish_settled(ports.router.observe().generation)
    else:
        machine.abandon(died, moved=record.step == "promote" or _began(machine.journal, "promote"))


def _began(journal: Journal, step: str) -> bool:
    return any(record.kind == "intent" and record.data.get("step") == step for record in journal.records())


def _passed(journal: Journal, step: str) -> bool:
    """Whether the step passed, and nothing was decided against it since."""
    passed = False
    for record in journal.records():
        if record.kind == "outcome" and record.data.get("step") == step:
            passed = record.data.get("outcome") == "passed"
        elif record.kind == "decided":
            passed = False
    return passed
